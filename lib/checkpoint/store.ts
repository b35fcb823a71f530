import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { CheckpointError } from '../core/errors.ts'

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
   * @param name distinguishes the checkpoints of one store; empty if it keeps only one
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
  /** The text as it was when the session began; undefined if there was none. */
  readonly text: string | undefined
  /** Location of the text, for errors. It holds no secret. */
  readonly location: string
  /** What to do about a state that can't be read, for errors. */
  readonly remedy?: string | undefined
  /** Puts another text in place of the whole one, durably. @throws CheckpointError once another process holds it */
  write(text: string): Promise<void>
  /** Adds to the end of what `write` put there, durably. If a store can't append, it writes the whole text. */
  append?(text: string): Promise<void>
  /** Fires once another process may hold the checkpoint; its reason is a CheckpointError. */
  readonly lost: AbortSignal
}

/** Another process holds the checkpoint; it may let go of it later. */
export class HeldError extends CheckpointError {
  constructor(message: string) {
    super('ERR_CHECKPOINT', message)
  }
}

/** This process held the checkpoint, and another one has it now or may have it. */
export class LostError extends CheckpointError {
  constructor(location: string, reason: string, cause?: unknown) {
    const details = cause === undefined ? {} : { cause }
    super(
      'ERR_CHECKPOINT',
      `the checkpoint in ${location} is lost: ${reason}. Nothing more is written`,
      details,
    )
  }
}

/** The store failed, and the same call may succeed later: a connection was reset, the server restarts. */
export class TransientError extends CheckpointError {
  constructor(message: string, cause?: unknown) {
    super('ERR_CHECKPOINT', message, cause === undefined ? {} : { cause })
  }
}

/** An error of a store or of the file system, as one of the checkpoint. */
export function asCheckpointError(error: unknown, context: string): CheckpointError {
  if (error instanceof CheckpointError) return error
  const text = error instanceof Error ? error.message : String(error)
  return new CheckpointError('ERR_CHECKPOINT', `${context}: ${text}`, { cause: error })
}

/** A string that identifies one opening of a checkpoint and its process. */
export function holderText(): string {
  return JSON.stringify({
    pid: process.pid,
    host: hostname(),
    since: new Date().toISOString(),
    id: randomUUID(),
  })
}

/** The holder in words, for errors. */
export function describeHolder(text: string): string {
  try {
    const { pid, host, since } = JSON.parse(text)
    return `process ${pid} on host "${host}" since ${since}`
  } catch {
    return 'another process'
  }
}
