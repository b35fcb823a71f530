import { CheckpointError } from '../../core/errors.ts'
import type { Json, Slice } from '../../core/slice.ts'
import type { CsvColumn } from './csv-format.ts'
import { connectorName } from './file-error.ts'

/** Bytes of a text by their number and their CRC-32. */
export type Print = readonly [length: number, crc: number]

/** A part of a file's text. Places are bytes of the text: decompressed, and as UTF-8. */
export type FileRange = {
  /** Where the file was when this was planned. The content counts, not the name. */
  readonly path: string
  /** Device and inode. */
  readonly key: string
  readonly start: number
  readonly end: number
  /** Bytes of the file, packed, when this was planned. */
  readonly size: number
  /** Its last change, in milliseconds since 1970. */
  readonly modified: number
  /** CRC-32 of the text between start and end; a bounded read has none. */
  readonly crc?: number
  /** When the file was made, in milliseconds; 0 where that is not known. */
  readonly born?: number
  /** Of the text's begin. */
  readonly head?: Print
  /** Of the last bytes before `end`. */
  readonly tail?: Print
  /** Bytes of the whole text; -1 where it goes on behind this range. */
  readonly total?: number
  /** The document ends here (json). */
  readonly isToEnd?: boolean
  /** Names and types of the columns (csv). */
  readonly columns?: readonly (readonly [name: string, type: CsvColumn['type']])[]
}

/** Ranges of files that are read together, in order. */
export interface FilesSlice extends Slice {
  /** Number of the slice in its stream; a bounded read has none. */
  readonly number?: number
  readonly ranges: readonly (FileRange & { readonly [key: string]: Json | undefined })[]
  /** Device and inode of files that are gone, so that nothing of them needs to be kept. */
  readonly gone?: readonly string[]
}

/** @throws CheckpointError where it is no slice of files */
export function requireFilesSlice(slice: Slice): asserts slice is FilesSlice {
  const { ranges, number } = slice as Partial<FilesSlice>
  const isRange = (range: Partial<FileRange> | null) =>
    typeof range === 'object' &&
    typeof range?.path === 'string' &&
    typeof range.key === 'string' &&
    [range.start, range.end, range.size, range.crc].every((value) => Number.isSafeInteger(value))
  if (Array.isArray(ranges) && ranges.every(isRange) && Number.isSafeInteger(number)) return
  throw new CheckpointError('ERR_CHECKPOINT', `${slice.id} is no slice of files`, {
    connector: connectorName,
  })
}
