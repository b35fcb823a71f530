import { ConnectorError } from '../core/errors.ts'
import { adviceFor } from './advice.ts'
import { LiveLine } from './live-line.ts'
import { Rate } from './rate.ts'
import type { Snapshot, Tally } from './tally.ts'

/** How a job tells of itself on standard error. */
export const logKinds = ['live', 'json', 'off'] as const
export type LogKind = (typeof logKinds)[number]

export type Outcome = 'done' | 'stopped' | 'failed'

/** Tells how a job goes, on standard error: standard output belongs to the rows. */
export interface Report {
  /** Something that happened, apart from the counts. */
  note(event: string, text: string, details?: Record<string, unknown>): void
  /** The last counts. */
  end(outcome: Outcome): void
  /** Nothing more is told. */
  close(): void
  failure(error: unknown): void
}

/** @param seconds between two lines of JSON */
export function startReport(kind: LogKind, tally: Tally, seconds: number): Report {
  if (kind === 'live') return new LiveReport(tally)
  return kind === 'json' ? new JsonReport(tally, seconds) : new SilentReport()
}

/** A line that is written over and over, and one at the end that stays. */
class LiveReport implements Report {
  readonly #tally: Tally
  readonly #line: LiveLine
  readonly #started = performance.now()

  constructor(tally: Tally) {
    this.#tally = tally
    this.#line = new LiveLine(tally)
  }

  note(_event: string, text: string): void {
    this.#line.print(text)
  }

  end(outcome: Outcome): void {
    const { read, delivered, rejected } = this.#tally.snapshot()
    const seconds = (performance.now() - this.#started) / 1000
    const count = (rows: number) => rows.toLocaleString('en')
    const arrived = delivered === undefined ? '' : `, ${count(delivered)} delivered`
    const refused = rejected > 0 ? `, ${count(rejected)} to the dead letter` : ''
    this.close()
    process.stderr.write(
      `${outcome}: ${count(read)} rows read${arrived}${refused}, ${seconds.toFixed(1)} s\n`,
    )
  }

  close(): void {
    this.#line.close()
  }

  failure(error: unknown): void {
    this.close()
    process.stderr.write(`${failureText(error)}\n`)
  }
}

/** A line of JSON an interval, and one for whatever happens in between. */
class JsonReport implements Report {
  readonly #tally: Tally
  readonly #rate = new Rate(1)
  readonly #timer: NodeJS.Timeout
  readonly #started = performance.now()

  constructor(tally: Tally, seconds: number) {
    this.#tally = tally
    this.#timer = setInterval(() => this.#print('progress', this.#counts()), seconds * 1000)
    this.#timer.unref()
  }

  note(event: string, text: string, details: Record<string, unknown> = {}): void {
    this.#print(event, { message: text, ...details })
  }

  end(outcome: Outcome): void {
    this.close()
    const seconds = Math.round(performance.now() - this.#started) / 1000
    const { rows_per_second: _, ...counts } = this.#counts()
    this.#print('end', { outcome, ...counts, seconds })
  }

  close(): void {
    clearInterval(this.#timer)
  }

  failure(error: unknown): void {
    this.close()
    const { code, status, serviceCode, window, problems } = error as ConnectorError
    const rows = this.#tally.undelivered ?? undelivered(error)
    this.#print('error', {
      code,
      message: (error as Error).message,
      status,
      service_code: serviceCode,
      window,
      problems,
      ...(rows > 0 && { undelivered: rows }),
      advice: error instanceof ConnectorError ? adviceFor(error.message, { status, error }) : undefined,
    })
  }

  #counts(): Snapshot & { rows_per_second: number } {
    const counts = this.#tally.snapshot()
    return { ...counts, rows_per_second: this.#rate.look(counts.delivered ?? counts.read) }
  }

  #print(event: string, details: object): void {
    process.stderr.write(`${JSON.stringify({ at: new Date().toISOString(), event, ...details })}\n`)
  }
}

class SilentReport implements Report {
  note(event: string, text: string): void {
    // Where rows are kept must not be lost.
    if (event === 'undelivered') process.stderr.write(`${text}\n`)
  }

  end(): void {}

  close(): void {}

  failure(error: unknown): void {
    process.stderr.write(`${failureText(error)}\n`)
  }
}

/** How many rows an error says were accepted and not delivered. */
function undelivered(error: unknown): number {
  return error instanceof ConnectorError ? (error.rows?.length ?? 0) : 0
}

/** An error as a person reads it: what is wrong, a line each. */
export function failureText(error: unknown): string {
  if (!(error instanceof Error)) return `cyber-connectors: ${String(error)}`
  if (!(error instanceof ConnectorError)) return `cyber-connectors: ${error.message}`
  const rows = undelivered(error)
  const lines = error.problems
    ? [`cyber-connectors: ${error.connector ?? 'options'}:`, ...error.problems.map((each) => `  ${each}`)]
    : [`cyber-connectors: ${error.message} (${error.code})`]
  const advice = adviceFor(error.message, { status: error.status, error })
  if (advice !== undefined) lines.push(`  ${advice}`)
  if (rows > 0) lines.push(`  ${rows} rows that had been read are not delivered`)
  return lines.join('\n')
}
