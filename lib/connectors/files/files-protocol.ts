import { ConnectorError } from '../../core/errors.ts'
import type { Health } from '../../core/health.ts'
import { counted } from '../../core/quantities.ts'
import type { SourceVerdict } from '../../core/verdict.ts'
import type { Ask, Page, Row, SourceObserver, SourceProtocol } from '../../source/protocol.ts'
import { FileBytes } from './file-bytes.ts'
import { connectorName, FileError, fileError, RecordError } from './file-error.ts'
import type { FileRange, FilesOffset, FilesSlice } from './files-offset.ts'
import { readStart } from './fingerprint.ts'
import { listFiles } from './listing.ts'
import { FaultyRecord, type MalformedEvent, MalformedRecords } from './malformed.ts'
import { type FilesValues, listingSettings } from './options.ts'
import { findText, type PlannedText } from './planned-text.ts'
import { hasHeader, headerBytes, headerOf, RecordReader, type RecordText } from './read-records.ts'

/** Event `skipped`: a file, or a part of it, is not read, for now or permanently. */
export interface SkippedEvent {
  readonly path: string
  readonly problem: string
}

/** The events of files besides those of every source, with their arguments. */
export interface FileEvents {
  malformed: [event: MalformedEvent]
  skipped: [event: SkippedEvent]
}

/** What a protocol works with beside its options. */
interface FilesProtocolParts {
  /** Texts that were read to plan them. */
  readonly text?: PlannedText
  /** Called for each record that is left out or put aside. */
  readonly onMalformed: () => void
  /** Called with the bytes of a file, packed, that were read since the last call, or need not be read. */
  readonly onRead?: (bytes: number) => void
}

/** Reads slices of files. */
export class FilesProtocol implements SourceProtocol<FilesSlice, FilesOffset> {
  readonly connector = connectorName
  readonly #values: FilesValues
  readonly #observer: SourceObserver
  readonly #text: PlannedText | undefined
  readonly #malformed: MalformedRecords
  readonly #reader: RecordReader
  readonly #onRead: (bytes: number) => void

  constructor(
    values: FilesValues,
    observer: SourceObserver,
    { text, onMalformed, onRead }: FilesProtocolParts,
  ) {
    this.#values = values
    this.#observer = observer
    this.#text = text
    this.#onRead = onRead ?? (() => {})
    this.#malformed = new MalformedRecords(values, (event) => {
      onMalformed()
      observer.emit('malformed', event)
    })
    this.#reader = new RecordReader(values, this.#malformed)
  }

  async ask({ slice }: Ask<FilesSlice>, signal: AbortSignal): Promise<SourceVerdict<Page>> {
    this.#observer.request()
    try {
      const isPlanned = slice.number !== undefined
      return {
        kind: 'accepted',
        value: await (isPlanned ? this.#planned(slice, signal) : this.#whole(slice, signal)),
      }
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof ConnectorError && !(error instanceof FileError)) return { kind: 'fatal', error }
      const failure = fileError(slice.ranges[0]?.path ?? slice.id, error)
      return { kind: failure.isTransient ? 'retry' : 'fatal', error: failure }
    }
  }

  async health(signal: AbortSignal): Promise<SourceVerdict<Health>> {
    try {
      const { files } = await listFiles(listingSettings(this.#values), signal)
      const [first] = files
      if (first) await (await FileBytes.open(first.path)).close()
      const text = first
        ? `${counted(files.length, 'file')} found`
        : `no file is there of ${this.#values.path.join(', ')}`
      return { kind: 'accepted', value: { healthy: first !== undefined, text } }
    } catch (error) {
      return { kind: 'fatal', error: fileError(this.#values.path[0]!, error) }
    }
  }

  close(): void {
    this.#malformed.close()
    this.#text?.clear()
  }

  /** A slice of a stream: its text is held, and is what it was when it was planned. */
  async #planned(slice: FilesSlice, signal: AbortSignal): Promise<Page> {
    const held = this.#text?.take(slice.id)
    const records: RecordText[] = []
    let bytes = 0
    for (const [index, range] of slice.ranges.entries()) {
      if (range.end === range.start) continue
      const chunks = held?.[index] ?? (await this.#found(range, signal))
      if (!chunks) continue
      bytes += range.end - range.start
      records.push({
        path: range.path,
        modified: range.modified,
        offset: range.start,
        isToEnd: range.isToEnd ?? false,
        chunks: each(chunks),
        header: range.columns && {
          columns: range.columns.map(([name, type]) => ({ name, type })),
          marks: range.marks,
        },
      })
    }
    return { rows: this.#rows(records, signal), bytes }
  }

  /** @returns undefined if it is gone: unless an option says so, that is no reason to end the stream at each start */
  async #found(range: FileRange, signal: AbortSignal): Promise<readonly Buffer[] | undefined> {
    try {
      return await findText(range, listingSettings(this.#values), signal)
    } catch (error) {
      if (!(error instanceof FileError && error.isLost) || this.#values.ignoreMissingFiles === false)
        throw error
      this.#skip(error)
      return undefined
    }
  }

  /** A slice of a bounded read: one file, read as its rows are asked for. */
  async #whole({ ranges }: FilesSlice, signal: AbortSignal): Promise<Page> {
    const { path, key, end: size, modified } = ranges[0]!
    let file: FileBytes
    try {
      file = await FileBytes.open(path, key)
    } catch (error) {
      if (!(error instanceof FileError) || !this.#isSkipped(error)) throw error
      this.#skip(error)
      this.#onRead(size)
      return { rows: each([]), bytes: 0 }
    }
    let isReading = false
    let reported = 0
    const report = (reached: number) => {
      this.#onRead(Math.min(reached, size) - reported)
      reported = Math.min(reached, size)
    }
    const rows = async function* (this: FilesProtocol): AsyncGenerator<readonly Row[], void> {
      isReading = true
      try {
        const header = hasHeader(this.#values)
          ? headerOf(this.#values, await readStart(file, headerBytes, size, signal))
          : undefined
        const chunks = file.text(0, Number.POSITIVE_INFINITY, size, signal)
        for await (const batch of this.#rows(
          [{ path, modified, offset: 0, isToEnd: true, chunks, header }],
          signal,
        )) {
          report(file.reached)
          yield batch
        }
        report(size)
      } finally {
        await file.close()
      }
    }
    return {
      rows: rows.call(this),
      bytes: size,
      release: () => {
        if (!isReading) void file.close()
      },
    }
  }

  async *#rows(records: readonly RecordText[], signal: AbortSignal): AsyncGenerator<readonly Row[], void> {
    for (const record of records) {
      try {
        yield* this.#reader.read(record)
      } catch (error) {
        if (error instanceof FaultyRecord) throw await placed(record.path, error, signal)
        if (!(error instanceof FileError && this.#values.ignoreCorruptFiles)) throw error
        this.#skip(error)
      }
    }
  }

  /** Whether a file that can't be opened is no reason to end a bounded read. */
  #isSkipped(error: FileError): boolean {
    const { ignoreMissingFiles, ignoreCorruptFiles } = this.#values
    return error.isMissing ? ignoreMissingFiles === true : error.isUnreadable && ignoreCorruptFiles !== false
  }

  #skip({ path, message: problem }: FileError): void {
    this.#observer.emit('skipped', { path, problem } satisfies SkippedEvent)
  }
}

async function* each<T>(items: Iterable<T>): AsyncGenerator<T, void> {
  yield* items
}

/** The error of a faulty record, its line counted. */
async function placed(path: string, fault: FaultyRecord, signal: AbortSignal): Promise<RecordError> {
  const before = fault.text.slice(0, fault.at).split('\n')
  let line = before.length
  try {
    const file = await FileBytes.open(path)
    try {
      for await (const chunk of file.text(0, fault.offset, await file.size(), signal)) {
        for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) line++
      }
    } finally {
      await file.close()
    }
  } catch {
    // The file is gone: the byte of the record's begin has to do.
    line = 0
  }
  const column = before.at(-1)!.length + 1
  return new RecordError(path, { line, column, offset: fault.offset }, fault.problem)
}
