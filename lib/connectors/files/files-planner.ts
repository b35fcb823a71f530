import { basename } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { byteText } from '../../core/quantities.ts'
import type { Slice } from '../../core/slice.ts'
import type { Planner } from '../../source/planner.ts'
import { type CopyContext, KnownFiles, originOf, stillness } from './copies.ts'
import { FileBytes } from './file-bytes.ts'
import { FileError } from './file-error.ts'
import { type Reading, rangesOf, stateAtEnd, type TextRange } from './file-ranges.ts'
import {
  advanceOffset,
  type FileState,
  type FilesOffset,
  type FilesSlice,
  formerKey,
  isReadToEnd,
  parseState,
  requireFilesSlice,
} from './files-offset.ts'
import { endsWith, readText, startsWith } from './fingerprint.ts'
import { type FollowedFile, FollowedFiles } from './followed-files.ts'
import { isSameFile } from './listing.ts'
import { type FilesStreamValues, listingSettings } from './options.ts'
import type { PlannedText } from './planned-text.ts'

/** Milliseconds that a run of `available_now` waits at most for copies that are being written. */
const longestWait = 5_000

/** What a planner reports to its stream. */
export interface PlannerEvents {
  /** A file, or a part of one, is not read. */
  skipped(path: string, problem: string): void
  /** A file has the text of another one. @param offset the start of reading: 0 if it is read again */
  copy(path: string, original: string, offset: number): void
  /** Nothing is there that the paths mean. */
  waiting(paths: readonly string[]): void
}

/** Slices of the files that are there: whole records, from where each file was read to, up to its end. */
export class FilesPlanner implements Planner<FilesSlice, FilesOffset> {
  readonly #values: FilesStreamValues
  readonly #text: PlannedText
  readonly #events: PlannerEvents
  readonly #files: FollowedFiles
  /** States by their keys, as of the last call of `slices`, and those planned since then. */
  #states: Readonly<Record<string, string>> = {}
  readonly #planned = new Map<string, string | undefined>()
  /** Looks that found files gone, cut or overwritten, by the keys of their states. */
  readonly #lost = new Map<string, number>()
  /** Keys of files whose copy goes on from there. */
  readonly #taken = new Set<string>()
  /** Files that may be copies, or are packed and incomplete: a later look decides. */
  readonly #waiting = new Set<FollowedFile>()
  /** The next look is due soon. */
  #isDue = false
  /** Problems that were reported, by path, until they are over. */
  readonly #reported = new Map<string, string>()
  readonly #never = new AbortController().signal

  constructor(values: FilesStreamValues, text: PlannedText, events: PlannerEvents) {
    this.#values = values
    this.#text = text
    this.#events = events
    const settings = { ...listingSettings(values), poll_interval_seconds: values.poll_interval_seconds }
    this.#files = new FollowedFiles(settings, {
      unreadable: (error) => this.#skip(error),
      looked: () => this.#examineAll(),
    })
  }

  async initialOffset(_earliest: unknown, signal: AbortSignal): Promise<FilesOffset> {
    if (this.#values.start_at === 'beginning') return { next: 0, files: {} }
    await this.#files.look(signal)
    const files: Record<string, string> = {}
    for (const file of this.#files.files()) {
      if (file.size === 0) continue
      await this.#reading(file, async (bytes) => {
        files[file.stateKey] = await stateAtEnd(bytes, file, this.#values, signal)
      })
    }
    return { next: 0, files }
  }

  /** Looks at the folders. */
  async latestOffset(signal: AbortSignal): Promise<FilesOffset> {
    await this.#files.look(signal)
    if (this.#files.isEmpty) this.#events.waiting(this.#values.path)
    return { look: this.#files.number }
  }

  async *slices(from: FilesOffset, until: FilesOffset): AsyncGenerator<FilesSlice, void> {
    if ((until.look ?? Number.POSITIVE_INFINITY) > this.#files.number) await this.#files.look(this.#never)
    this.#states = from.files ?? {}
    this.#planned.clear()
    await this.#findMissing()
    await this.#examineAll()
    const slicer = new Slicer(from.next ?? 0, this.#values, this.#text)
    const begun = performance.now()
    for (;;) {
      this.#isDue = false
      const known = this.#knownFiles()
      const files = this.#files.files()
      // A copy is compared when its original was read to its end.
      for (const isForCopies of [false, true]) {
        for (const file of files) {
          if (this.#waiting.has(file) !== isForCopies) continue
          for await (const found of this.#rangesOf(file, known, () => slicer.space, isForCopies)) {
            this.#note(found, slicer.number, known)
            const full = slicer.add(found)
            if (full) yield full
          }
        }
      }
      // A file that does not change while it is waited for is left to the next run.
      const patience = Math.max(stillness, 1000 * (this.#values.settling_delay_seconds ?? 0)) + stillness
      const isChanging = [...this.#waiting].some((file) => !this.#files.isStill(file, patience))
      const isWorthIt =
        (this.#isDue || isChanging) && performance.now() - begun < Math.max(longestWait, 2 * patience)
      if (!this.#values.available_now || !isWorthIt) break
      await sleep(stillness / 2)
      await this.#files.look(this.#never)
    }
    if (this.#waiting.size > 0 || this.#isDue) this.#files.lookIn(stillness)
    if (this.#values.available_now) {
      for (const { path } of this.#waiting)
        this.#report(path, 'is still being written: the next run reads it')
    }
    const last = slicer.finish(await this.#forgetGone())
    if (last) yield last
  }

  async changed(signal: AbortSignal): Promise<void> {
    await this.#files.changed(signal)
  }

  restart(): string {
    return 'a new one reads every file from its start, unless start_at is "end"'
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

  /** The last of its files, and how much of that is read then. */
  describe({ ranges }: FilesSlice): string | undefined {
    const last = ranges.at(-1)
    if (last?.state === undefined) return undefined
    const { offset, left } = parseState(last.state)
    const others = ranges.length > 1 ? `, and ${ranges.length - 1} before it` : ''
    const read = left < 0 ? byteText(offset) : `${byteText(offset)} of ${byteText(offset + left)}`
    return `${basename(last.path)}: ${read}${others}`
  }

  /** Lets go of all files. */
  async close(): Promise<void> {
    await this.#files.close()
  }

  #stateOf(key: string): string | undefined {
    return this.#planned.has(key) ? this.#planned.get(key) : this.#states[key]
  }

  #knownFiles(): KnownFiles {
    return new KnownFiles(
      () => new Set([...Object.keys(this.#states), ...this.#planned.keys()]),
      (key) => this.#stateOf(key),
    )
  }

  /** Takes note of what a range makes of the states. */
  #note({ range }: TextRange, slice: number, known: KnownFiles): void {
    const { key, isRestart, state } = range
    const before = this.#stateOf(key)
    if (isRestart && before !== undefined) {
      const former = formerKey(key, slice)
      this.#planned.set(former, before)
      this.#lost.set(former, this.#lost.get(key) ?? this.#files.number)
      known.add(former)
    }
    this.#lost.delete(key)
    this.#planned.set(key, state)
    known.add(key)
  }

  /** Finds the files of states that no look has seen: under another name, or gone. */
  async #findMissing(): Promise<void> {
    const there = new Map<string, FollowedFile>()
    const files = this.#files.files(true)
    for (const file of files) there.set(file.stateKey, file)
    const inodes = new Map<string, FollowedFile[]>()
    for (const file of files) {
      if (this.#stateOf(file.stateKey) !== undefined) continue
      const inode = file.key.split(':')[1]!
      inodes.set(inode, [...(inodes.get(inode) ?? []), file])
    }
    for (const key of Object.keys(this.#states)) {
      if (there.has(key) || this.#lost.has(key)) continue
      // Before a reboot the number of its device, or on some file systems its birth, may have been another.
      const same = inodes.get(key.split(':')[1]!)?.find((file) => isSameFile(file.key, key))
      if (same && !key.includes('~')) {
        same.stateKey = key
        continue
      }
      const { path } = parseState(this.#states[key]!)
      const found = key.includes('~') ? 'absent' : await this.#files.find(key, path)
      if (found === 'absent' && this.#files.isComplete) this.#lost.set(key, this.#files.number)
      else if (typeof found === 'object') found.stateKey = key
    }
  }

  /** Files that are gone, once no copy of them can come any more. Reports what was not read of them. */
  async #forgetGone(): Promise<string[]> {
    const there = new Map(this.#files.files(true).map((file) => [file.stateKey, file]))
    const gone: string[] = []
    for (const [key, look] of this.#lost) {
      const text = this.#stateOf(key)
      if (text === undefined) this.#lost.delete(key)
      else if (there.has(key) && !this.#taken.has(key)) continue
      else if (this.#taken.has(key) || this.#values.available_now || look < this.#files.number - 1) {
        if (this.#waiting.size > 0 && !this.#taken.has(key)) continue
        const { left, offset, path } = parseState(text)
        if (left !== 0 && !this.#taken.has(key))
          this.#events.skipped(path, `is gone: what stood behind byte ${offset} of it was not read`)
        gone.push(key)
        // A descriptor of a deleted file, whose copy goes on, would make it a new one.
        const file = there.get(key)
        if (file?.isDeleted) await this.#files.drop(file)
        this.#lost.delete(key)
        this.#taken.delete(key)
        this.#planned.set(key, undefined)
      }
    }
    return gone
  }

  /** Looks into files that changed: whether they still have what was read of them. */
  async #examineAll(): Promise<void> {
    for (const file of this.#files.files()) {
      const text = this.#stateOf(file.stateKey)
      if (text === undefined) continue
      if (file.isDeleted) {
        if (!this.#lost.has(file.stateKey)) this.#lost.set(file.stateKey, this.#files.number)
      } else if (file.cutLook === undefined) this.#lost.delete(file.stateKey)
      if (!isReadToEnd(text, file)) await this.#reading(file, (bytes) => this.#examine(file, text, bytes))
    }
  }

  async #examine(file: FollowedFile, text: string, bytes: FileBytes): Promise<void> {
    const { size, modified } = file
    const state = parseState(text)
    const { offset, head, tail } = state
    const seen = `${size} ${modified} ${offset}`
    if (file.examined === seen || (size === state.size && modified === state.modified)) return
    const isCut =
      (!bytes.isTransformed && size < offset) ||
      (size === 0 && offset > 0) ||
      !(await startsWith(bytes, head, size, this.#never)) ||
      !(await endsWith(bytes, offset, tail, size, this.#never))
    // It may have been read on in the meantime.
    if (this.#stateOf(file.stateKey) !== text) return
    file.examined = seen
    if (!isCut) return
    file.cutLook ??= this.#files.number
    this.#lost.set(file.stateKey, file.cutLook)
  }

  /** @param isForCopies whether files are read that may be copies; else they are put off */
  async *#rangesOf(
    file: FollowedFile,
    known: KnownFiles,
    space: () => number,
    isForCopies: boolean,
  ): AsyncGenerator<TextRange, void> {
    const text = this.#stateOf(file.stateKey)
    if (file.size === 0) return
    if (text !== undefined && file.cutLook === undefined && isReadToEnd(text, file)) {
      file.drainedAt = file.size
      return
    }
    let opened: Awaited<ReturnType<FollowedFiles['open']>> | undefined
    try {
      opened = await this.#files.open(file)
      const bytes = await FileBytes.of(file.path, opened.handle)
      const reading =
        text === undefined
          ? await this.#startOf(file, bytes, known, isForCopies)
          : await this.#resume(file, bytes, text, known, isForCopies)
      if (reading) yield* this.#read(file, bytes, reading, space)
    } catch (error) {
      if (!(error instanceof FileError)) throw error
      this.#waiting.delete(file)
      this.#deal(error)
    } finally {
      await opened?.done()
    }
  }

  async *#read(
    file: FollowedFile,
    bytes: FileBytes,
    reading: Reading,
    space: () => number,
  ): AsyncGenerator<TextRange, void> {
    const ranges = rangesOf(bytes, reading, this.#values, space, this.#never)
    try {
      for (;;) {
        const next = await ranges.next()
        if (!next.done) {
          if (next.value.range.isRestart) file.cutLook = undefined
          yield next.value
          continue
        }
        const { rest, cutOff } = next.value
        if (cutOff) this.#dealWithCutOff(file, cutOff)
        else {
          file.drainedAt = reading.size
          this.#waiting.delete(file)
          this.#reported.delete(file.path)
          // Somebody may still write the rest of it.
          if (rest > 0 && !reading.isFinal && isLeft(file)) this.#isDue = true
        }
        return
      }
    } finally {
      await ranges.return({ rest: 0, cutOff: undefined })
    }
  }

  /** Resume position in a file that was read; undefined if there is nothing to read yet. */
  async #resume(
    file: FollowedFile,
    bytes: FileBytes,
    text: string,
    known: KnownFiles,
    isForCopies: boolean,
  ): Promise<Reading | undefined> {
    await this.#examine(file, text, bytes)
    if (file.cutLook !== undefined) {
      // Packed over an older one, under the same name: it may be a copy, as a new file may be.
      if (bytes.compression !== undefined) return this.#startOf(file, bytes, known, isForCopies, true)
      const hole = await this.#holeOf(file, bytes)
      if (hole === file.size) return undefined
      return this.#readingOf(file, bytes, hole, undefined, true)
    }
    const state = parseState(text)
    const reading = this.#readingOf(file, bytes, await goOnFrom(bytes, state, file.size), state)
    const isUnchanged = file.size === state.size && file.modified === state.modified
    return isUnchanged && state.left > 0 && !reading.isFinal ? undefined : reading
  }

  /** Start of reading in a file that was never read; undefined if a later look decides. */
  async #startOf(
    file: FollowedFile,
    bytes: FileBytes,
    known: KnownFiles,
    isForCopies: boolean,
    isRestart = false,
  ): Promise<Reading | undefined> {
    if (!isRestart) file.cutLook = undefined
    const origin = await originOf(file, bytes, this.#copyContext(known))
    const isPlain = origin.kind === 'new' && !origin.twin
    if (!isPlain && !isForCopies) this.#waiting.add(file)
    if (origin.kind === 'wait' || (!isPlain && !isForCopies)) return undefined
    this.#waiting.delete(file)
    if (origin.kind === 'copy') {
      const { key, state } = origin.of
      file.isRotated = true
      this.#taken.add(key)
      this.#events.copy(file.path, state.path, state.offset)
      return this.#readingOf(file, bytes, await goOnFrom(bytes, state, file.size), state, isRestart)
    }
    if (origin.twin) this.#events.copy(file.path, origin.twin.state.path, 0)
    const hole = await this.#holeOf(file, bytes)
    // Nothing but NUL bytes is no log.
    return this.#readingOf(file, bytes, hole === file.size ? 0 : hole, undefined, isRestart)
  }

  #readingOf(
    file: FollowedFile,
    bytes: FileBytes,
    start: number,
    state: FileState | undefined,
    isRestart = false,
  ): Reading {
    const isFinal =
      this.#values.available_now ||
      this.#isSettled(file) ||
      bytes.compression !== undefined ||
      (isLeft(file) && this.#files.isStill(file, stillness))
    const { path, stateKey: key, size, modified } = file
    return { path, key, size, modified, start, state, isRestart, isFinal }
  }

  /** Whether a file has not changed for as long as the option says. */
  #isSettled(file: FollowedFile): boolean {
    const { settling_delay_seconds: delay } = this.#values
    return delay !== undefined && this.#files.isStill(file, delay * 1000)
  }

  /** Length of the hole at the start of a file whose writer kept its position when the file was cut. */
  async #holeOf(file: FollowedFile, bytes: FileBytes): Promise<number> {
    const hole = bytes.isTransformed ? 0 : await bytes.nulRun(file.size)
    if (hole > 0 && hole < file.size)
      this.#report(
        file.path,
        `starts with ${hole} NUL bytes, since its writer went on at its old place: skipped`,
      )
    return hole
  }

  #copyContext(known: KnownFiles): CopyContext {
    const files = this.#files
    return {
      known,
      fingerprint_bytes: this.#values.fingerprint_bytes,
      signal: this.#never,
      lostLook: (key) => (this.#taken.has(key) ? undefined : this.#lost.get(key)),
      isStill: (file, milliseconds) => files.isStill(file, milliseconds),
      isSettled: (file) => this.#isSettled(file),
      isKnownFor: (file, milliseconds) => files.isKnownFor(file, milliseconds),
      bytesOf: async (key, start, end) => {
        const other = files.files().find(({ stateKey }) => stateKey === key)
        if (!other) return undefined
        let there: Buffer | undefined
        await this.#reading(other, async (bytes) => {
          if (!bytes.isTransformed) there = await bytes.bytes(start, end)
        })
        return there
      },
    }
  }

  async #reading(file: FollowedFile, read: (bytes: FileBytes) => Promise<void>): Promise<void> {
    let opened: Awaited<ReturnType<FollowedFiles['open']>> | undefined
    try {
      opened = await this.#files.open(file)
      await read(await FileBytes.of(file.path, opened.handle))
    } catch (error) {
      if (!(error instanceof FileError)) throw error
      this.#deal(error)
    } finally {
      await opened?.done()
    }
  }

  /** Packed data that ends early is waited for, until the file has settled. */
  #dealWithCutOff(file: FollowedFile, error: FileError): void {
    const { available_now, settling_delay_seconds: delay } = this.#values
    if (this.#isSettled(file)) this.#deal(error)
    else if (available_now && delay !== undefined) this.#isDue = true
    else if (available_now) this.#report(error.path, error.message)
  }

  /** @throws FileError unless the file is to be skipped */
  #deal(error: FileError): void {
    // It went, or was cut, since the look: the next look finds it.
    if (error.isChanged) this.#isDue = true
    else if (error.isUnreadable || error.isTransient) this.#skip(error)
    else if (this.#values.ignoreCorruptFiles) this.#report(error.path, error.message)
    else throw error
  }

  /** Passes over what may not be read; it is looked at again each time. @throws FileError if an option says so */
  #skip(error: FileError): void {
    if (this.#values.ignoreCorruptFiles === false) throw error
    this.#report(error.path, error.message)
  }

  /** Tells of a problem once, until it is another one. */
  #report(path: string, problem: string): void {
    if (this.#reported.get(path) === problem) return
    this.#reported.set(path, problem)
    this.#events.skipped(path, problem)
  }
}

/** Whether writers have left a file, most likely: it lost its name, or is a copy. */
function isLeft({ isRotated, isDeleted }: FollowedFile): boolean {
  return isRotated || isDeleted
}

/** Where to go on: at the start of the last record, if it was released before its end had come. */
async function goOnFrom(bytes: FileBytes, state: FileState, size: number): Promise<number> {
  const { offset, record } = state
  if (record === offset) return offset
  const [next] = Buffer.concat(await readText(bytes, offset, offset + 1, size, new AbortController().signal))
  return next === undefined || next === 0x0a || next === 0x0d ? offset : record
}

/** Puts ranges into slices. */
class Slicer {
  readonly #values: FilesStreamValues
  readonly #text: PlannedText
  /** Of the slice that is being filled. */
  number: number
  #ranges: TextRange[] = []
  #bytes = 0

  constructor(number: number, values: FilesStreamValues, text: PlannedText) {
    this.number = number
    this.#values = values
    this.#text = text
  }

  /** Bytes that the slice has left. */
  get space(): number {
    return this.#values.maxBytesPerTrigger - this.#bytes
  }

  /** @returns the slice, once it is full */
  add(found: TextRange): FilesSlice | undefined {
    this.#ranges.push(found)
    this.#bytes += found.range.end - found.range.start
    const isFull = this.space <= 0 || this.#ranges.length >= this.#values.maxFilesPerTrigger
    return isFull ? this.finish([]) : undefined
  }

  /** @param gone keys of files to be forgotten */
  finish(gone: readonly string[]): FilesSlice | undefined {
    if (this.#ranges.length === 0 && gone.length === 0) return undefined
    const number = this.number++
    const first = this.#ranges[0]?.range
    const slice: FilesSlice = {
      id: first ? `${number}:${first.path}@${first.start}` : `${number}:gone`,
      number,
      ranges: this.#ranges.map(({ range }) => range),
      ...(gone.length > 0 && { gone }),
    }
    this.#text.hold(
      slice.id,
      this.#ranges.map(({ text }) => text),
    )
    this.#ranges = []
    this.#bytes = 0
    return slice
  }
}
