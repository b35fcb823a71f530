import { Checkpoint } from '../core/checkpoint.ts'
import type { Identity } from '../core/checkpoint-state.ts'
import { CheckpointError } from '../core/errors.ts'
import { fromPlainWindow, type PlainWindow, toPlainWindow, type Window, windowId } from '../core/window.ts'

export interface BacklogOptions {
  /** Directory where it is kept which windows are done. */
  checkpointLocation: string
  /** The windows, abutting, as `planWindows` gives them. Needed the first time; later on those kept there count. */
  windows?: readonly PlainWindow[] | undefined
  /** What they are windows of, such as workspace and query. A directory of something else is refused. */
  identity?: Identity | undefined
}

/** Windows that are spread over workers, and which of them are done. One process has it open at a time. */
export class Backlog {
  readonly #checkpoint: Checkpoint

  /** @internal Use {@link openBacklog}. */
  constructor(checkpoint: Checkpoint) {
    this.#checkpoint = checkpoint
  }

  /** Windows that are not done, in order. */
  get pending(): PlainWindow[] {
    return this.#checkpoint.planned.map(toPlainWindow)
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
 * @throws CheckpointError where the directory is held by another process, is something else's, or has other windows
 */
export async function openBacklog(options: BacklogOptions): Promise<Backlog> {
  const { checkpointLocation, identity = {} } = options
  const windows = options.windows?.map(readWindow)
  const checkpoint = await Checkpoint.open(checkpointLocation, { ...identity, kind: 'backlog' })
  try {
    if (checkpoint.offset === undefined && windows?.length) await checkpoint.plan(...windows)
    else if (checkpoint.offset === undefined) {
      throw new CheckpointError('ERR_CHECKPOINT', `${checkpointLocation} has no windows yet: give windows`)
    } else if (windows) requireKnown(checkpoint, windows)
    return new Backlog(checkpoint)
  } catch (error) {
    await checkpoint.close()
    throw error
  }
}

function readWindow(plain: PlainWindow): Window {
  const window = fromPlainWindow(plain)
  if (window) return window
  throw new CheckpointError('ERR_CHECKPOINT', `no window: ${JSON.stringify(plain)}`)
}

function requireKnown(checkpoint: Checkpoint, windows: readonly Window[]): void {
  const given = new Set(windows.map(windowId))
  const missing = checkpoint.planned.find((window) => !given.has(windowId(window)))
  if (missing === undefined && windows.at(-1)?.end === checkpoint.end) return
  throw new CheckpointError(
    'ERR_CHECKPOINT',
    `${checkpoint.directory} has other windows than those given: leave windows out to go on with them, or use a new directory`,
  )
}
