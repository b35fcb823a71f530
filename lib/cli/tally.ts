import type { EventEmitter } from 'node:events'
import type { QueueStatus } from '../streaming/bullmq/index.ts'

/** The counts of a job so far. */
export interface Snapshot {
  /** Rows that the source released. */
  readonly read: number
  /** Rows that the sink delivered; absent if the sink does not count. */
  readonly delivered?: number
  /** Rows in the dead letter, unreadable lines included. */
  readonly rejected: number
  /** Bytes of the rows delivered, before compression. */
  readonly bytes: number
  /** Requests in flight. */
  readonly in_flight: number
  /** Retried requests of source and sink, and windows that ran again. */
  readonly retries: number
  /** Streaming: seconds from the end of the last committed window to now. */
  readonly lag_seconds?: number
  /** Streaming: windows committed. */
  readonly windows?: number
  /** Bounded reads: how much of the time range is done, from 0 to 1. */
  readonly range_done?: number
  /** Bounded reads of files: bytes of them as they are on disk, and the seconds that the rest takes at this pace. */
  readonly progress?: {
    readonly bytes_read: number
    readonly bytes_there: number
    readonly seconds_left?: number
  }
  /** Workers: the whole queue, over all of them. */
  readonly queue?: {
    readonly done: number
    readonly failed: number
    readonly total: number
    readonly paused: boolean
    readonly seconds_left?: number
  }
}

/** A stream with counts. A user's own stream may have none. */
interface Counted extends EventEmitter {
  readonly stats?: Partial<
    Record<'written' | 'delivered' | 'rejected' | 'bytes' | 'inFlight' | 'retries', number>
  >
  readonly progress?: { readonly read: number; readonly there: number } | undefined
}

/** Sums the counts of the streams of a job. A streaming job makes a new sink for each window. */
export class Tally {
  read = 0
  /** Unreadable lines, written to the dead letter. */
  badLines = 0
  windows: number | undefined
  /** Streaming: rows before this time are committed, in milliseconds on the clock of `performance.now()`. */
  committed: number | undefined
  /** Streaming, of a source without times: everything available is delivered, so it lags by nothing. */
  #isCaughtUp = false
  /** Rows written to the file of undelivered rows. */
  undelivered: number | undefined
  /** Windows that ran again. */
  reruns = 0
  /** Workers: the progress of the whole queue. */
  queue: QueueStatus | undefined
  #done: number | undefined
  #progress: (() => Counted['progress']) | undefined
  readonly #started = performance.now()
  #closed = { delivered: 0, rejected: 0, bytes: 0, retries: 0 }
  /** Whether a sink has no counts. */
  #uncounted = false
  readonly #sinks = new Set<Counted>()
  readonly #sources = new Set<Counted>()

  /** Adds the counts of a source to the sum. They stay after it has closed. */
  watchSource(source: Counted): void {
    this.#watch(source, this.#sources)
    this.#progress = () => source.progress
    source.on('window', ({ done }: { done?: number }) => {
      this.#done = done
    })
  }

  /** A source without times has nothing more to read. */
  noteCaughtUp(): void {
    this.#isCaughtUp = true
  }

  /** A row was read. Of a source that was caught up the lag starts now. */
  noteRead(): void {
    this.read++
    if (!this.#isCaughtUp) return
    this.#isCaughtUp = false
    this.committed = performance.now()
  }

  watchSink(sink: Counted): void {
    if (sink.stats?.delivered === undefined) this.#uncounted = true
    this.#watch(sink, this.#sinks)
  }

  snapshot(): Snapshot {
    const sum = { ...this.#closed, in_flight: 0 }
    for (const { stats } of this.#sinks) {
      sum.delivered += stats?.delivered ?? 0
      sum.rejected += stats?.rejected ?? 0
      sum.bytes += stats?.bytes ?? 0
      sum.in_flight += stats?.inFlight ?? 0
      sum.retries += stats?.retries ?? 0
    }
    for (const { stats } of this.#sources) sum.retries += stats?.retries ?? 0
    const { read, committed, windows } = this
    const { delivered, ...others } = sum
    return {
      read,
      ...(!this.#uncounted && { delivered }),
      ...others,
      rejected: sum.rejected + this.badLines,
      retries: sum.retries + this.reruns,
      ...(committed !== undefined && {
        lag_seconds: this.#isCaughtUp ? 0 : Math.max(0, Math.round((performance.now() - committed) / 1000)),
      }),
      ...(windows !== undefined && { windows }),
      ...(this.queue && { queue: queueCounts(this.queue) }),
      ...this.#progressNow(),
      ...(this.#done !== undefined && { range_done: Math.round(this.#done * 1000) / 1000 }),
    }
  }

  #progressNow(): Pick<Snapshot, 'progress'> {
    const { read = 0, there } = this.#progress?.() ?? {}
    if (there === undefined) return {}
    const seconds = (performance.now() - this.#started) / 1000
    const seconds_left = Math.ceil((seconds * (there - read)) / read)
    const progress = { bytes_read: read, bytes_there: there }
    return { progress: read > 0 ? { ...progress, seconds_left } : progress }
  }

  #watch(stream: Counted, streams: Set<Counted>): void {
    streams.add(stream)
    stream.once('close', () => {
      streams.delete(stream)
      const isSink = streams === this.#sinks
      this.#closed.retries += stream.stats?.retries ?? 0
      if (!isSink) return
      for (const count of ['delivered', 'rejected', 'bytes'] as const) {
        this.#closed[count] += stream.stats?.[count] ?? 0
      }
    })
  }
}

function queueCounts({ completed, failed, total, paused, secondsLeft }: QueueStatus) {
  const seconds = secondsLeft === undefined ? {} : { seconds_left: Math.ceil(secondsLeft) }
  return { done: completed, failed, total, paused, ...seconds }
}
