import type { Ends, Scanner } from '../../core/blocks.ts'
import { requireText } from './encoding.ts'
import type { FileBytes } from './file-bytes.ts'
import { FileError } from './file-error.ts'
import { type FileRange, type FileState, formatState } from './files-offset.ts'
import {
  crcOf,
  type Fingerprint,
  fingerprintOf,
  isSame,
  lastBytes,
  readStart,
  readText,
} from './fingerprint.ts'
import type { FilesStreamValues } from './options.ts'
import { canRead, hasHeader, headerBytes, headerMark, headerOf, scannerOf } from './read-records.ts'
import type { TextHeader } from './records.ts'

/** Minimum bytes of a piece, however little of a slice is left. */
const leastPiece = 256

/** Without the end of a record for this many times the longest record, the file has another format. */
const longestRecord = 8

/** Bytes of the first fingerprint: so few that a copy has them with its first write. */
const firstBytes = 64

/** What to read of a file. */
export interface Reading {
  readonly path: string
  /** The key that its state has. */
  readonly key: string
  /** Bytes of the file that count, packed. */
  readonly size: number
  readonly modified: number
  readonly start: number
  /** What was read of it, or of the file that it is a copy of. */
  readonly state: FileState | undefined
  /** It was cut or overwritten. */
  readonly isRestart: boolean
  /** Nothing more comes: a last record without its end is released if it can be read. */
  readonly isFinal: boolean
}

/** A range with its text. */
export interface TextRange {
  readonly range: FileRange
  readonly text: readonly Buffer[]
}

/** What became of the end of a file. */
export interface EndOfFile {
  /** Bytes behind the last range: the start of a record. */
  readonly rest: number
  /** Its packed data ends early: it is still being written, or was cut off. */
  readonly cutOff: FileError | undefined
}

/**
 * The ranges of a file that hold whole records, from a place on, each of about as many bytes as the slice has left.
 *
 * @throws FileError if it can't be read, or was cut while it was read: what was read of it since the last range is not
 *   emitted then
 */
export async function* rangesOf(
  bytes: FileBytes,
  reading: Reading,
  values: FilesStreamValues,
  space: () => number,
  signal: AbortSignal,
): AsyncGenerator<TextRange, EndOfFile> {
  const { start, size } = reading
  const maker = new RangeMaker(bytes, reading, values, signal)
  const scanner: Scanner & { readonly isDone?: boolean } = scannerOf(values, start > 0)
  /** Whole records, and behind them the start of one. */
  let records: Buffer[] = []
  let rest: Buffer[] = []
  let [from, recordBytes, restBytes] = [start, 0, 0]
  let cutOff: FileError | undefined
  let isFirst = !bytes.isTransformed
  await maker.begin()
  try {
    for await (const chunk of bytes.text(start, Number.POSITIVE_INFINITY, size, signal)) {
      if (isFirst && (start === 0 || reading.isRestart)) requireText(reading.path, chunk)
      isFirst = false
      for (let at = 0; at < chunk.length; ) {
        // More comes, so that what is full is not the last.
        if (recordBytes > 0 && recordBytes >= space()) {
          yield await maker.make(from, records, { left: -1 })
          from += recordBytes
          records = []
          recordBytes = 0
        }
        const left = Math.max(leastPiece, space() - recordBytes - restBytes)
        const piece = chunk.subarray(at, at + left)
        at += piece.length
        const last = scanner.scan(piece)?.last ?? 0
        if (last > 0) {
          records.push(...rest, piece.subarray(0, last))
          recordBytes += restBytes + last
          rest = []
          restBytes = 0
        }
        if (last < piece.length) {
          rest.push(piece.subarray(last))
          restBytes += piece.length - last
        }
        if (restBytes > longestRecord * values.max_line_bytes) {
          throw new FileError(
            reading.path,
            `has no end of a record within ${restBytes} bytes: it is not of format "${values.format}"`,
          )
        }
      }
    }
  } catch (error) {
    if (!(error instanceof FileError && error.isCut)) throw error
    cutOff = error
  }
  const isReleased =
    restBytes > 0 &&
    reading.isFinal &&
    !cutOff &&
    (await canRead(values, Buffer.concat(rest), from + recordBytes, maker.header))
  if (isReleased) {
    records.push(...rest)
    recordBytes += restBytes
  }
  const left = cutOff ? -1 : isReleased ? 0 : restBytes
  const isToEnd = isReleased || scanner.isDone === true
  const record = isReleased ? from + recordBytes - restBytes : undefined
  // Nothing new is noted too, so that the next look needs not read the file again to find that out.
  const isNothingNew = reading.state !== undefined && from === start && restBytes === 0 && !cutOff
  if (recordBytes > 0 || isNothingNew) yield await maker.make(from, records, { left, isToEnd, record })
  return { rest: isReleased ? 0 : restBytes, cutOff }
}

/** Makes ranges of a file, each with what is to be remembered of the file once it is read. */
class RangeMaker {
  readonly #bytes: FileBytes
  readonly #reading: Reading
  readonly #values: FilesStreamValues
  readonly #signal: AbortSignal
  /** The header in force, and its position. */
  header: TextHeader | undefined
  #headerAt = 0
  readonly #mark: string | undefined
  /** The text's start, and the text before the next range: for fingerprints. */
  #head: Buffer = Buffer.alloc(0)
  #before: Buffer = Buffer.alloc(0)
  #isRestart: boolean

  constructor(bytes: FileBytes, reading: Reading, values: FilesStreamValues, signal: AbortSignal) {
    this.#bytes = bytes
    this.#reading = reading
    this.#values = values
    this.#signal = signal
    this.#isRestart = reading.isRestart
    this.#mark = headerMark(values)
  }

  /** @throws FileError if the text before the start is not what it was */
  async begin(): Promise<void> {
    const { fingerprint_bytes: length } = this.#values
    const { start, size, state, path } = this.#reading
    if (hasHeader(this.#values)) await this.#readHeader(state?.header ?? (this.#isRestart ? start : 0))
    this.#head = await readStart(this.#bytes, length, size, this.#signal)
    this.#before = Buffer.concat(
      await readText(this.#bytes, Math.max(0, start - length), start, size, this.#signal),
    )
    const tail = state?.offset === start ? state.tail : undefined
    if (tail && tail[0] <= this.#before.length) {
      const before = this.#before.subarray(this.#before.length - tail[0])
      if (!isSame(fingerprintOf(before), tail)) throw changed(path)
    }
  }

  async make(
    from: number,
    text: readonly Buffer[],
    end: { left: number; isToEnd?: boolean; record?: number | undefined },
  ): Promise<TextRange> {
    const { fingerprint_bytes, format } = this.#values
    const { path, key, size, modified } = this.#reading
    await this.#requireUnchanged()
    const offset = from + text.reduce((sum, { length }) => sum + length, 0)
    this.#before = lastBytes([this.#before, ...text], fingerprint_bytes)
    const { header } = this
    await this.#findHeader(from, text)
    const range: FileRange = {
      path,
      key,
      start: from,
      end: offset,
      modified,
      crc: crcOf(text),
      state: formatState({
        left: end.left,
        size,
        modified,
        offset,
        record: end.record ?? offset,
        header: this.#headerAt,
        first: this.#fingerprint(Math.min(firstBytes, fingerprint_bytes, offset)),
        head: this.#fingerprint(Math.min(fingerprint_bytes, offset)),
        tail: fingerprintOf(this.#before),
        path,
      }),
      ...(this.#isRestart && { isRestart: true }),
      ...(end.isToEnd && format === 'json' && { isToEnd: true }),
      ...(header && { columns: header.columns.map(({ name, type }) => [name, type] as const) }),
      ...(header?.marks && { marks: header.marks }),
    }
    this.#isRestart = false
    return { range, text }
  }

  async #readHeader(at: number): Promise<void> {
    const { size } = this.#reading
    const head =
      at === 0
        ? await readStart(this.#bytes, headerBytes, size, this.#signal)
        : Buffer.concat(await readText(this.#bytes, at, at + headerBytes, size, this.#signal))
    this.header = headerOf(this.#values, head)
    this.#headerAt = at
  }

  /** The last header of a range is in force behind it. */
  async #findHeader(from: number, text: readonly Buffer[]): Promise<void> {
    if (this.#mark === undefined) return
    const whole = Buffer.concat(text)
    const isFirst = whole.toString('latin1', 0, this.#mark.length) === this.#mark
    const last = whole.lastIndexOf(`\n${this.#mark}`)
    if (last >= 0) await this.#readHeader(from + last + 1)
    else if (isFirst) await this.#readHeader(from)
  }

  #fingerprint(length: number): Fingerprint {
    return fingerprintOf(this.#head.subarray(0, length))
  }

  /** A file that was cut and written again while it was read would give a mixture. */
  async #requireUnchanged(): Promise<void> {
    if (this.#bytes.isTransformed) return
    const { path, size } = this.#reading
    if ((await this.#bytes.size()) < size) throw changed(path)
    const head = await this.#bytes.bytes(0, this.#head.length)
    if (!head.equals(this.#head)) throw changed(path)
  }
}

function changed(path: string): FileError {
  return new FileError(path, 'was cut or overwritten while it was read', undefined, 'shortened')
}

/**
 * The state of a file whose text so far is not wanted: it goes on behind its last whole record. However long the file
 * is, little of it is in memory; of lines in a plain file only the last ones are read.
 */
export async function stateAtEnd(
  bytes: FileBytes,
  { path, size, modified }: Pick<Reading, 'path' | 'size' | 'modified'>,
  values: FilesStreamValues,
  signal: AbortSignal,
): Promise<string> {
  const { fingerprint_bytes: length, format } = values
  const isOfLines = format !== 'csv' && format !== 'json'
  const [offset, total] =
    isOfLines && !bytes.isTransformed
      ? [await lastLineEnd(bytes, size), size]
      : await lastRecordEnd(bytes, size, scannerOf(values, false), signal)
  const head = Buffer.concat(await readText(bytes, 0, Math.min(length, offset), size, signal))
  const before = await readText(bytes, Math.max(0, offset - length), offset, size, signal)
  return formatState({
    left: total - offset,
    size,
    modified,
    offset,
    record: offset,
    header: 0,
    first: fingerprintOf(head.subarray(0, firstBytes)),
    head: fingerprintOf(head),
    tail: fingerprintOf(Buffer.concat(before)),
    path,
  })
}

async function lastLineEnd(bytes: FileBytes, size: number): Promise<number> {
  const step = 1 << 17
  for (let end = size; end > 0; end -= step) {
    const start = Math.max(0, end - step)
    const last = (await bytes.bytes(start, end)).lastIndexOf(10)
    if (last >= 0) return start + last + 1
  }
  return 0
}

/** @returns where the last whole record ends, and the text */
async function lastRecordEnd(
  bytes: FileBytes,
  size: number,
  scanner: Scanner,
  signal: AbortSignal,
): Promise<[offset: number, total: number]> {
  let [offset, total] = [0, 0]
  try {
    for await (const chunk of bytes.text(0, Number.POSITIVE_INFINITY, size, signal)) {
      const ends: Ends | undefined = scanner.scan(chunk)
      if (ends) offset = total + ends.last
      total += chunk.length
    }
  } catch (error) {
    if (!(error instanceof FileError && error.isCut)) throw error
  }
  return [offset, total]
}
