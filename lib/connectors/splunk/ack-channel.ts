import { isTransientStatus, pause } from '../../core/retry.ts'
import type { HttpResponse } from '../../http/client.ts'

/** Milliseconds between questions: soon at first, then less and less often while nothing is acknowledged. */
const shortestPoll = 100
const longestPoll = 10_000

export type AckOutcome = 'indexed' | 'timeout' | 'lost'

interface Waiter {
  readonly deadline: number
  resolve(outcome: AckOutcome): void
  reject(error: Error): void
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
 */
export class AckChannel {
  readonly id: string
  readonly #ask: AskAcks
  readonly #signal: AbortSignal
  readonly #waiting = new Map<number, Waiter>()
  readonly #cookies = new Map<string, string>()
  #polling = false
  #opening: Promise<void> = Promise.resolve()
  #opened = false

  constructor(id: string, ask: AskAcks, signal: AbortSignal) {
    this.id = id
    this.#ask = ask
    this.#signal = signal
  }

  /** The Cookie header for a request on this channel. */
  get cookie(): string | undefined {
    return this.#cookies.size === 0
      ? undefined
      : [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ')
  }

  keepCookies({ headers }: HttpResponse): void {
    for (const cookie of [headers['set-cookie'] ?? []].flat()) {
      const [, name, value] = /^\s*([^=;\s]+)=([^;]*)/.exec(cookie) ?? []
      if (name !== undefined && value !== undefined) this.#cookies.set(name, value.trim())
    }
  }

  /**
   * Sends requests one at a time until an indexer has answered one: its cookie must lead the others there. A gateway that
   * is busy has none to give.
   */
  async first(send: () => Promise<HttpResponse>): Promise<HttpResponse> {
    if (this.#opened) return send()
    const turn = this.#opening.then(async () => {
      const response = await send()
      if (!isTransientStatus(response.status)) this.#opened = true
      return response
    })
    this.#opening = turn.then(
      () => {},
      () => {},
    )
    return this.#opening.then(() => turn)
  }

  /**
   * Waits until an indexer has the request with this ack id. Splunk says so once and then forgets the id.
   * @returns `timeout` after that many milliseconds; `lost` when the id was given out anew (Splunk was started again)
   */
  indexed(ackId: number, timeout: number): Promise<AckOutcome> {
    this.#waiting.get(ackId)?.resolve('lost')
    return new Promise((resolve, reject) => {
      this.#waiting.set(ackId, { deadline: performance.now() + timeout, resolve, reject })
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
    const indexed = (await this.#ask(this, [...this.#waiting.keys()])) ?? []
    let progress = false
    for (const id of indexed) {
      const waiter = this.#waiting.get(id)
      if (!waiter) continue
      this.#waiting.delete(id)
      waiter.resolve('indexed')
      progress = true
    }
    return progress
  }

  #expire(): void {
    for (const [id, { deadline, resolve }] of this.#waiting) {
      if (deadline > performance.now()) continue
      this.#waiting.delete(id)
      resolve('timeout')
    }
  }

  #failAll(error: unknown): void {
    for (const { reject } of this.#waiting.values()) reject(error as Error)
    this.#waiting.clear()
  }
}
