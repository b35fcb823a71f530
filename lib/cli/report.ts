import type { EventEmitter } from 'node:events'
import { ConnectorError } from '../core/errors.ts'
import { byteText, counted, durationText } from '../core/quantities.ts'
import { adviceFor, failureText, printable, undeliveredRows } from './failures.ts'
import type { Snapshot, Tally } from './tally.ts'

/** Forms of the report on standard error. */
export const logKinds = ['live', 'json', 'off'] as const
export type LogKind = (typeof logKinds)[number]

export type Outcome = 'done' | 'stopped' | 'failed'

/** Reports the progress of a job on standard error: standard output carries rows. */
export interface JobReport {
  /** Reports an event. */
  note(event: string, text: string, details?: Record<string, unknown>): void
  /** Reports the final counts. */
  end(outcome: Outcome): void
  /** Stops reporting. */
  close(): void
  failure(error: unknown): void
}

/** @param seconds between two lines of JSON */
export function startReport(kind: LogKind, tally: Tally, seconds: number): JobReport {
  if (kind === 'live') return new LiveReport(tally)
  return kind === 'json' ? new JsonReport(tally, seconds) : new SilentReport()
}

/** One line that is updated in place, and a final one. */
class LiveReport implements JobReport {
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
      `${outcome}: ${counted(read, 'row')} read${arrived}${refused}, ${seconds.toFixed(1)} s\n`,
    )
  }

  close(): void {
    this.#line.close()
  }

  failure(error: unknown): void {
    this.close()
    process.stderr.write(`${failureText(error, this.#tally.undelivered !== undefined)}\n`)
  }
}

/** One line of JSON at each interval and for each event. */
class JsonReport implements JobReport {
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
    const rows = this.#tally.undelivered ?? undeliveredRows(error)
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
    const line = { at: new Date().toISOString(), level: levelOf(event), event, ...details }
    process.stderr.write(`${printable(JSON.stringify(line, rounded))}\n`)
  }
}

/** The level of an event, as log collectors have it. */
function levelOf(event: string): 'info' | 'warn' | 'error' {
  if (event === 'error' || event === 'failed') return 'error'
  return ['retry', 'retrying', 'undelivered', 'stalled', 'queue', 'skipped'].includes(event) ? 'warn' : 'info'
}

/** Numbers in log lines have at most three decimals. */
function rounded(_key: string, value: unknown): unknown {
  return typeof value === 'number' ? Math.round(value * 1000) / 1000 : value
}

class SilentReport implements JobReport {
  note(event: string, text: string): void {
    // The user must learn of the file of undelivered rows.
    if (event === 'undelivered') process.stderr.write(`${printable(text)}\n`)
  }

  end(): void {}

  close(): void {}

  failure(error: unknown): void {
    process.stderr.write(`${failureText(error)}\n`)
  }
}

/** Milliseconds between two updates of the line. */
const pace = 200

/** One line of a terminal that shows a job's counts as they grow. */
export class LiveLine {
  readonly #tally: Tally
  readonly #rate = new Rate(10)
  readonly #timer: NodeJS.Timeout

  constructor(tally: Tally) {
    this.#tally = tally
    this.#timer = setInterval(() => this.#draw(), pace)
    this.#timer.unref()
    this.#draw()
  }

  /** Prints a line above it. */
  print(text: string): void {
    process.stderr.write(`\r\x1b[K${printable(text)}\n`)
    this.#draw()
  }

  /** Removes the line. */
  close(): void {
    clearInterval(this.#timer)
    process.stderr.write('\r\x1b[K')
  }

  #draw(): void {
    const counts = this.#tally.snapshot()
    // A line that wraps could not be updated in place.
    const most = (process.stderr.columns || 80) - 1
    const text = liveText(counts, this.#rate.look(counts.delivered ?? counts.read), most)
    process.stderr.write(`\r\x1b[K${text}`)
  }
}

/** The counts in the order of their worth; the last ones are left out where the line is too short. @param most characters */
export function liveText(counts: Snapshot, rate: number, most: number): string {
  const { read, delivered = read, rejected, bytes, in_flight, retries } = counts
  const { lag_seconds, range_done, progress, queue } = counts
  const parts = [counted(delivered, 'row'), `${rate.toLocaleString('en')} rows/s`]
  if (queue) parts.unshift(queueText(queue))
  if (progress) parts.push(progressText(progress))
  parts.push(byteText(bytes), `${in_flight} in flight`, `${retries} retries`)
  if (rejected > 0) parts.push(`${rejected.toLocaleString('en')} rejected`)
  if (range_done !== undefined && !progress) parts.push(`${Math.round(range_done * 100)} % read`)
  if (lag_seconds !== undefined) parts.push(`${durationText(lag_seconds)} behind now`)
  while (parts.length > 1 && parts.join('  ').length > most) parts.pop()
  return parts.join('  ').slice(0, most)
}

function progressText({ bytes_read, bytes_there, seconds_left }: NonNullable<Snapshot['progress']>): string {
  const percent = bytes_there > 0 ? Math.floor((100 * bytes_read) / bytes_there) : 100
  const left = seconds_left === undefined ? '' : `, ${durationText(seconds_left)} left`
  return `${byteText(bytes_read)} of ${byteText(bytes_there)}, ${percent} %${left}`
}

function queueText({ done, failed, total, paused, seconds_left }: NonNullable<Snapshot['queue']>): string {
  const left = seconds_left ? `, ${durationText(seconds_left)} left` : ''
  return `${done} of ${counted(total, 'window')}${failed > 0 ? `, ${failed} failed` : ''}${paused ? ', paused' : left}`
}

/** Rows a second over the last few samples. */
class Rate {
  readonly #looks: { at: number; rows: number }[] = [{ at: performance.now(), rows: 0 }]
  readonly #kept: number

  /** @param kept number of samples that the rate covers */
  constructor(kept: number) {
    this.#kept = kept
  }

  /** @returns the current rate, rounded to an integer */
  look(rows: number): number {
    const now = performance.now()
    this.#looks.push({ at: now, rows })
    if (this.#looks.length > this.#kept + 1) this.#looks.shift()
    const [first] = this.#looks
    return Math.round((rows - first!.rows) / Math.max((now - first!.at) / 1000, 0.001))
  }
}

/** Minimum milliseconds between two notes. */
const notePace = 10_000

/** The common part of the `retry` events of sources and sinks. */
interface Retry {
  readonly connector: string
  readonly wait: number
  readonly status?: number | undefined
  readonly code?: string | number | undefined
  readonly text?: string | undefined
  readonly error?: Error | undefined
}

/** Files that a line is printed for, at most: a folder may have any number of those that can't be read. */
const mostFiles = 100

/**
 * Reports why requests are retried (the first reason at once, then at most one line every ten seconds, with a count), which
 * files are not read, and which count as a copy of another one.
 */
export class StreamNotes {
  readonly #report: JobReport
  #count = 0
  #last: number | undefined
  /** What was said of files: each look at a folder finds the same again. */
  readonly #ofFiles = new Set<string>()

  constructor(report: JobReport) {
    this.#report = report
  }

  watch(stream: EventEmitter): void {
    stream.on('retry', (event: Retry) => this.#take(event))
    stream.on('skipped', ({ path, problem }: { path: string; problem: string }) =>
      this.#ofFile('skipped', problem.includes(path) ? problem : `${path} ${problem}`, { path }),
    )
    stream.on('copy', ({ path, original, offset }: { path: string; original: string; offset: number }) => {
      const text = `${path} is a copy of ${original}, which was read: it is read from byte ${offset}`
      this.#ofFile('copy', text, { path, original, offset })
    })
  }

  #ofFile(event: string, text: string, details: Record<string, unknown>): void {
    if (this.#ofFiles.size > mostFiles || this.#ofFiles.has(text)) return
    this.#ofFiles.add(text)
    if (this.#ofFiles.size <= mostFiles) this.#report.note(event, `${event}: ${text}`, details)
    else this.#report.note(event, `${event}: and more files, which are not named here`)
  }

  #take({ connector, wait, status, code, text, error }: Retry): void {
    this.#count++
    const now = performance.now()
    if (this.#last !== undefined && now - this.#last < notePace) return
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
