import type { Scanner } from '../../core/blocks.ts'
import type { Slice } from '../../core/slice.ts'
import type { Planner } from '../../source/planner.ts'
import { type CsvColumn, csvColumns } from './csv-format.ts'
import { FileBytes } from './file-bytes.ts'
import { FileError } from './file-error.ts'
import { FileHistory, type KnownFile } from './file-history.ts'
import { type FileRange, type FilesSlice, requireFilesSlice } from './file-slice.ts'
import { advanceOffset, type FileState, type FilesOffset, formatState, parseState } from './files-offset.ts'
import type { FolderWatch } from './folder-watch.ts'
import type { HeldTexts } from './held-texts.ts'
import { type ListedFile, type Listing, listFiles } from './listing.ts'
import { csvHeadBytes, type FilesStreamValues, listingSettings, schemaNames } from './options.ts'
import { crcOf, endsWith, isSame, printOf, tailOf, textOf } from './prints.ts'
import { scannerOf } from './read-records.ts'

/** A slice with little room left is filled by pieces no smaller than this. */
const leastPiece = 256

/** A text without the end of a record for so many times the longest record is something else. */
const longestRecord = 8

/** What a planner tells its stream. */
export interface PlannerEvents {
  /** A file is passed over. */
  skipped(path: string, problem: string): void
  /** Nothing is there that the paths mean. */
  waiting(paths: readonly string[]): void
}

/** A file with something to read. */
interface Pending {
  readonly file: ListedFile
  /** Where to begin. */
  readonly start: number
  /** What was read of it, or of the file that it is a copy of. */
  readonly state: FileState | undefined
}

/** A range with its text. */
interface TextRange {
  readonly range: FileRange
  readonly text: readonly Buffer[]
}

/** Slices of the files that are there: whole records, from where each file was read to, up to its end. */
export class FilesPlanner implements Planner<FilesSlice, FilesOffset> {
  readonly #values: FilesStreamValues
  readonly #held: HeldTexts
  readonly #watch: FolderWatch
  readonly #events: PlannerEvents
  /** Looks whose files are not planned yet, by their numbers. */
  readonly #looks = new Map<number, Listing>()
  #lookNumber = 0
  /** Milliseconds that the last look took. */
  #lookTime = 0
  /** Keys that are gone, as two looks have found. */
  #lacked = new Set<string>()
  /** Files that were told to be passed over, as they were then. */
  readonly #skipped = new Map<string, string>()
  readonly #never = new AbortController().signal

  constructor(values: FilesStreamValues, held: HeldTexts, watch: FolderWatch, events: PlannerEvents) {
    this.#values = values
    this.#held = held
    this.#watch = watch
    this.#events = events
  }

  async initialOffset(_earliest: unknown, signal: AbortSignal): Promise<FilesOffset> {
    if (this.#values.start_at === 'beginning') return { next: 0, files: {} }
    const files: Record<string, string> = {}
    for (const file of (await this.#list(signal)).files) {
      let last: FileRange | undefined
      for await (const { range } of this.#rangesOf({ file, start: 0, state: undefined }, Infinity))
        last = range
      if (last) files[file.key] = formatState(stateOf(last))
    }
    return { next: 0, files }
  }

  /** Looks at the folders. */
  async latestOffset(signal: AbortSignal): Promise<FilesOffset> {
    const listing = await this.#list(signal)
    if (listing.files.length === 0) this.#events.waiting(this.#values.path)
    const look = ++this.#lookNumber
    // A look that nobody plans is of no use once there is a newer one.
    this.#looks.clear()
    this.#looks.set(look, listing)
    return { look }
  }

  async *slices(from: FilesOffset, until: FilesOffset): AsyncGenerator<FilesSlice, void> {
    const listing = this.#looks.get(until.look ?? -1) ?? (await this.#list(this.#never))
    const gone = await this.#goneSince(from.files ?? {}, listing)
    const pending = await this.#pending(from.files ?? {}, listing)
    let number = from.next ?? 0
    let ranges: TextRange[] = []
    let bytes = 0
    const slice = (): FilesSlice => {
      const made = sliceOf(number++, ranges, gone.splice(0))
      this.#held.hold(
        made.id,
        ranges.map(({ text }) => text),
      )
      ranges = []
      bytes = 0
      return made
    }
    const { maxBytesPerTrigger, maxFilesPerTrigger } = this.#values
    for (const each of pending) {
      for await (const found of this.#rangesOf(each, () => maxBytesPerTrigger - bytes)) {
        ranges.push(found)
        bytes += found.range.end - found.range.start
        if (bytes >= maxBytesPerTrigger || ranges.length >= maxFilesPerTrigger) yield slice()
      }
    }
    if (ranges.length > 0) yield slice()
  }

  /** Looks follow one another no closer than one takes, so that a large folder leaves time for reading. */
  async changed(signal: AbortSignal): Promise<void> {
    await this.#watch.changed(this.#lookTime, signal)
  }

  advance(offset: FilesOffset, slice: FilesSlice): FilesOffset {
    return advanceOffset(offset, slice)
  }

  passed(offset: FilesOffset, id: string): boolean {
    const number = Number(id.slice(0, id.indexOf(':')))
    return Number.isSafeInteger(number) && number < (offset.next ?? 0)
  }

  check(slice: Slice): void {
    requireFilesSlice(slice)
  }

  /** From the last change of its files. */
  lag({ ranges }: FilesSlice): number {
    return Date.now() - ranges.reduce((newest, { modified }) => Math.max(newest, modified), 0)
  }

  async #list(signal: AbortSignal): Promise<Listing> {
    const begun = performance.now()
    this.#watch.looked()
    const listing = await listFiles(listingSettings(this.#values), signal)
    this.#watch.watch(listing.folders)
    this.#lookTime = performance.now() - begun
    return listing
  }

  /**
   * Files that two looks have lacked: one alone may have fallen between two names. Where a given path is not there, as
   * when a disk is not mounted, nothing counts as gone.
   */
  async #goneSince(states: Readonly<Record<string, string>>, { files, missing }: Listing): Promise<string[]> {
    const there = new Set(files.map(({ key }) => key))
    const lacked = missing.length > 0 ? [] : Object.keys(states).filter((key) => !there.has(key))
    if (lacked.some((key) => !this.#lacked.has(key))) {
      for (const { key } of (await this.#list(this.#never)).files) there.add(key)
    }
    this.#lacked = new Set(lacked.filter((key) => !there.has(key)))
    return [...this.#lacked]
  }

  /** The files with something to read, and where to begin in each. */
  async #pending(states: Readonly<Record<string, string>>, listing: Listing): Promise<Pending[]> {
    const known: Pending[] = []
    const strange: ListedFile[] = []
    const lost = new Set<string>()
    const there = new Set<string>()
    for (const file of listing.files) {
      // Two names of one file.
      if (there.has(file.key)) continue
      there.add(file.key)
      const text = states[file.key]
      if (text === undefined) {
        strange.push(file)
        continue
      }
      const state = parseState(text)
      const place = await this.#placeIn(file, state)
      if (place === 'on') known.push({ file, start: state.offset, state })
      else if (place === 'lost') {
        // It may be a copy of another one: the inode of a file that was deleted is soon a new file's.
        lost.add(file.key)
        strange.push(file)
      }
    }
    if (lost.size > 0) {
      // What was cut may have been copied after the folder was looked at and before the file was.
      for (const file of (await this.#list(this.#never)).files) {
        if (there.has(file.key) || states[file.key] !== undefined) continue
        there.add(file.key)
        strange.push(file)
      }
    }
    const found = await this.#origins(states, listing, strange, (key) => lost.has(key) || !there.has(key))
    // Copies first: what follows may put another state in the place of the one that they were known by.
    const isCut = ({ file }: Pending) => lost.has(file.key)
    const order = [...known, ...found.filter((each) => !isCut(each))]
    order.sort((a, b) => a.file.modified - b.file.modified || (a.file.path < b.file.path ? -1 : 1))
    return [...order, ...found.filter(isCut)].filter(({ file }) => file.size > 0)
  }

  /** Whether a file that was read goes on where it was, has nothing new, or has lost what was read. */
  async #placeIn(file: ListedFile, state: FileState): Promise<'on' | 'none' | 'lost'> {
    if (state.born !== 0 && file.born !== 0 && state.born !== file.born) return 'lost'
    if (file.size === state.size && file.modified === state.modified) {
      const isWhole = state.offset === state.total
      // A last line without its end: the file has to be still for a time.
      return isWhole || (state.total >= 0 && !this.#isStill(file)) ? 'none' : 'on'
    }
    if (file.size === 0) return 'lost'
    return this.#passingOver(file, 'none', async (bytes) => {
      if (!bytes.isTransformed && file.size < state.offset) return 'lost'
      const head = Buffer.concat(await textOf(bytes, 0, state.head[0], file.size, this.#never))
      if (!isSame(printOf(head), state.head)) return 'lost'
      return (await endsWith(bytes, state.offset, state.tail, file.size, this.#never)) ? 'on' : 'lost'
    })
  }

  /** Where to begin in files that were not read: behind what was read of the file that they are a copy of. */
  async #origins(
    states: Readonly<Record<string, string>>,
    listing: Listing,
    strange: readonly ListedFile[],
    isLost: (key: string) => boolean,
  ): Promise<Pending[]> {
    const length = this.#values.fingerprint_bytes
    const whole = (file: ListedFile): Pending => ({ file, start: 0, state: undefined })
    if (length === 0 || strange.length === 0) return strange.map(whole)
    const history = new FileHistory(states, isLost, length)
    // A file beside one that has its name with an ending, such as ".gz", is told by that even if it is short.
    const knownAt = new Map<string, KnownFile>()
    const pathOf = new Map<string, string>()
    for (const { path, key } of listing.files) {
      if (states[key] === undefined) continue
      knownAt.set(path, { key, state: parseState(states[key]) })
      pathOf.set(key, path)
    }
    const found: Pending[] = []
    for (const file of strange) {
      const beside = knownAt.get(file.path.replace(/\.(?:gz|br|zst)$/i, ''))
      if (file.size === 0 || (history.isEmpty && !beside)) {
        found.push(whole(file))
        continue
      }
      const place = await this.#passingOver(file, whole(file), async (bytes) => {
        const head = Buffer.concat(await textOf(bytes, 0, length, file.size, this.#never))
        const alike = history.alike(head)
        if (beside && isSame(printOf(head.subarray(0, beside.state.head[0])), beside.state.head))
          alike.push(beside)
        for (const { key, state } of alike) {
          if (!(await endsWith(bytes, state.offset, state.tail, file.size, this.#never))) continue
          // What the file itself still has is read there.
          const original = isLost(key) ? undefined : pathOf.get(key)
          const start =
            original === undefined ? state.offset : await this.#sharedEnd(bytes, file, original, state.offset)
          return { file, start, state }
        }
        return whole(file)
      })
      found.push(place)
    }
    return found
  }

  /** Up to where the text of a copy goes on as that of its original. */
  async #sharedEnd(copy: FileBytes, file: ListedFile, original: string, offset: number): Promise<number> {
    let bytes: FileBytes | undefined
    try {
      const rest = Buffer.concat(await textOf(copy, offset, Infinity, file.size, this.#never))
      bytes = await FileBytes.open(original)
      const end = offset + rest.length
      const there = Buffer.concat(await textOf(bytes, offset, end, await bytes.size(), this.#never))
      return there.equals(rest) ? end : offset
    } catch (error) {
      if (!(error instanceof FileError)) throw error
      return offset
    } finally {
      await bytes?.close()
    }
  }

  #isStill(file: ListedFile): boolean {
    return Date.now() - file.modified >= this.#values.settling_delay_seconds * 1000
  }

  /** Opens a file for a look. One that can't be read is told of when it is read. */
  async #passingOver<T>(file: ListedFile, otherwise: T, look: (bytes: FileBytes) => Promise<T>): Promise<T> {
    let bytes: FileBytes | undefined
    try {
      bytes = await FileBytes.open(file.path, file.key)
      return await look(bytes)
    } catch (error) {
      if (!(error instanceof FileError)) throw error
      return otherwise
    } finally {
      await bytes?.close()
    }
  }

  /**
   * The ranges of a file that hold whole records, each of about as many bytes as there is room for; the last one up to
   * the end where the file is still.
   */
  async *#rangesOf(pending: Pending, room: number | (() => number)): AsyncGenerator<TextRange, void> {
    let bytes: FileBytes | undefined
    try {
      const { path, key } = pending.file
      bytes = await FileBytes.open(path, key)
      yield* this.#cut(bytes, pending, typeof room === 'number' ? () => room : room)
    } catch (error) {
      if (!(error instanceof FileError)) throw error
      // It went, or was cut, since the look: a later one tells what became of it.
      if (error.isChanged) return
      if (!this.#values.ignoreCorruptFiles) throw error
      const { key, size, modified } = pending.file
      const seen = `${size} ${modified}`
      if (this.#skipped.get(key) !== seen) this.#events.skipped(error.path, error.message)
      this.#skipped.set(key, seen)
    } finally {
      await bytes?.close()
    }
  }

  async *#cut(bytes: FileBytes, pending: Pending, room: () => number): AsyncGenerator<TextRange, void> {
    const { file, start } = pending
    const { fingerprint_bytes, format, max_line_bytes } = this.#values
    const scanner: Scanner & { readonly isDone?: boolean } = scannerOf(this.#values, start > 0)
    const columns = this.#values.format === 'csv' ? await this.#columnsOf(bytes, file) : undefined
    let head = pending.state?.head
    if (!head || head[0] < fingerprint_bytes) {
      head = printOf(Buffer.concat(await textOf(bytes, 0, fingerprint_bytes, file.size, this.#never)))
    }
    const before =
      start === pending.state?.offset
        ? pending.state.tail
        : printOf(
            Buffer.concat(
              await textOf(bytes, Math.max(0, start - fingerprint_bytes), start, file.size, this.#never),
            ),
          )
    const make = (from: number, text: readonly Buffer[], total: number, isToEnd: boolean): TextRange => {
      const end = from + text.reduce((sum, { length }) => sum + length, 0)
      const range: FileRange = {
        path: file.path,
        key: file.key,
        start: from,
        end,
        size: file.size,
        modified: file.modified,
        crc: crcOf(text),
        born: file.born,
        head: head!,
        tail: text.length > 0 ? printOf(tailOf(text, fingerprint_bytes)) : before,
        total,
        ...(isToEnd && { isToEnd }),
        ...(columns && { columns: columns.map(({ name, type }) => [name, type] as const) }),
      }
      return { range, text }
    }
    /** Whole records, and behind them the begin of one. */
    let records: Buffer[] = []
    let rest: Buffer[] = []
    let [from, recordBytes, restBytes] = [start, 0, 0]
    let isCutOff = false
    try {
      for await (const chunk of bytes.text(start, Infinity, file.size, this.#never)) {
        for (let at = 0; at < chunk.length; ) {
          // More comes, so that what is full is not the last.
          if (recordBytes > 0 && recordBytes >= room()) {
            yield make(from, records, -1, false)
            from += recordBytes
            records = []
            recordBytes = 0
          }
          const left = Math.max(leastPiece, room() - recordBytes - restBytes)
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
          if (restBytes > longestRecord * max_line_bytes) {
            throw new FileError(
              file.path,
              `has no end of a record within ${restBytes} bytes: it is not of format "${format}"`,
            )
          }
        }
      }
    } catch (error) {
      // A packed file that ends early may still be written.
      if (!(error instanceof FileError && error.isCut) || this.#isStill(file)) throw error
      isCutOff = true
    }
    const isStill = !isCutOff && this.#isStill(file)
    const total = isCutOff ? -1 : from + recordBytes + restBytes
    if (isStill && restBytes > 0) {
      records.push(...rest)
      recordBytes += restBytes
    }
    const isToEnd = isStill || scanner.isDone === true
    if (recordBytes > 0) yield make(from, records, total, isToEnd)
    // Nothing new: noted all the same, so that the next look needs not read the file again to find that out.
    else if (pending.state && from === start && restBytes === 0 && !isCutOff)
      yield make(from, [], total, false)
  }

  async #columnsOf(bytes: FileBytes, file: ListedFile): Promise<CsvColumn[]> {
    const head = await textOf(bytes, 0, csvHeadBytes, file.size, this.#never)
    return csvColumns(Buffer.concat(head), this.#values, schemaNames(this.#values))
  }
}

function stateOf(range: FileRange): FileState {
  return {
    offset: range.end,
    total: range.total ?? -1,
    size: range.size,
    modified: range.modified,
    born: range.born ?? 0,
    head: range.head!,
    tail: range.tail!,
  }
}

function sliceOf(number: number, ranges: readonly TextRange[], gone: readonly string[]): FilesSlice {
  const first = ranges[0]!.range
  return {
    id: `${number}:${first.path}@${first.start}`,
    number,
    ranges: ranges.map(({ range }) => range),
    ...(gone.length > 0 && { gone }),
  }
}
