import { Checkpoint } from '../checkpoint/checkpoint.ts'
import type { Identity } from '../checkpoint/state.ts'
import type { CheckpointStore } from '../checkpoint/store.ts'
import { CheckpointError, OptionError } from '../core/errors.ts'
import { fromPlainWindow, type PlainWindow, toPlainWindow } from '../core/window.ts'
import { type WindowOffset, windowCourse } from '../source/windows.ts'

export interface BacklogOptions {
  /** Directory of the record of finished windows. Either this or `checkpoint`. */
  checkpointLocation?: string | undefined
  /** Store of that record, such as `openStore(url)` gives, for a backlog that moves between hosts. */
  checkpoint?: CheckpointStore | undefined
  /** The windows, abutting, as `planWindows` gives them. Needed the first time; later on those kept there count. */
  windows?: readonly PlainWindow[] | undefined
  /** What they are windows of, such as workspace and query. A directory of something else is refused. */
  identity?: Identity | undefined
}

/** Windows that are spread over workers, and which of them are done. One process has it open at a time. */
export class Backlog {
  readonly #checkpoint: Checkpoint<PlainWindow, WindowOffset>

  /** @internal Use {@link openBacklog}. */
  constructor(checkpoint: Checkpoint<PlainWindow, WindowOffset>) {
    this.#checkpoint = checkpoint
  }

  /** Windows that are not done, in order. */
  get pending(): PlainWindow[] {
    return [...this.#checkpoint.planned]
  }

  /** Notes a window as done: all its rows are settled. In any order; twice does no harm. @throws CheckpointError */
  async commit(id: string): Promise<void> {
    await this.#checkpoint.commit(id)
  }

  async close(): Promise<void> {
    await this.#checkpoint.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

/**
 * Opens the account of a backlog, or begins it.
 *
 *     await using backlog = await openBacklog({ checkpointLocation: './backlog', windows: planWindows({ … }) })
 *     for (const window of backlog.pending) queue.send(window)
 *     queue.onDone((window) => backlog.commit(window.id))
 *
 * @throws CheckpointError where the directory or store is held by another process, is something else's, or has other
 * windows; OptionError where neither or both of them are given
 */
export async function openBacklog(options: BacklogOptions): Promise<Backlog> {
  const { identity = {} } = options
  const windows = options.windows?.map(readWindow)
  const checkpoint = await Checkpoint.open(placeOf(options), { ...identity, kind: 'backlog' }, windowCourse)
  try {
    if (checkpoint.offset === undefined && windows?.length) {
      await checkpoint.begin({ timestamp: windows[0]!.start }, ...windows)
    } else if (checkpoint.offset === undefined) {
      throw new CheckpointError('ERR_CHECKPOINT', `${checkpoint.location} has no windows yet: give windows`)
    } else if (windows) requireKnown(checkpoint, windows)
    return new Backlog(checkpoint)
  } catch (error) {
    await checkpoint.close()
    throw error
  }
}

function placeOf({ checkpointLocation, checkpoint }: BacklogOptions): string | CheckpointStore {
  const given = checkpointLocation ?? checkpoint
  if (given !== undefined && (checkpointLocation === undefined || checkpoint === undefined)) return given
  throw new OptionError('backlog', ['expected either checkpointLocation or checkpoint'])
}

function readWindow(plain: PlainWindow): PlainWindow {
  const window = fromPlainWindow(plain)
  if (window) return toPlainWindow(window)
  throw new CheckpointError('ERR_CHECKPOINT', `no window: ${JSON.stringify(plain)}`)
}

function requireKnown(
  checkpoint: Checkpoint<PlainWindow, WindowOffset>,
  windows: readonly PlainWindow[],
): void {
  const given = new Set(windows.map(({ id }) => id))
  const missing = checkpoint.planned.find(({ id }) => !given.has(id))
  if (missing === undefined && windows.at(-1)?.end === checkpoint.end?.timestamp) return
  throw new CheckpointError(
    'ERR_CHECKPOINT',
    `${checkpoint.location} has other windows than those given: leave windows out to go on with them, or use a new place`,
  )
}
