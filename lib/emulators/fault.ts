import type { IncomingHttpHeaders } from 'node:http'

export interface RecordedRequest {
  method: string
  /** Without the query, as sent (percent-encoded). */
  path: string
  /** Names and values decoded. */
  query: URLSearchParams
  headers: IncomingHttpHeaders
  /** As the service reads it: gunzipped. As sent when its content-encoding is another one, or its gzip is broken. */
  body: Buffer
  /** Size of the body on the wire. */
  wireBytes: number
  /** Time of its head, in milliseconds since 1970. */
  at: number
  /** Number of its connection, from 1. */
  connection: number
  /** The fault that struck it. */
  fault?: Fault
  /** Its gzip could not be read. */
  brokenGzip?: true
  /** The rows or events that the service took in from it, if it looked at them. */
  rows?: readonly unknown[]
  /** HEC: the acknowledgement id that it was given. */
  ackId?: number
  /** HEC: the ids that it was told are acknowledged. */
  acknowledged?: readonly number[]
  /** Status of the answer, once there is one. */
  status?: number
}

/** Something that goes wrong with a request. Fields combine: `{ delay: 50, status: 503 }`. */
export interface Fault {
  /** Which requests: part of the path, a pattern for the path, or a test of the request. Default: any. */
  match?: string | RegExp | ((request: RecordedRequest) => boolean)
  /** How many requests it hits. Default 1; `Infinity` for all. */
  times?: number
  /** How many matching requests pass unharmed before it. Default 0. */
  after?: number
  /** Status to answer with instead of serving the request. Default 429 with `retryAfter`, 200 with `body`. */
  status?: number
  /** Headers of that answer; without `status` and `body` they are added to the service's own answer. */
  headers?: Record<string, string>
  /** Body of that answer: text, or an object that is sent as JSON. */
  body?: string | object
  /** Retry-After header of that answer: seconds, or a text such as an HTTP date. */
  retryAfter?: number | string
  /**
   * Cuts the connection: `before` the body is read (a `match` function sees no body yet), `within` the answer's
   * body, or `after` the service took the request in, with no answer.
   */
  reset?: 'before' | 'within' | 'after'
  /** Milliseconds between taking the request in and the answer. */
  delay?: number
  /** Goes silent, until the client or the emulator closes: `before` serving, or `within` the answer's body. */
  stall?: 'before' | 'within'
  /** Ends the answer properly with half of its body missing: cut gzip, cut JSON. */
  truncate?: boolean
  /** Reads the request's body at this many bytes a second. */
  slowRead?: number
}

interface QueuedFault {
  fault: Fault
  skip: number
  left: number
}

/** The faults to come. Each request takes at most one: the first in the queue that matches. */
export class FaultQueue {
  #queue: QueuedFault[] = []

  add(faults: readonly Fault[]): void {
    for (const fault of faults) this.#queue.push({ fault, skip: fault.after ?? 0, left: fault.times ?? 1 })
  }

  clear(): void {
    this.#queue = []
  }

  /** `stage`: faults that strike while a request comes in are taken at its `head`, all others at its `end`. */
  take(request: RecordedRequest, stage: 'head' | 'end'): Fault | undefined {
    if (this.#queue.length === 0) return undefined
    let taken: QueuedFault | undefined
    for (const queued of this.#queue) {
      if (stageOf(queued.fault) !== stage || !matches(queued.fault, request)) continue
      if (queued.skip > 0) queued.skip--
      else taken ??= queued
    }
    if (taken && --taken.left <= 0) this.#queue.splice(this.#queue.indexOf(taken), 1)
    return taken?.fault
  }
}

/** Whether the fault gives an answer of its own in place of the service's. */
export function answersItself(fault: Fault): boolean {
  return fault.status !== undefined || fault.body !== undefined || fault.retryAfter !== undefined
}

function stageOf(fault: Fault): 'head' | 'end' {
  return fault.reset === 'before' || fault.slowRead !== undefined ? 'head' : 'end'
}

function matches({ match }: Fault, request: RecordedRequest): boolean {
  if (match === undefined) return true
  if (typeof match === 'string') return request.path.includes(match)
  // A pattern with the g flag has a memory; search() has none.
  return match instanceof RegExp ? request.path.search(match) >= 0 : match(request)
}
