import type { Answer } from './answer.ts'

/**
 * Every code of the HTTP Event Collector with its HTTP status and text.
 * https://help.splunk.com/en/splunk-enterprise/get-started/get-data-in/10.0/get-data-with-http-event-collector/troubleshoot-http-event-collector
 */
export const hecCodes: Readonly<Record<number, readonly [status: number, text: string]>> = {
  0: [200, 'Success'],
  1: [403, 'Token disabled'],
  2: [401, 'Token is required'],
  3: [401, 'Invalid authorization'],
  4: [403, 'Invalid token'],
  5: [400, 'No data'],
  6: [400, 'Invalid data format'],
  7: [400, 'Incorrect index'],
  8: [500, 'Internal server error'],
  9: [503, 'Server is busy'],
  10: [400, 'Data channel is missing'],
  11: [400, 'Invalid data channel'],
  12: [400, 'Event field is required'],
  13: [400, 'Event field cannot be blank'],
  14: [400, 'ACK is disabled'],
  15: [400, 'Error in handling indexed fields'],
  16: [400, 'Query string authorization is not enabled'],
  17: [200, 'HEC is healthy'],
  18: [503, 'HEC is unhealthy, queues are full'],
  19: [503, 'HEC is unhealthy, ack service unavailable'],
  20: [503, 'HEC is unhealthy, queues are full, ack service unavailable'],
  21: [400, 'Invalid token'],
  22: [400, 'Token disabled'],
  23: [503, 'Server is shutting down'],
  24: [200, 'HEC queue is approaching its capacity limit'],
  25: [200, 'HEC ACK is approaching its capacity limit'],
  26: [429, 'HEC queue is at capacity and cannot process any more requests'],
  27: [429, 'HEC ACK channel is at capacity and cannot process any more requests'],
  28: [
    400,
    'Data channel is missing. If you have multiple indexers, sticky session load balancers must be provisioned in front of them.',
  ],
}

/** The answer for a code. `eventNumber` and `ackId` are left out when undefined. */
export function hecAnswer(code: number, eventNumber?: number, ackId?: number): Answer {
  const [status, text] = hecCodes[code] ?? [400, 'Unknown']
  // JSON.stringify leaves undefined members out.
  return { status, body: { text, code, 'invalid-event-number': eventNumber, ackId } }
}

/** What the service gives for a path or method it doesn't know. */
export function notFound(status: 404 | 405): Answer {
  return { status, body: { text: 'The requested URL was not found on this server.', code: 404 } }
}

/** 413 and 415 come from the HTTP server below HEC, as a page. */
export function htmlError(status: 413 | 415): Answer {
  const text = status === 413 ? 'Content-Length too large' : 'Unsupported Media Type'
  return {
    status,
    headers: { 'content-type': 'text/html; charset=UTF-8' },
    body: `<!doctype html><html><head><title>${status} ${text}</title></head><body><h1>${text}</h1></body></html>\r\n`,
  }
}

/** Codes of a 200: the data is in. */
const ACCEPTED = new Set([0, 24, 25])
/** Codes that name the event at fault. */
const NAMING = new Set([6, 7, 9, 12, 13, 15])

export interface PlannedCode {
  code: number
  /** Bodies left to hit. */
  left: number
  /** The object it strikes at, from 0. Undefined: the whole body. */
  row?: number
  retryAfter?: number | string | undefined
}

/** Codes that the collector was told to answer. A body takes the first that fits it. */
export class PlannedCodes {
  #queue: PlannedCode[] = []

  add(planned: PlannedCode): void {
    this.#queue.push(planned)
  }

  clear(): void {
    this.#queue = []
  }

  /** Uses up the next code for a whole body. */
  takeWhole(): PlannedCode | undefined {
    return this.take(this.#queue.find(({ row }) => row === undefined))
  }

  /** Whether any body's single row is to be struck: if not, nobody has to count rows. */
  get hasRows(): boolean {
    return this.#queue.some(({ row }) => row !== undefined)
  }

  /** The next code for a row of a body with `count` objects, not yet used up. */
  rowOf(count: number): (PlannedCode & { row: number }) | undefined {
    return this.#queue.find(
      (planned): planned is PlannedCode & { row: number } => (planned.row ?? count) < count,
    )
  }

  take<Planned extends PlannedCode | undefined>(planned: Planned): Planned {
    if (planned && --planned.left <= 0) this.#queue.splice(this.#queue.indexOf(planned), 1)
    return planned
  }
}

/** Whether data is taken in with this code. */
export function accepts(code: number): boolean {
  return ACCEPTED.has(code)
}

/**
 * The `invalid-event-number` for object `at`: one more for code 7, counted from `busyBase` for code 9, none for a code
 * that names no event.
 */
export function eventNumber(code: number, at: number | undefined, busyBase: number): number | undefined {
  if (at === undefined || !NAMING.has(code)) return undefined
  if (code === 7) return at + 1
  return code === 9 ? at + busyBase : at
}
