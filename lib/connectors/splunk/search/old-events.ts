import { fromDate, ticksPerSecond } from '../../../core/time.ts'
import type { SourceVerdict } from '../../../core/verdict.ts'
import type { Window } from '../../../core/window.ts'
import type { ExportAnswer } from './export.ts'
import { timeBounds } from './search-request.ts'

/** Milliseconds between two looks: with arrival alone as its bound, a search opens every bucket of the index. */
const pace = 86_400_000

/**
 * Warns once if the look-back leaves out events that arrived. A history that is loaded into Splunk is older than it, and a
 * reader of windows of arrival gets nothing, without a word. So it looks when a window is empty, at most once a day.
 */
export class OldEvents {
  readonly #search: string
  readonly #lookBack: number
  #lookedAt = -Infinity
  #isReported = false

  /** @param search selects the events @param lookBack in seconds */
  constructor(search: string, lookBack: number) {
    this.#search = search
    this.#lookBack = lookBack
  }

  /**
   * Counts what arrived from the start of an empty window until now and is too old for each window since. A failure of it is
   * no fault of the window, and is left alone.
   * @param run runs a search with these parameters
   */
  async look(
    { start }: Window,
    run: (parameters: Record<string, string>) => Promise<SourceVerdict<ExportAnswer>>,
  ): Promise<void> {
    if (this.#isReported || performance.now() - this.#lookedAt < pace) return
    this.#lookedAt = performance.now()
    const bounds = timeBounds(
      { start, end: fromDate(Date.now()) },
      { window_by: 'index_time', look_back_seconds: 'all', look_ahead_seconds: 0 },
      false,
    )
    const latest = start / ticksPerSecond - BigInt(this.#lookBack)
    const found = await run({
      search: `${this.#search}\n| stats count AS events`,
      ...bounds,
      latest_time: String(latest > 0n ? latest : 0n),
    }).catch(() => undefined)
    if (found?.kind !== 'accepted') return
    try {
      for await (const results of found.value.results()) this.#report(Number(results[0]?.['events'] ?? 0))
    } finally {
      found.value.release()
    }
  }

  #report(count: number): void {
    if (!(count > 0) || this.#isReported) return
    this.#isReported = true
    const age =
      this.#lookBack % 86_400 === 0 ? `${this.#lookBack / 86_400} days` : `${this.#lookBack} seconds`
    const events = `${count.toLocaleString('en')} ${count === 1 ? 'event is' : 'events are'}`
    process.emitWarning(
      `splunk: ${events} older than ${age} at their arrival, and left out: look_back_seconds is ${this.#lookBack}; set look_back_seconds: all to read them`,
      { code: 'CYBER_CONNECTORS_OLD_EVENTS' },
    )
  }
}
