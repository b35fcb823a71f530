import { CheckpointError } from '../../core/errors.ts'
import type { Json, Slice } from '../../core/slice.ts'
import { connectorName } from './file-error.ts'
import type { Fingerprint } from './fingerprint.ts'

/** A part of a file's text. Places are bytes of the text: decompressed, and as UTF-8. */
export type FileRange = {
  /** Path of the file at the last look. */
  readonly path: string
  /** Device, inode and birth. */
  readonly key: string
  readonly start: number
  /** Of a bounded read: bytes of the file, packed, when it was listed. */
  readonly end: number
  /** Its last change, in milliseconds since 1970. */
  readonly modified: number
  /** CRC-32 of the text between start and end; a bounded read has none. */
  readonly crc?: number
  /** What is remembered of the file once this is read, as `formatState` writes it. */
  readonly state?: string
  /** The file was cut or overwritten and is read from its start again: its former state may identify a copy. */
  readonly isRestart?: boolean
  /** The text ends here. */
  readonly isToEnd?: boolean
  /** Names and types of the columns, of formats with a header, and what `TextHeader` says besides. */
  readonly columns?: readonly (readonly [name: string, type: string])[]
  readonly marks?: readonly string[]
}

/** Ranges of files that are read together, in order. */
export interface FilesSlice extends Slice {
  /** Number of the slice in its stream; a bounded read has none. */
  readonly number?: number
  readonly ranges: readonly (FileRange & { readonly [key: string]: Json | undefined })[]
  /** Keys of files that are gone, of which nothing needs to be kept. */
  readonly gone?: readonly string[]
}

/** Offset of a stream of files: how far each file is read. */
export type FilesOffset = {
  /** Number of the next slice. */
  readonly next?: number
  /** What is known of each file, by its key, as `formatState` writes it. */
  readonly files?: { readonly [key: string]: string }
  /** Number of a look at the folders, in place of the above: up to what was there then. */
  readonly look?: number
}

/** What a stream remembers of a file. */
export interface FileState {
  /** Bytes of its text behind `offset` when it was looked at; -1 if that is not known. */
  readonly left: number
  /** Bytes of the file, packed. */
  readonly size: number
  readonly modified: number
  /** Bytes of its text that are read. */
  readonly offset: number
  /** Start of the last record, if it was released without its end; else `offset`. */
  readonly record: number
  /** Position of the header in force, in formats that have one. */
  readonly header: number
  /** Of the text's first bytes, few enough that a copy has them early. */
  readonly first: Fingerprint
  /** Of the text's start, up to `offset` at most. */
  readonly head: Fingerprint
  /** Of the text before `offset`. */
  readonly tail: Fingerprint
  /** Its path at the last look. */
  readonly path: string
}

/** A short text: there may be a hundred thousand of them in a checkpoint. */
export function formatState(state: FileState): string {
  const { left, size, modified, offset, record, header, first, head, tail, path } = state
  return [left, size, modified, offset, record, header, ...first, ...head, ...tail, path].join(' ')
}

/** Whether a state says that a file of this size and date has nothing left to read, without parsing it. */
export function isReadToEnd(state: string, { size, modified }: { size: number; modified: number }): boolean {
  return state.startsWith(`0 ${size} ${modified} `)
}

/** @throws CheckpointError if it is none */
export function parseState(text: string): FileState {
  const parts = text.split(' ', 12)
  const numbers = parts.map(Number)
  if (numbers.length !== 12 || !numbers.every(Number.isSafeInteger)) {
    throw new CheckpointError(
      'ERR_CHECKPOINT',
      `${connectorName}: ${JSON.stringify(text)} is no state of a file: the checkpoint is damaged or of another ` +
        'version. Start with a new checkpoint',
      { connector: connectorName },
    )
  }
  const [left, size, modified, offset, record, header] = numbers as [
    number,
    number,
    number,
    number,
    number,
    number,
  ]
  const [firstLength, firstCrc, headLength, headCrc, tailLength, tailCrc] = numbers.slice(6)
  return {
    left,
    size,
    modified,
    offset,
    record,
    header,
    first: [firstLength!, firstCrc!],
    head: [headLength!, headCrc!],
    tail: [tailLength!, tailCrc!],
    path: text.slice(parts.reduce((sum, part) => sum + part.length + 1, 0)),
  }
}

/** The key under which the state of a file that was cut is kept on, until its copy is found. */
export function formerKey(key: string, slice: number): string {
  return `${key}~${slice}`
}

/** The offset once a slice is done; changed in place. @throws CheckpointError if the slice does not follow */
export function advanceOffset(offset: FilesOffset, slice: FilesSlice): FilesOffset {
  const moving = offset as { next?: number; files?: Record<string, string> }
  const next = moving.next ?? 0
  if (slice.number !== next) {
    throw new CheckpointError(
      'ERR_CHECKPOINT',
      `${connectorName}: the slice ${slice.id} does not follow: the next one has the number ${next}`,
      { connector: connectorName },
    )
  }
  moving.files ??= {}
  for (const { key, state, isRestart } of slice.ranges) {
    const before = moving.files[key]
    if (isRestart && before !== undefined) moving.files[formerKey(key, next)] = before
    if (state !== undefined) moving.files[key] = state
  }
  for (const key of slice.gone ?? []) delete moving.files[key]
  moving.next = next + 1
  return offset
}

/** @throws CheckpointError if it is no slice of files */
export function requireFilesSlice(slice: Slice): asserts slice is FilesSlice {
  const { ranges, number, gone = [] } = slice as Partial<FilesSlice>
  const isRange = (range: Partial<FileRange> | null) =>
    typeof range === 'object' &&
    typeof range?.path === 'string' &&
    typeof range.key === 'string' &&
    typeof range.state === 'string' &&
    [range.start, range.end, range.modified, range.crc].every((value) => Number.isSafeInteger(value))
  const isWhole =
    Array.isArray(ranges) &&
    ranges.every(isRange) &&
    Array.isArray(gone) &&
    gone.every((key) => typeof key === 'string')
  if (isWhole && Number.isSafeInteger(number)) return
  throw new CheckpointError('ERR_CHECKPOINT', `${slice.id} is no slice of files`, {
    connector: connectorName,
  })
}
