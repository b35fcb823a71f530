import { crc32 } from 'node:zlib'
import { type FileState, parseState } from './files-offset.ts'

/** A file that was read. */
export interface KnownFile {
  readonly key: string
  readonly state: FileState
}

/** Files that a stream has read, by the begin of their text: to find the one that another file is a copy of. */
export class FileHistory {
  /** By the length of the begin, then by its CRC-32. */
  readonly #byHead = new Map<number, Map<number, KnownFile[]>>()

  /**
   * @param states of all files, by their keys
   * @param isLost whether a file is gone or lost its content: then even a short begin tells its copy. Short files that
   *   are still there may well begin alike.
   * @param fullLength of a begin that is long enough to tell files apart
   */
  constructor(
    states: Readonly<Record<string, string>>,
    isLost: (key: string) => boolean,
    fullLength: number,
  ) {
    for (const key of Object.keys(states)) {
      const state = parseState(states[key]!)
      if (state.head[0] < fullLength && !isLost(key)) continue
      const [length, crc] = state.head
      if (length === 0) continue
      const sameLength = this.#byHead.get(length) ?? new Map<number, KnownFile[]>()
      this.#byHead.set(length, sameLength)
      const same = sameLength.get(crc)
      if (same) same.push({ key, state })
      else sameLength.set(crc, [{ key, state }])
    }
  }

  get isEmpty(): boolean {
    return this.#byHead.size === 0
  }

  /** Files whose text begins as this one does; those of which most was read first. */
  alike(head: Buffer): KnownFile[] {
    const found: KnownFile[] = []
    for (const [length, sameLength] of this.#byHead) {
      if (length <= head.length) found.push(...(sameLength.get(crc32(head.subarray(0, length))) ?? []))
    }
    return found.sort((a, b) => b.state.offset - a.state.offset)
  }
}
