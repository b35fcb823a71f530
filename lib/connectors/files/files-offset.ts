import { CheckpointError } from '../../core/errors.ts'
import { connectorName } from './file-error.ts'
import type { FileRange, FilesSlice, Print } from './file-slice.ts'

/** Where a stream of files stands: how far each file is read. */
export type FilesOffset = {
  /** Number of the next slice. */
  readonly next?: number
  /** What is known of each file, by its device and inode, as `formatState` writes it. */
  readonly files?: { readonly [key: string]: string }
  /** Number of a look at the folders, in place of the above: up to what was there then. */
  readonly look?: number
}

/** What a stream remembers of a file. */
export interface FileState {
  /** Bytes of its text that are read. */
  readonly offset: number
  /** Bytes of its text in all; -1 where that is not known. */
  readonly total: number
  /** Bytes of the file, packed. */
  readonly size: number
  readonly modified: number
  readonly born: number
  /** Of the text's begin. */
  readonly head: Print
  /** Of the text before `offset`. */
  readonly tail: Print
}

/** A short text: there may be a hundred thousand of them in a checkpoint. */
export function formatState({ offset, total, size, modified, born, head, tail }: FileState): string {
  return [offset, total, size, modified, born, ...head, ...tail].join(' ')
}

/** @throws CheckpointError where it is none */
export function parseState(text: string): FileState {
  const numbers = text.split(' ').map(Number)
  if (numbers.length !== 9 || !numbers.every(Number.isSafeInteger)) {
    throw new CheckpointError(
      'ERR_CHECKPOINT',
      `${connectorName}: ${JSON.stringify(text)} is no state of a file`,
    )
  }
  const [offset, total, size, modified, born, headLength, headCrc, tailLength, tailCrc] = numbers as [
    number, number, number, number, number, number, number, number, number,
  ] // biome-ignore format: a list
  return { offset, total, size, modified, born, head: [headLength, headCrc], tail: [tailLength, tailCrc] }
}

/** The state of a file once a range of it is read. */
export function stateAfter({ end, total, size, modified, born, head, tail }: FileRange): FileState {
  const none: Print = [0, 0]
  return {
    offset: end,
    total: total ?? -1,
    size,
    modified,
    born: born ?? 0,
    head: head ?? none,
    tail: tail ?? none,
  }
}

/** The offset once a slice is done; changed in place. @throws CheckpointError where the slice does not follow */
export function advanceOffset(offset: FilesOffset, slice: FilesSlice): FilesOffset {
  const moving = offset as { next?: number; files?: Record<string, string> }
  if (slice.number !== (moving.next ?? 0)) {
    throw new CheckpointError(
      'ERR_CHECKPOINT',
      `${connectorName}: the slice ${slice.id} does not follow: the next one has the number ${moving.next ?? 0}`,
      { connector: connectorName },
    )
  }
  moving.files ??= {}
  for (const range of slice.ranges) moving.files[range.key] = formatState(stateAfter(range))
  for (const key of slice.gone ?? []) delete moving.files[key]
  moving.next = slice.number + 1
  return offset
}
