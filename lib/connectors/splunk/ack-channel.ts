import { pause } from '../../core/retry.ts'
import type { HttpResponse } from '../../http/client.ts'

/** Milliseconds between questions: soon at first, then less and less often while nothing is acknowledged. */
const shortestPoll = 100
const longestPoll = 10_000

/** Cookies of balancers that have another value in each answer, though they lead to the same indexer. */
const renewedCookie = /^AWSALB/i

/** Statuses of something in between that has no answer of HEC, which may have taken the rows all the same. */
const doubtful = new Set([408, 500, 502, 504])

/** Number of ids remembered, to notice one that is issued twice. */
const mostIds = 10_000

export type AckOutcome = 'indexed' | 'timeout' | 'lost'

/** Rows that HEC took, and that wait for an indexer. */
interface Waiter {
  /** By performance.now(). */
  readonly deadline: number
  /** Requests in flight when its id was reported as indexed; undefined as long as it was not. */
  doubts: Set<object> | undefined
  resolve(outcome: AckOutcome): void
  reject(error: Error): void
}

/** An answer to a request with rows. */
export interface AckAnswer {
  readonly response: HttpResponse
  /** It is HEC's own. */
  readonly isOfHec: boolean
  readonly ackId: number | undefined
  /** Whether HEC took any of the rows. */
  readonly rowsAreIn: boolean
}

/**
 * Asks for the state of acks: POST /services/collector/ack on the channel they were given on.
 * @returns the ids that are indexed; undefined after a transient fault
 * @throws ConnectorError if no question will be answered
 */
export type AskAcks = (channel: AckChannel, ids: readonly number[]) => Promise<readonly number[] | undefined>

/**
 * One channel of indexer acknowledgement: the ids that wait on it, and the cookies by which a load balancer leads each of
 * its requests to the same indexer. https://docs.splunk.com/Documentation/Splunk/latest/Data/AboutHECIDXAck
 *
 * Each indexer counts the ids of a channel from 0. So once another indexer may have answered, an id says nothing any more:
 * it may be that indexer's, for other rows. The channel is lost then, with all that waits on it: when a cookie changes, when
 * an id comes that is not above those that were known as its request was sent, when an id comes twice, and when a request
 * with rows ends without an answer. An id that is reported as indexed counts only once every request that was in flight at
 * that moment has been answered without such a sign: one of them may have been given the same id by another indexer.
 */
export class AckChannel {
  readonly id: string
  readonly #ask: AskAcks
  readonly #signal: AbortSignal
  readonly #waiting = new Map<number, Waiter>()
  readonly #cookies = new Map<string, string>()
  /** The latest ids that were issued. */
  readonly #ids = new Set<number>()
  #highest = -1
  readonly #inFlight = new Set<object>()
  #lost = false
  #polling = false
  #opening: Promise<void> = Promise.resolve()
  #whenOpen: () => void = () => {}
  /** An indexer has answered a question for an acknowledgement. */
  #opened = false

  constructor(id: string, ask: AskAcks, signal: AbortSignal) {
    this.id = id
    this.#ask = ask
    this.#signal = signal
  }

  /** Whether no id of this channel counts any more. */
  get lost(): boolean {
    return this.#lost
  }

  /** The Cookie header for a request on this channel. */
  get cookie(): string | undefined {
    return this.#cookies.size === 0
      ? undefined
      : [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ')
  }

  /** Keeps the cookies of an answer. One that changes leads to another indexer. */
  keepCookies({ headers }: Pick<HttpResponse, 'headers'>): void {
    for (const cookie of [headers['set-cookie'] ?? []].flat()) {
      const [, name, value] = /^\s*([^=;\s]+)=([^;]*)/.exec(cookie) ?? []
      if (name === undefined || value === undefined) continue
      const known = this.#cookies.get(name)
      this.#cookies.set(name, value.trim())
      if (known !== undefined && known !== value.trim() && !renewedCookie.test(name)) this.#lose()
    }
  }

  /**
   * Sends a request with rows, and waits until an indexer has them, if HEC took any. Until the question for the first one is
   * answered, requests go one at a time: its cookie must lead the others, and a token without acknowledgement is to be
   * noticed before more is sent.
   * @param send sends it
   * @param timeout milliseconds to wait for the acknowledgement
   * @returns the result of `send`, and what became of its rows: `timeout` after that many milliseconds; `lost` if what an
   * indexer says of its id does not count. Undefined if the channel was lost before anything was sent
   */
  async send<T extends AckAnswer>(
    send: () => Promise<T>,
    timeout: number,
  ): Promise<{ readonly answer: T; readonly outcome: AckOutcome | undefined } | undefined> {
    let opened = () => {}
    if (!this.#opened) {
      const before = this.#opening
      this.#opening = new Promise<void>((resolve) => {
        opened = resolve
      })
      await before
      if (this.#opened) opened()
      else this.#whenOpen = opened
    }
    try {
      if (this.#lost) return undefined
      const answer = await this.#sendNow(send)
      const { ackId, rowsAreIn } = answer
      const waits = rowsAreIn && ackId !== undefined
      if (!waits) return { answer, outcome: undefined }
      return { answer, outcome: this.#lost ? 'lost' : await this.#indexed(ackId, timeout) }
    } finally {
      opened()
    }
  }

  async #sendNow<T extends AckAnswer>(send: () => Promise<T>): Promise<T> {
    const request = {}
    const highest = this.#highest
    this.#inFlight.add(request)
    try {
      const answer = await send()
      const { response, isOfHec, ackId } = answer
      this.keepCookies(response)
      if (ackId !== undefined) {
        if (ackId <= highest || this.#ids.has(ackId)) this.#lose()
        this.#remember(ackId)
      } else if (!isOfHec && doubtful.has(response.status)) this.#lose()
      return answer
    } catch (error) {
      this.#lose()
      throw error
    } finally {
      this.#answered(request)
    }
  }

  #remember(id: number): void {
    this.#highest = Math.max(this.#highest, id)
    this.#ids.add(id)
    if (this.#ids.size > mostIds) this.#ids.delete(this.#ids.values().next().value!)
  }

  /** A request has been answered by the indexer of this channel: those that waited for it alone are indexed. */
  #answered(request: object): void {
    this.#inFlight.delete(request)
    for (const [id, { doubts, resolve }] of this.#waiting) {
      if (!doubts?.delete(request) || doubts.size > 0) continue
      this.#waiting.delete(id)
      resolve('indexed')
    }
  }

  #lose(): void {
    this.#lost = true
    for (const { resolve } of this.#waiting.values()) resolve('lost')
    this.#waiting.clear()
  }

  #indexed(ackId: number, timeout: number): Promise<AckOutcome> {
    return new Promise((resolve, reject) => {
      const deadline = performance.now() + timeout
      this.#waiting.set(ackId, { deadline, doubts: undefined, resolve, reject })
      if (!this.#polling) this.#poll().catch((error) => this.#failAll(error))
    })
  }

  async #poll(): Promise<void> {
    this.#polling = true
    try {
      for (let wait = shortestPoll; this.#waiting.size > 0; wait = Math.min(wait * 1.5, longestPoll)) {
        await pause(this.#untilDeadline(wait), this.#signal)
        if (await this.#question()) wait = shortestPoll
        this.#expire()
      }
    } finally {
      this.#polling = false
    }
  }

  #untilDeadline(wait: number): number {
    const first = Math.min(...[...this.#waiting.values()].map(({ deadline }) => deadline))
    return Math.max(0, Math.min(wait, first - performance.now()))
  }

  /** @returns whether any id was acknowledged */
  async #question(): Promise<boolean> {
    // Splunk says so once and then forgets the id.
    const asked = [...this.#waiting].flatMap(([id, { doubts }]) => (doubts ? [] : [id]))
    if (asked.length === 0) return false
    const indexed = await this.#ask(this, asked)
    if (!indexed) return false
    this.#opened = true
    this.#whenOpen()
    let progress = false
    for (const id of indexed) {
      const waiter = this.#waiting.get(id)
      if (!waiter || waiter.doubts) continue
      progress = true
      if (this.#inFlight.size > 0) {
        waiter.doubts = new Set(this.#inFlight)
        continue
      }
      this.#waiting.delete(id)
      waiter.resolve('indexed')
    }
    return progress
  }

  #expire(): void {
    for (const [id, { deadline, doubts, resolve }] of this.#waiting) {
      if (doubts || deadline > performance.now()) continue
      this.#waiting.delete(id)
      resolve('timeout')
    }
  }

  #failAll(error: unknown): void {
    for (const { reject } of this.#waiting.values()) reject(error as Error)
    this.#waiting.clear()
  }
}
