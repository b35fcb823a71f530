import { basename, dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { FileBytes } from './file-bytes.ts'
import { FileError } from './file-error.ts'
import { type FileRange, parseState } from './files-offset.ts'
import { crcOf, readText, startsWith } from './fingerprint.ts'
import { isSameFile, isWithin, keysIn, type ListingSettings, listFiles } from './listing.ts'

/** Maximum number of slices whose text is held: a stream plans no further ahead. */
const mostSlices = 4

/** A chain of renames may move a file while it is looked for. */
const searches = 4
const betweenSearches = 150

/**
 * The text of planned ranges. What was read to plan a slice waits here to be parsed, so that what was planned is
 * what is parsed, and a packed file is not unpacked a second time. After a restart they are found in the files again.
 */
export class PlannedText {
  readonly #bySlice = new Map<string, readonly (readonly Buffer[])[]>()

  /** @param ranges the text of each range of the slice */
  hold(id: string, ranges: readonly (readonly Buffer[])[]): void {
    this.#bySlice.set(id, ranges)
    for (const oldest of this.#bySlice.keys()) {
      if (this.#bySlice.size <= mostSlices) break
      this.#bySlice.delete(oldest)
    }
  }

  take(id: string): readonly (readonly Buffer[])[] | undefined {
    const ranges = this.#bySlice.get(id)
    this.#bySlice.delete(id)
    return ranges
  }

  clear(): void {
    this.#bySlice.clear()
  }
}

/**
 * The text of a planned range, exactly as it was when it was planned: in the file itself, whatever its name is now in its
 * folder, else in any file that has the same content there, as a copy that a rotation made.
 *
 * @throws FileError that says what became of it, or that the range's path is not one of the source's
 */
export async function findText(
  range: FileRange,
  settings: ListingSettings,
  signal: AbortSignal,
): Promise<readonly Buffer[]> {
  // A slice comes from a queue or a checkpoint, where others may write.
  if (!(await isWithin(range.path, settings)))
    throw new FileError(range.path, 'is in a slice, but not what the option path names: refused')
  let problem = ''
  for (let search = 1; search <= searches; search++) {
    if (search > 1) await sleep(betweenSearches, undefined, { signal })
    const found = await textIn(range.path, range, signal)
    if (typeof found !== 'string') return found
    problem = found
    for (const path of await otherPaths(range, settings, signal)) {
      const text = await textIn(path, range, signal)
      if (typeof text !== 'string') return text
    }
  }
  throw new FileError(
    range.path,
    `${problem}: bytes ${range.start} to ${range.end} of it were planned to be read and may not have been delivered, ` +
      'and no other file has them',
    undefined,
    'lost',
  )
}

/** Paths of the file by now, then of its copies. */
async function otherPaths(
  { path, key }: FileRange,
  settings: ListingSettings,
  signal: AbortSignal,
): Promise<string[]> {
  const name = basename(path)
  // What a rotation makes of a name goes on as it did: no slice may name any other file of the folder.
  const stem = /^[^.-]+/.exec(name)?.[0] ?? name
  const renamed: string[] = []
  for (const [other, there] of await keysIn(dirname(path))) {
    if (isSameFile(other, key) && there !== path && basename(there).startsWith(stem)) renamed.push(there)
  }
  const { files } = await listFiles(settings, signal)
  const others = files.filter((file) => file.path !== path && file.size > 0).map((file) => file.path)
  return [...new Set([...renamed, ...others])]
}

/** The range's text out of a file, or what is wrong with the file. */
async function textIn(path: string, range: FileRange, signal: AbortSignal): Promise<Buffer[] | string> {
  let file: FileBytes | undefined
  try {
    file = await FileBytes.open(path, undefined, true)
    const { start, end, crc } = range
    const size = await file.size()
    if (!file.isTransformed && size < end) return `has only ${size} bytes now`
    const { head } = parseState(range.state!)
    if (!(await startsWith(file, head, size, signal))) return 'begins with other content now'
    const text = await readText(file, start, end, size, signal)
    const length = text.reduce((sum, chunk) => sum + chunk.length, 0)
    if (length < end - start) return `has only ${start + length} bytes of text now`
    return crcOf(text) === crc ? text : 'has other content there now'
  } catch (error) {
    if (!(error instanceof FileError)) throw error
    return error.isMissing
      ? 'is not there any more'
      : error.message.slice(error.message.indexOf(path) + path.length + 1)
  } finally {
    await file?.close()
  }
}
