import { CheckpointError } from '../core/errors.ts'

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

/** The store failed, and the same call may succeed later: a connection was reset, the server starts anew. */
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
