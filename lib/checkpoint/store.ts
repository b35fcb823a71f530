import type { CheckpointError } from '../core/errors.ts'

export interface OpenOptions {
  /** Waits until no other process holds the checkpoint, as a standby does. Default: an error at once. */
  readonly wait?: boolean | undefined
  /** Ends the waiting. */
  readonly signal?: AbortSignal | undefined
  /** Called with what a standby waits for: who holds the checkpoint, or why the store can't be asked. */
  readonly onWait?: ((reason: CheckpointError) => void) | undefined
}

/** Where checkpoints are kept: each is one text that one process at a time holds and writes. */
export interface CheckpointStore {
  /**
   * Takes hold of a checkpoint.
   *
   * @param name tells the checkpoints of one store apart; empty where it keeps only one
   * @throws CheckpointError (`ERR_CHECKPOINT`) where another process holds it and `wait` is not set, or the store can't
   *   be used
   */
  open(name: string, options?: OpenOptions): Promise<CheckpointSession>
  /**
   * Looks at a checkpoint and does not take hold of it: another process may have it.
   *
   * @throws CheckpointError where the store can't be used
   */
  read?(name: string): Promise<StoredText>
}

/** A checkpoint as it was when it was looked at. */
export type StoredText = Pick<CheckpointSession, 'text' | 'location'>

/** A checkpoint that this process holds, until it is disposed of or `lost` fires. */
export interface CheckpointSession extends AsyncDisposable {
  /** The text as it was when the session began; undefined where there was none. */
  readonly text: string | undefined
  /** Where the text is, for errors. It holds no secret. */
  readonly location: string
  /** What to do about a text that can't be read, for errors. */
  readonly remedy?: string | undefined
  /** Puts another text in place of the whole one, durably. @throws CheckpointError once another process holds it */
  write(text: string): Promise<void>
  /** Adds to the end of what `write` put there, durably. Where a store has no such call, the text is written whole. */
  append?(text: string): Promise<void>
  /** Fires once another process may hold the checkpoint; its reason is a CheckpointError. */
  readonly lost: AbortSignal
}
