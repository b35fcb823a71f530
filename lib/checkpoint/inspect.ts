import { CheckpointError } from '../core/errors.ts'
import type { Offset, Slice } from '../core/slice.ts'
import { type Advance, Checkpoint } from './checkpoint.ts'
import type { Identity } from './state.ts'
import type { StoredText } from './store.ts'

/**
 * Where a checkpoint stands that a store was asked for, without taking it: another process may have it.
 *
 * @param identity what it must belong to
 * @returns undefined where there is none yet
 * @throws CheckpointError (`ERR_CHECKPOINT`) where it belongs to something else or can't be read
 */
export async function inspectCheckpoint<S extends Slice, O extends Offset>(
  { text, location }: StoredText,
  identity: Identity,
  advance: Advance<S, O>,
): Promise<O | undefined> {
  if (text === undefined) return undefined
  const session = {
    text,
    location,
    lost: new AbortController().signal,
    write: async () => {
      throw new CheckpointError('ERR_CHECKPOINT', `the checkpoint in ${location} is only looked at`)
    },
    [Symbol.asyncDispose]: async () => {},
  }
  const checkpoint = await Checkpoint.open<S, O>({ open: async () => session }, identity, advance)
  const { offset } = checkpoint
  await checkpoint.close()
  return offset
}
