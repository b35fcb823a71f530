import { Rate } from './rate.ts'
import type { Snapshot, Tally } from './tally.ts'

/** Milliseconds from one writing of the line to the next. */
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

  /** Puts a line of text above it. */
  print(text: string): void {
    process.stderr.write(`\r\x1b[K${text}\n`)
    this.#draw()
  }

  /** Takes the line away. */
  close(): void {
    clearInterval(this.#timer)
    process.stderr.write('\r\x1b[K')
  }

  #draw(): void {
    const counts = this.#tally.snapshot()
    const text = liveText(counts, this.#rate.look(counts.delivered ?? counts.read))
    // A line that wraps could not be written over.
    process.stderr.write(`\r\x1b[K${text.slice(0, (process.stderr.columns || 80) - 1)}`)
  }
}

function liveText(counts: Snapshot, rate: number): string {
  const {
    read,
    delivered = read,
    rejected,
    bytes,
    in_flight,
    retries,
    lag_seconds,
    range_done,
    queue,
  } = counts
  const parts = [
    `${delivered.toLocaleString('en')} rows`,
    `${rate.toLocaleString('en')} rows/s`,
    byteText(bytes),
    `${in_flight} in flight`,
    `${retries} retries`,
  ]
  if (rejected > 0) parts.push(`${rejected.toLocaleString('en')} refused`)
  if (range_done !== undefined) parts.push(`${Math.round(range_done * 100)} % of the time range`)
  if (queue) parts.unshift(queueText(queue))
  if (lag_seconds !== undefined) parts.push(`${durationText(lag_seconds)} behind now`)
  return parts.join('  ')
}

function queueText({ done, failed, total, paused, seconds_left }: NonNullable<Snapshot['queue']>): string {
  const left = seconds_left ? `, ${durationText(seconds_left)} left` : ''
  return `${done} of ${total} windows${failed > 0 ? `, ${failed} failed` : ''}${paused ? ', paused' : left}`
}

function byteText(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`
  const [unit, size] = bytes < 1e6 ? ['kB', 1e3] : bytes < 1e9 ? ['MB', 1e6] : ['GB', 1e9]
  return `${(bytes / size).toFixed(1)} ${unit}`
}

export function durationText(seconds: number): string {
  if (seconds < 120) return `${seconds} s`
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} d`
}
