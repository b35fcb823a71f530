import type { EventEmitter } from 'node:events'
import type { Report } from './report.ts'

/** Milliseconds from one note to the next. */
const pace = 10_000

/** What the `retry` events of sources and sinks have in common. */
interface Retry {
  readonly connector: string
  readonly wait: number
  readonly status?: number | undefined
  readonly code?: string | number | undefined
  readonly text?: string | undefined
  readonly error?: Error | undefined
}

/** Tells why requests are tried again: the first reason at once, then at most one line each ten seconds with a count. */
export class RetryNotes {
  readonly #report: Report
  #count = 0
  #last: number | undefined

  constructor(report: Report) {
    this.#report = report
  }

  watch(stream: EventEmitter): void {
    stream.on('retry', (event: Retry) => this.#take(event))
  }

  #take({ connector, wait, status, code, text, error }: Retry): void {
    this.#count++
    const now = performance.now()
    if (this.#last !== undefined && now - this.#last < pace) return
    this.#last = now
    const count = this.#count
    this.#count = 0
    const reason = text ?? error?.message ?? 'it failed'
    const said = status === undefined || reason.includes(String(status)) ? reason : `${status} ${reason}`
    const more = count > 1 ? `, ${count} retries since the last such line` : ''
    this.#report.note(
      'retrying',
      `${connector}: ${said}; tried again in ${(wait / 1000).toFixed(1)} s${more}`,
      { connector, status, code, retries: count, wait_seconds: wait / 1000 },
    )
  }
}
