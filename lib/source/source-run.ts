import { Checkpoint } from '../checkpoint/checkpoint.ts'
import type { CheckpointStore, OpenOptions } from '../checkpoint/store.ts'
import { onAbort } from '../core/on-abort.ts'
import { longestTimer, pause } from '../core/retry.ts'
import type { Offset, Slice } from '../core/slice.ts'
import type { SliceSource } from './planner.ts'
import { readAhead } from './read-ahead.ts'

export interface RunSettings<S extends Slice, O extends Offset, T> {
  readonly source: Pick<SliceSource<S, O>, 'planner' | 'identity' | 'initialOffset'>
  /** Where offsets are kept; undefined keeps none. */
  readonly place: string | CheckpointStore | undefined
  /** Seconds from one look for new slices to the next, once caught up. */
  readonly pollInterval: number
  /** Whether to end when all is out that was there at the start. */
  readonly availableNow: boolean
  /** Slices opened ahead of the one that is worked on. */
  readonly readAhead: number
  /** Whether to wait while another process has the checkpoint. Default: an error at once. */
  readonly standby?: boolean
  /** Starts to read a slice. */
  open(slice: S): T
  /** Frees a slice that was opened and is not wanted. */
  close(opened: T): void
  /** Called with the offset where the run starts. */
  onStart?(offset: O): void
  /** Called when all available slices are done, with the milliseconds until the next look. */
  onIdle?(wait: number): void
  /** Called once another process may have the checkpoint. */
  onLost?(reason: unknown): void
}

/** A slice of a run, opened. */
export interface RunSlice<S extends Slice, O extends Offset, T> {
  readonly slice: S
  readonly opened: T
  /** For a slice that an earlier run left: the offset once it is done too. Others move the offset by themselves. */
  readonly after: O | undefined
}

/**
 * One run of a source, from its plan to its commits: opens the checkpoint, lays slices, notes each before it is opened,
 * opens them ahead, and commits them. A stream in a plain pipeline and a streaming query both drive it.
 */
export class SourceRun<S extends Slice, O extends Offset, T> {
  readonly #settings: RunSettings<S, O, T>
  readonly #stop = new AbortController()
  #checkpoint: Checkpoint<S, O> | undefined
  /** What opens and closes the checkpoint, one after the other. */
  #turn: Promise<unknown> = Promise.resolve()
  /** Slices laid and not done. */
  #undone = 0
  /** When to look for new slices, by `performance.now()`, while all available ones are planned. */
  #nextLook: number | undefined

  constructor(settings: RunSettings<S, O, T>) {
    this.#settings = settings
  }

  get stopped(): AbortSignal {
    return this.#stop.signal
  }

  /**
   * The slices in order: first those that the checkpoint holds as planned and not committed. Ends when all is out with
   * `availableNow`, or when the run is stopped.
   *
   * @throws CheckpointError if the checkpoint can't be opened, or another process may have it
   */
  async *slices(): AsyncGenerator<RunSlice<S, O, T>, void> {
    const { open, close, place, readAhead: ahead } = this.#settings
    if (place !== undefined) await this.#openToRun(place)
    const opened = readAhead(
      this.#lay(),
      ahead,
      ({ slice, after }) => ({ slice, after, opened: open(slice) }),
      (item) => close(item.opened),
    )
    for await (const item of opened) {
      if (!this.stopped.aborted) yield item
      else {
        // It stays planned.
        close(item.opened)
        break
      }
    }
    this.throwIfLost()
  }

  /** @throws CheckpointError if another process may have the checkpoint */
  throwIfLost(): void {
    this.#checkpoint?.lost.throwIfAborted()
  }

  /** To be called when a slice's rows are all handed on, or delivered. */
  done(): void {
    this.#undone--
    this.#reportIdle()
  }

  /**
   * Commits slices. A checkpoint that this run does not hold, because it has not started or has ended, is opened for it.
   *
   * @returns where the checkpoint stands now
   * @throws CheckpointError
   */
  async commit(...ids: readonly string[]): Promise<O> {
    return this.#inTurn(async () => {
      const { source, place } = this.#settings
      const checkpoint = this.#checkpoint ?? (await this.#open(place!, {}))
      try {
        await checkpoint.commit(...ids)
        const offset = checkpoint.offset!
        await source.planner.committed?.(offset)
        return offset
      } finally {
        if (checkpoint !== this.#checkpoint) await checkpoint.close()
      }
    })
  }

  /** Ends the run after the slices that are out. */
  stop(): void {
    this.#stop.abort()
  }

  /** Ends the run and releases its checkpoint. Further commits open it again. */
  async close(): Promise<void> {
    this.stop()
    await this.#inTurn(async () => {
      await this.#checkpoint?.close()
      this.#checkpoint = undefined
    })
  }

  async #inTurn<R>(work: () => Promise<R>): Promise<R> {
    const turn = this.#turn.then(work)
    this.#turn = turn.catch(() => {})
    return turn
  }

  async #openToRun(place: string | CheckpointStore): Promise<void> {
    await this.#inTurn(async () => {
      if (this.stopped.aborted) return
      try {
        const wait = this.#settings.standby
        this.#checkpoint = await this.#open(place, { wait, signal: this.stopped })
      } catch (error) {
        // Stopped while it waited as a standby.
        if (this.stopped.aborted) return
        throw error
      }
    })
    const { lost } = this.#checkpoint ?? {}
    if (!lost) return
    const lose = () => {
      this.stop()
      this.#settings.onLost?.(lost.reason)
    }
    if (lost.aborted) lose()
    else lost.addEventListener('abort', lose, { once: true })
  }

  async #open(place: string | CheckpointStore, options: OpenOptions): Promise<Checkpoint<S, O>> {
    const { planner, identity } = this.#settings.source
    return Checkpoint.open<S, O>(place, identity, planner, options)
  }

  /** Lays slices, and notes each in the checkpoint before it is opened. */
  async *#lay(): AsyncGenerator<Omit<RunSlice<S, O, T>, 'opened'>, void> {
    const { source, pollInterval, availableNow, onStart } = this.#settings
    const { planner } = source
    const checkpoint = this.#checkpoint
    const { stopped } = this
    if (stopped.aborted) return
    const latest = () => this.#unlessStopped(planner.latestOffset(stopped))

    let until = availableNow ? await latest() : undefined
    const start = checkpoint?.offset ?? (await this.#unlessStopped(source.initialOffset(stopped)))
    if (start === undefined) return
    // Noted at once, so that "latest" does not move on when the stream is started again before its first slice.
    await checkpoint?.begin(start)
    onStart?.call(this.#settings, start)
    const left = checkpoint?.planned ?? []
    for (const [index, slice] of left.entries()) {
      if (stopped.aborted) return
      this.#undone++
      // Some between those that are left may be committed already, so only the last of them moves the offset.
      yield { slice, after: index === left.length - 1 ? checkpoint!.end! : start }
    }
    let at = checkpoint?.end ?? structuredClone(start)
    for (;;) {
      const look = performance.now()
      until ??= await latest()
      if (until === undefined || stopped.aborted) return
      for await (const slice of planner.slices(at, until)) {
        if (stopped.aborted) return
        await checkpoint?.plan(slice)
        at = planner.advance(at, slice)
        this.#undone++
        yield { slice, after: undefined }
        if (stopped.aborted) return
      }
      if (availableNow) return
      until = undefined
      const interval = Math.min(pollInterval * 1000, longestTimer)
      this.#nextLook = look + interval
      this.#reportIdle()
      await this.#unlessStopped(this.#untilNextLook(Math.max(0, look + interval - performance.now())))
      this.#nextLook = undefined
      if (stopped.aborted) return
    }
  }

  /** Idle is who has done all slices: those read ahead may still be out when the last one is laid. */
  #reportIdle(): void {
    if (this.#undone > 0 || this.#nextLook === undefined) return
    const wait = Math.max(0, this.#nextLook - performance.now())
    this.#nextLook = undefined
    this.#settings.onIdle?.(wait)
  }

  /** @returns undefined if the run was stopped first */
  async #unlessStopped<R>(asked: Promise<R>): Promise<R | undefined> {
    try {
      return await asked
    } catch (error) {
      if (this.stopped.aborted) return undefined
      throw error
    }
  }

  /** Waits for the time of the next look, or until the source says that there may be something new. */
  async #untilNextLook(wait: number): Promise<void> {
    const { planner } = this.#settings.source
    if (!planner.changed) return pause(wait, this.stopped)
    const over = new AbortController()
    const forget = onAbort(this.stopped, (reason) => over.abort(reason))
    try {
      this.stopped.throwIfAborted()
      const waits = [pause(wait, over.signal), planner.changed(over.signal)]
      // The loser of the race fails when it is over, which is nothing to report.
      for (const each of waits) each.catch(() => {})
      await Promise.race(waits)
    } finally {
      forget()
      over.abort()
    }
  }
}
