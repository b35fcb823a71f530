import { randomUUID } from 'node:crypto'
import { parseJson } from '../core/exact-json.ts'
import type { Answer } from './answer.ts'
import { Emulator, type EmulatorOptions, repeated } from './emulator.ts'
import type { RecordedRequest } from './fault.ts'
import { AckLedger, type AckPace } from './hec-acks.ts'
import {
  countObjects,
  type HecBodyRules,
  type HecEvent,
  type HecVerdict,
  judge,
  judgeBody,
  splitObjects,
} from './hec-body.ts'
import {
  accepts,
  eventNumber,
  hecAnswer,
  htmlError,
  notFound,
  type PlannedCode,
  PlannedCodes,
} from './hec-codes.ts'
import type { Kinds } from './options.ts'

export type { HecEvent } from './hec-body.ts'

export interface HecEmulatorOptions extends EmulatorOptions {
  /** Default: a random GUID. */
  token?: string
  /** Indexer acknowledgement (the token's `useACK`). Default false. */
  ack?: boolean
  /** Milliseconds until a batch is acknowledged. Default 0. */
  ackDelay?: number
  /** How many asks about a batch are answered `false` first. Default 0. */
  ackAfterPolls?: number
  /** Puts a load balancer in front: it sets a cookie, and whoever comes without it meets another indexer. */
  cookies?: boolean
  /** Indexes that the token may write. Default: any. */
  indexes?: readonly string[]
  /** Bytes of one event, above which it is code 6. Default 5 MiB (`maxEventSize`). */
  maxEventSize?: number
  /** Bytes of a body, above which it is 413. Default 838,860,800 (`max_content_length`). */
  maxContentLength?: number
  /** How code 9 counts the event that it names: from 0 or from 1. Not known of the real service. Default 0. */
  busyBase?: 0 | 1
  /**
   * Whether events are parsed, checked and kept in `events`. Default true. Without it, and without a listener for
   * `taken`, they are only counted, whatever is in them: for load tests.
   */
  keepEvents?: boolean
}

const optionKinds: Kinds<Omit<HecEmulatorOptions, keyof EmulatorOptions>> = {
  token: 'string',
  ack: 'boolean',
  ackDelay: 'number',
  ackAfterPolls: 'number',
  cookies: 'boolean',
  indexes: 'object',
  maxEventSize: 'number',
  maxContentLength: 'number',
  busyBase: [0, 1],
  keepEvents: 'boolean',
}

const GUID = /^\{?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\}?$/i
const ROUTE = /^\/services\/collector(?:\/(event|raw|ack|health))?(?:\/1\.0)?\/?$/
const STICKY_COOKIE = 'HECNODE'

/** Splunk's HTTP Event Collector, with the codes, partial batches and acknowledgements of the real one. */
export class HecEmulator extends Emulator {
  /** Events taken in, in order. */
  readonly events: HecEvent[] = []
  /** How many events were taken in. */
  received = 0
  /** Bytes of the bodies sent to the event and raw endpoints, unpacked. */
  bytes = 0
  /** How many acknowledgements were reported as true. */
  acknowledged = 0
  /** The token that is good. Change it, and the old one is refused. */
  token: string
  /** Code 1, and 22 for health. */
  tokenDisabled = false
  /** Health 18 (with `ackServiceDown` 20), and code 9 for data. */
  queuesFull = false
  /** Health 19 (with `queuesFull` 20), where the probe asks for it. */
  ackServiceDown = false
  /** Code 23 for everything. */
  shuttingDown = false
  /** A test of each event: the code to refuse it with, or undefined. */
  refuse: ((event: HecEvent) => number | undefined) | undefined
  readonly #ack: boolean
  readonly #pace: AckPace
  readonly #cookies: boolean
  readonly #maxContentLength: number
  readonly #busyBase: number
  readonly #keepEvents: boolean
  readonly #rules: Omit<HecBodyRules, 'refuse'>
  readonly #planned = new PlannedCodes()
  #nodes = new Map<string, AckLedger>()
  #losing = 0
  #withholding = 0

  constructor(options: HecEmulatorOptions = {}) {
    super(options, 'hec', optionKinds)
    this.token = options.token ?? randomUUID()
    this.#ack = options.ack ?? false
    this.#pace = { delay: options.ackDelay ?? 0, polls: options.ackAfterPolls ?? 0 }
    this.#cookies = options.cookies ?? false
    this.#maxContentLength = options.maxContentLength ?? 838_860_800
    this.#busyBase = options.busyBase ?? 0
    this.#keepEvents = options.keepEvents ?? true
    this.#rules = {
      indexes: options.indexes && new Set(options.indexes),
      maxEventSize: options.maxEventSize ?? 5 * 1024 * 1024,
    }
  }

  /** The address to send events to. */
  get endpoint(): string {
    return `${this.url}/services/collector/event`
  }

  /** Acknowledgement ids given out and not yet reported true. */
  get pendingAcks(): number {
    let count = 0
    for (const node of this.#nodes.values()) count += node.pending
    return count
  }

  /**
   * Answers `code` at object `row` (from 0) of the next body that has so many objects; what is before it is taken in.
   * The number in the answer is the real service's: one more for code 7, by `busyBase` for 9, none for codes that
   * name no event.
   */
  failRow(row: number, code: number, times = 1): this {
    this.#planned.add({ row, code, left: times })
    return this
  }

  /** Answers the next `times` bodies with `code`: taken in for 0, 24 and 25, otherwise refused whole. */
  answerCode(
    code: number,
    { times = 1, retryAfter }: { times?: number; retryAfter?: number | string } = {},
  ): this {
    this.#planned.add({ code, left: times, retryAfter })
    return this
  }

  /** Answers the next `batches` with an ack id, but loses their data: they are never acknowledged. */
  loseBatches(batches = 1): this {
    this.#losing += batches
    return this
  }

  /** Takes the next `batches` in, but never acknowledges them. */
  withholdAcks(batches = 1): this {
    this.#withholding += batches
    return this
  }

  /** Forgets all channels, as a restart does: their ids are unknown and begin at 0 again. */
  resetChannels(): this {
    this.#nodes = new Map()
    return this
  }

  /** Events that were taken in before, by `keyOf` (default: the whole envelope); each further time counts. */
  duplicates(keyOf?: (event: HecEvent) => unknown): HecEvent[] {
    return repeated(this.events, keyOf)
  }

  override clearFaults(): this {
    this.#planned.clear()
    this.#losing = 0
    this.#withholding = 0
    return super.clearFaults()
  }

  override reset(): this {
    this.events.length = 0
    this.received = 0
    this.bytes = 0
    this.acknowledged = 0
    this.tokenDisabled = false
    this.queuesFull = false
    this.ackServiceDown = false
    this.shuttingDown = false
    this.refuse = undefined
    this.resetChannels()
    return super.reset()
  }

  protected serve(request: RecordedRequest): Answer {
    const match = ROUTE.exec(request.path)
    if (!match) return notFound(404)
    const route = match[1] ?? 'event'
    const allowed = route === 'health' ? ['GET', 'HEAD', 'OPTIONS'] : ['POST', 'OPTIONS']
    if (request.method === 'OPTIONS') return { status: 200, headers: { allow: allowed.join(',') } }
    if (!allowed.includes(request.method)) return notFound(405)
    if (route === 'health') return this.#health(request)
    const node = this.#node(request)
    const answer = this.#authorized(request, () =>
      route === 'ack' ? this.#serveAck(request, node) : this.#serveData(request, node, route === 'raw'),
    )
    if (this.#cookies)
      answer.headers = { ...answer.headers, 'set-cookie': `${STICKY_COOKIE}=${node}; Path=/` }
    return answer
  }

  #health(request: RecordedRequest): Answer {
    const withAck = request.query.get('ack') === 'true' && this.ackServiceDown
    const authorization = request.headers.authorization
    if (authorization !== undefined && tokenOf(authorization) !== this.token) return hecAnswer(21)
    if (this.tokenDisabled && authorization !== undefined) return hecAnswer(22)
    if (this.shuttingDown) return hecAnswer(23)
    if (this.queuesFull) return hecAnswer(withAck ? 20 : 18)
    return hecAnswer(withAck ? 19 : 17)
  }

  /** The indexer that a request meets: the one that its cookie names, or a fresh one. */
  #node(request: RecordedRequest): string {
    if (!this.#cookies) return ''
    const cookie = new RegExp(`(?:^|;)\\s*${STICKY_COOKIE}=([^;\\s]+)`).exec(
      request.headers.cookie ?? '',
    )?.[1]
    if (cookie && this.#nodes.has(cookie)) return cookie
    const fresh = randomUUID()
    this.#ledger(fresh)
    return fresh
  }

  #ledger(node: string): AckLedger {
    const ledger = this.#nodes.get(node) ?? new AckLedger()
    this.#nodes.set(node, ledger)
    return ledger
  }

  #authorized(request: RecordedRequest, serve: () => Answer): Answer {
    // A token in the query goes before the header, and is not allowed by default (`allowQueryStringAuth`).
    if (request.query.has('token')) return hecAnswer(16)
    const { authorization } = request.headers
    if (authorization === undefined) return hecAnswer(2)
    const given = tokenOf(authorization)
    if (given !== this.token) return hecAnswer(given === undefined ? 3 : 4)
    if (this.tokenDisabled) return hecAnswer(1)
    if (this.shuttingDown) return hecAnswer(23)
    return serve()
  }

  /** The channel of a request, or the code that refuses it. */
  #channel(request: RecordedRequest): string | number {
    const header = request.headers['x-splunk-request-channel']
    const channel = (typeof header === 'string' ? header : undefined) ?? request.query.get('channel')
    if (channel === null || channel === '') return this.#ack ? 10 : ''
    return GUID.test(channel) ? channel.toLowerCase() : 11
  }

  #serveAck(request: RecordedRequest, node: string): Answer {
    if (!this.#ack) return hecAnswer(14)
    const channel = this.#channel(request)
    if (typeof channel === 'number') return hecAnswer(channel)
    let ids: unknown
    try {
      ids = (parseJson(request.body.toString()) as { acks?: unknown } | null)?.acks
    } catch {
      // Refused below.
    }
    if (!Array.isArray(ids)) return hecAnswer(request.body.length === 0 ? 5 : 6)
    const ledger = this.#ledger(node)
    const acks: Record<string, boolean> = {}
    for (const id of ids) {
      acks[String(id)] = ledger.ask(channel, Number(id), this.#pace)
    }
    request.acknowledged = ids.map(Number).filter((id) => acks[String(id)])
    this.acknowledged += request.acknowledged.length
    return { status: 200, body: { acks } }
  }

  #serveData(request: RecordedRequest, node: string, raw: boolean): Answer {
    const encoding = request.headers['content-encoding']?.trim().toLowerCase()
    if (encoding !== undefined && encoding !== 'gzip' && encoding !== 'identity' && encoding !== '')
      return htmlError(415)
    if (Math.max(request.body.length, request.wireBytes) > this.#maxContentLength) return htmlError(413)
    const channel = this.#channel(request)
    if (typeof channel === 'number') return hecAnswer(channel)
    if (request.brokenGzip) return hecAnswer(6, 0)
    this.bytes += request.body.length
    if (this.queuesFull) return hecAnswer(9)

    const whole = this.#planned.takeWhole()
    if (whole && !accepts(whole.code)) return withRetryAfter(hecAnswer(whole.code), whole.retryAfter)
    const parse = raw || this.#keepEvents || this.refuse !== undefined || this.listenerCount('taken') > 0
    const verdict = raw ? this.#judgeRaw(request) : parse ? this.#judge(request.body) : undefined
    if (!verdict) return this.#count(request, channel, node, whole)
    const { taken } = verdict
    const ackId =
      taken.length > 0 || verdict.code === 0
        ? this.#takeIn(taken.length, taken, request, channel, node)
        : undefined
    if (verdict.code !== 0)
      return hecAnswer(verdict.code, eventNumber(verdict.code, verdict.at, this.#busyBase), ackId)
    return withRetryAfter(hecAnswer(whole?.code ?? 0, undefined, ackId), whole?.retryAfter)
  }

  #judge(body: Buffer): HecVerdict {
    const text = body.toString()
    const rules: HecBodyRules = { ...this.#rules, refuse: this.refuse }
    if (!this.#planned.hasRows) return judgeBody(text, rules)
    const objects = splitObjects(text)
    const planned = this.#planned.rowOf(objects.length)
    if (!planned) return judgeBody(text, rules)
    const before = judge(objects, rules, planned.row)
    if (before.code !== 0) return before
    this.#planned.take(planned)
    return { taken: before.taken, code: planned.code, at: planned.row }
  }

  #judgeRaw(request: RecordedRequest): HecVerdict {
    const metadata: Omit<HecEvent, 'event'> = {}
    for (const key of ['host', 'source', 'sourcetype', 'index'] as const) {
      const value = request.query.get(key)
      if (value !== null) metadata[key] = value
    }
    const lines = request.body
      .toString()
      .split(/\r?\n/)
      .filter((line) => line.trim() !== '')
    if (lines.length === 0) return { taken: [], code: 5 }
    const { indexes } = this.#rules
    if (metadata.index !== undefined && indexes && !indexes.has(metadata.index))
      return { taken: [], code: 7, at: 0 }
    return { taken: lines.map((line) => ({ ...metadata, event: line })), code: 0 }
  }

  /** Takes a body in without looking into it. */
  #count(request: RecordedRequest, channel: string, node: string, whole: PlannedCode | undefined): Answer {
    const count = countObjects(request.body)
    if (count === 0) return hecAnswer(5)
    const planned = this.#planned.take(this.#planned.rowOf(count))
    const ackId =
      planned?.row === 0 ? undefined : this.#takeIn(planned?.row ?? count, undefined, request, channel, node)
    if (planned) return hecAnswer(planned.code, eventNumber(planned.code, planned.row, this.#busyBase), ackId)
    return withRetryAfter(hecAnswer(whole?.code ?? 0, undefined, ackId), whole?.retryAfter)
  }

  /** Counts and keeps what was taken in. Gives the ack id, if there is one. */
  #takeIn(
    count: number,
    events: HecEvent[] | undefined,
    request: RecordedRequest,
    channel: string,
    node: string,
  ): number | undefined {
    const lost = this.#losing > 0
    const withheld = !lost && this.#withholding > 0
    if (lost) this.#losing--
    else {
      if (withheld) this.#withholding--
      this.received += count
      if (events && count > 0) {
        request.rows = events
        if (this.#keepEvents) for (const event of events) this.events.push(event)
        this.emit('taken', events, request)
      }
    }
    if (!this.#ack) return undefined
    request.ackId = this.#ledger(node).issue(channel, lost || withheld)
    return request.ackId
  }
}

function withRetryAfter(answer: Answer, retryAfter: number | string | undefined): Answer {
  return retryAfter === undefined ? answer : { ...answer, headers: { 'retry-after': String(retryAfter) } }
}

/** The token of `Splunk <token>`, or of Basic with the token as password. */
function tokenOf(authorization: string): string | undefined {
  const [, scheme, rest] = /^\s*(Splunk|Basic)\s+(\S+)\s*$/i.exec(authorization) ?? []
  if (rest === undefined || scheme?.toLowerCase() === 'splunk') return rest
  const pair = Buffer.from(rest, 'base64').toString()
  return pair.slice(pair.indexOf(':') + 1)
}
