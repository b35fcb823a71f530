import { crc32 } from 'node:zlib'
import type { FileBytes } from './file-bytes.ts'
import { FileError } from './file-error.ts'
import { type FileState, parseState } from './files-offset.ts'
import { endsWith, fingerprintOf, isSame, readStart } from './fingerprint.ts'
import type { FollowedFile } from './followed-files.ts'

/** Milliseconds without a change after which a file counts as whole. */
export const stillness = 300

/** Milliseconds that a file which grows may look like the start of a copy. */
const longestDoubt = 10_000

/** Where to begin in a file that was never read. */
export type Origin =
  /** At its start. @property twin a file with the same text, which is read again if this is its copy */
  | { readonly kind: 'new'; readonly twin?: KnownFile | undefined }
  /** Behind what was read of its original. */
  | { readonly kind: 'copy'; readonly of: KnownFile }
  /** The next look decides. */
  | { readonly kind: 'wait' }

/** A file that was read. */
export interface KnownFile {
  readonly key: string
  readonly state: FileState
}

/** Files that were read, by the start of their text: to find the original of a copy. */
export class KnownFiles {
  /** Keys by the length of the start, then by its CRC-32. Made when a file may be a copy, which most looks find none of. */
  #byStart: Map<number, Map<number, string[]>> | undefined
  readonly #keys: () => Iterable<string>
  readonly #stateOf: (key: string) => string | undefined

  constructor(keys: () => Iterable<string>, stateOf: (key: string) => string | undefined) {
    this.#keys = keys
    this.#stateOf = stateOf
  }

  add(key: string): void {
    if (this.#byStart) this.#add(key, this.#byStart)
  }

  #add(key: string, byStart: Map<number, Map<number, string[]>>): void {
    const text = this.#stateOf(key)
    if (text === undefined) return
    const [length, crc] = parseState(text).first
    // Of a file of which nothing was read there is nothing to go on from.
    if (length === 0) return
    const sameLength = byStart.get(length) ?? new Map<number, string[]>()
    byStart.set(length, sameLength)
    const same = sameLength.get(crc)
    if (!same) sameLength.set(crc, [key])
    else if (!same.includes(key)) same.push(key)
  }

  /** Files whose text starts as this one does; those of which most was read first. */
  alike(head: Buffer): KnownFile[] {
    if (!this.#byStart) {
      this.#byStart = new Map()
      for (const key of this.#keys()) this.#add(key, this.#byStart)
    }
    const found: KnownFile[] = []
    for (const [length, sameLength] of this.#byStart) {
      if (length > head.length) continue
      for (const key of sameLength.get(crc32(head.subarray(0, length))) ?? []) {
        const text = this.#stateOf(key)
        if (text !== undefined) found.push({ key, state: parseState(text) })
      }
    }
    return found.sort((a, b) => b.state.offset - a.state.offset)
  }
}

/** What the origin of a file depends on, besides its text. */
export interface CopyContext {
  readonly known: KnownFiles
  readonly fingerprint_bytes: number
  readonly signal: AbortSignal
  /** Number of the look that found a file cut, overwritten or gone; undefined if it is what it was. */
  lostLook(key: string): number | undefined
  isStill(file: FollowedFile, milliseconds: number): boolean
  /** Whether nothing more can be expected of a file, as the options say. */
  isSettled(file: FollowedFile): boolean
  isKnownFor(file: FollowedFile, milliseconds: number): boolean
  /** The bytes of a known file between two places, if it is plain and can be read. */
  bytesOf(key: string, start: number, end: number): Promise<Buffer | undefined>
}

/**
 * Decides whether a file that was never read is a copy of one that was. It is only if the original was cut, overwritten
 * or went about when the copy came, and the text before the place where the original was read to is the same. Whatever
 * else looks alike is read whole, since rows that come twice are better than rows that never come.
 */
export async function originOf(file: FollowedFile, bytes: FileBytes, context: CopyContext): Promise<Origin> {
  const { fingerprint_bytes: length, known, signal } = context
  if (length === 0) return { kind: 'new' }
  const isPacked = bytes.compression !== undefined
  const isStill = context.isStill(file, stillness)
  const head = await readStart(bytes, length, file.size, signal)
  const alike = known.alike(head).filter(({ key }) => key !== file.stateKey)
  // A file that was overwritten is a new one from then on.
  const since = file.cutLook ?? file.firstLook
  let twin: KnownFile | undefined
  let isInDoubt = isPacked && head.length < length
  for (const other of alike) {
    const { state } = other
    const isSameHead =
      head.length >= state.head[0] && isSame(fingerprintOf(head.subarray(0, state.head[0])), state.head)
    if (head.length >= state.head[0] && !isSameHead) continue
    const lost = context.lostLook(other.key)
    const isLost = lost !== undefined && lost >= since - 1
    if (isSameHead && (await endsWith(bytes, state.offset, state.tail, file.size, signal))) {
      // A new file under the name of one that was deleted was written, not copied.
      if (isLost && (isPacked || file.path !== state.path)) {
        const isWhole = !isPacked || (await isComplete(file, bytes, signal))
        return isWhole ? { kind: 'copy', of: other } : { kind: 'wait' }
      }
      twin ??= other
      isInDoubt ||= !isLost && !isStill
    } else if (isPacked) isInDoubt = true
    else if (file.size < state.offset) {
      // Shorter than what was read: if it is a copy, it is still being written.
      const may = isLost
        ? !context.isKnownFor(file, longestDoubt)
        : await isStartOf(file, bytes, other, context)
      isInDoubt ||= may && !isStill
    }
  }
  if (
    isInDoubt &&
    !context.isSettled(file) &&
    (!isPacked || !isStill || !(await isComplete(file, bytes, signal)))
  )
    return { kind: 'wait' }
  return { kind: 'new', twin }
}

/** Whether the last bytes of a file are those that another one has there. */
async function isStartOf(
  file: FollowedFile,
  bytes: FileBytes,
  { key }: KnownFile,
  { bytesOf, fingerprint_bytes: length }: CopyContext,
): Promise<boolean> {
  const start = Math.max(0, file.size - length)
  const there = await bytesOf(key, start, file.size)
  return there?.equals(await bytes.bytes(start, file.size)) ?? false
}

/** Whether packed data has its end: before, it may be any file's copy. */
async function isComplete(file: FollowedFile, bytes: FileBytes, signal: AbortSignal): Promise<boolean> {
  const never = Number.POSITIVE_INFINITY
  try {
    for await (const _ of bytes.text(never, never, file.size, signal));
    return true
  } catch (error) {
    if (error instanceof FileError && error.isCut) return false
    throw error
  }
}
