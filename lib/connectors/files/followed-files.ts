import type { FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { openFile } from './file-bytes.ts'
import { FileError, isMissing } from './file-error.ts'
import { FolderWatch } from './folder-watch.ts'
import {
  isSameFile,
  keysIn,
  type ListedFile,
  type Listing,
  type ListingSettings,
  listed,
  listFiles,
  statOf,
} from './listing.ts'

/** Descriptors that are kept at most: of the files that changed last. */
const mostOpen = 512

/** Milliseconds that a file which was read to its end is held on to, once it is deleted. */
const deletedHold = 5_000

/** The same once it is renamed out of what is listed: its writer may have it open for a while. */
const rotatedHold = 60_000

/** Milliseconds that changes are gathered before a look. */
const gathering = 20

/** A file as looks have seen it. */
export interface FollowedFile {
  /** Device, inode and birth. */
  readonly key: string
  /** The key that its state has: before a reboot the number of its device may have been another. */
  stateKey: string
  /** Its last known path. */
  path: string
  size: number
  modified: number
  /** The paths name it. If not, it is read to its end and no further. */
  isListed: boolean
  /** It lost the name that it was first seen by: its writer will close it soon. */
  isRotated: boolean
  isDeleted: boolean
  /** It has its name and yet is not listed: a pattern or a filter excludes it now. */
  isExcluded: boolean
  /** Held until it is read to its end, so that no rotation takes the file away. */
  handle: FileHandle | undefined
  /** Those who read by the handle. */
  readers: number
  /** Size up to which it was read; -1 before. The rest is no whole record. */
  drainedAt: number
  /** Number of the look that saw it first, and when that was. */
  readonly firstLook: number
  readonly seen: number
  look: number
  /** When a look saw its last change, in milliseconds of the process's own clock. */
  changed: number
  /** Number of the look that found the content that was read cut or overwritten. */
  cutLook: number | undefined
  /** Size and date for which that was looked into. */
  examined: string
}

export interface LookSettings extends ListingSettings {
  readonly poll_interval_seconds: number
}

/** What looks report. */
export interface LookEvents {
  /** A file or folder can't be read, for now. @throws FileError if it is to end the stream */
  unreadable(error: FileError): void
  /** A look is done; also one that was not asked for. */
  looked(): Promise<void>
}

/**
 * The files that are followed, look after look. A look lists the folders, finds files again that lost their names, and
 * keeps descriptors of those that changed last. Looks go on while delivery waits.
 */
export class FollowedFiles {
  readonly #settings: LookSettings
  readonly #events: LookEvents
  readonly #watch = new FolderWatch()
  /** By device and inode. */
  readonly #byInode = new Map<string, FollowedFile>()
  /** Deleted files whose inode another file has by now. */
  readonly #replaced = new Set<FollowedFile>()
  #listing: Listing | undefined
  #looking: Promise<void> | undefined
  #number = 0
  /** When the last look began, and how long it took, in milliseconds. */
  #begun = 0
  #duration = 0
  #background: AbortController | undefined
  /** Folders that were searched for files without a name, in this look. */
  #searched = new Map<string, Promise<Map<string, string>>>()

  constructor(settings: LookSettings, events: LookEvents) {
    this.#settings = settings
    this.#events = events
  }

  /** Number of the last look; 0 before the first. */
  get number(): number {
    return this.#number
  }

  /** Whether all given paths were there at the last look: else a disk may not be mounted, and nothing counts as gone. */
  get isComplete(): boolean {
    return this.#listing !== undefined && this.#listing.missing.length === 0
  }

  /** Nothing is there that the paths mean. */
  get isEmpty(): boolean {
    return this.#listing?.files.length === 0
  }

  /** Ordered by the time of their last change, then by name. @param withExcluded whether those that are not meant count */
  files(withExcluded = false): FollowedFile[] {
    const files = [...this.#byInode.values(), ...this.#replaced]
    const meant = withExcluded ? files : files.filter(({ isExcluded }) => !isExcluded)
    return meant.sort((a, b) => a.modified - b.modified || (a.path < b.path ? -1 : 1))
  }

  /** Whether looks have seen no change of a file for this long, in milliseconds. Its date says nothing: clocks differ. */
  isStill(file: FollowedFile, milliseconds: number): boolean {
    return file.look > file.firstLook && this.#begun - file.changed >= milliseconds
  }

  /** Whether looks have known a file for this long, in milliseconds. */
  isKnownFor(file: FollowedFile, milliseconds: number): boolean {
    return this.#begun - file.seen >= milliseconds
  }

  /** Looks at the folders. @throws FileError, AbortError */
  async look(signal: AbortSignal): Promise<void> {
    // One that began before this call may have missed what the caller is after.
    await this.#looking?.catch(() => {})
    this.#looking ??= this.#look(signal).finally(() => {
      this.#looking = undefined
    })
    this.#lookInBackground()
    await this.#looking
  }

  /** Looks follow one another no closer than one takes, so that a large folder leaves time for reading. */
  async changed(signal: AbortSignal): Promise<void> {
    await sleep(Math.max(gathering, this.#duration), undefined, { signal })
    await this.#watch.changed(signal)
    await sleep(gathering, undefined, { signal })
  }

  /** Schedules a look, in milliseconds. */
  lookIn(milliseconds: number): void {
    setTimeout(() => this.#watch.notify(), milliseconds).unref()
  }

  /**
   * Finds a file that no look has seen, as after a restart: under its last name or another one in its folder.
   * @returns `unknown` if its existence can't be checked
   */
  async find(key: string, path: string): Promise<FollowedFile | 'absent' | 'unknown'> {
    const found = await this.#locate(key, path)
    if (typeof found === 'string') return found
    const file = this.#add(found, false)
    file.isExcluded = found.path === path
    file.isRotated = !file.isExcluded
    return file
  }

  /** Opens a file, or uses the descriptor that is held. Call `done` when it is read. @throws FileError */
  async open(file: FollowedFile): Promise<{ readonly handle: FileHandle; done(): Promise<void> }> {
    const held = file.handle
    if (held) {
      file.readers++
      return {
        handle: held,
        done: async () => {
          file.readers--
          if (file.readers === 0 && file.handle !== held) await held.close()
        },
      }
    }
    const handle = await openFile(file.path, file.key)
    return { handle, done: () => handle.close() }
  }

  /** Forgets a file that was deleted. */
  async drop(file: FollowedFile): Promise<void> {
    await this.#release(file)
    this.#forget(file)
  }

  async close(): Promise<void> {
    this.#background?.abort()
    this.#background = undefined
    await this.#looking?.catch(() => {})
    this.#watch.close()
    for (const file of [...this.#byInode.values(), ...this.#replaced]) await this.#release(file)
    this.#byInode.clear()
    this.#replaced.clear()
    this.#listing = undefined
  }

  async #look(signal: AbortSignal): Promise<void> {
    this.#begun = performance.now()
    this.#watch.looked()
    this.#searched.clear()
    const listing = await listFiles(this.#settings, signal)
    const number = ++this.#number
    this.#listing = listing
    this.#watch.watch(listing.folders)
    for (const file of listing.files) this.#see(file, number)
    for (const file of [...this.#byInode.values(), ...this.#replaced]) {
      if (file.look !== number) await this.#seek(file, number)
    }
    await this.#openNewest(listing)
    this.#duration = performance.now() - this.#begun
    await this.#events.looked()
    for (const error of listing.unreadable) this.#events.unreadable(error)
  }

  /** Looks go on while delivery waits, perhaps for minutes. */
  #lookInBackground(): void {
    if (this.#background) return
    const over = new AbortController()
    this.#background = over
    const { signal } = over
    const go = async () => {
      for (;;) {
        const number = this.#number
        const waiting = new AbortController()
        const stop = () => waiting.abort()
        signal.addEventListener('abort', stop, { once: true })
        const interval = this.#settings.poll_interval_seconds * 1000
        await Promise.race(
          [
            sleep(Math.min(interval, 2 ** 31 - 1), undefined, { signal: waiting.signal, ref: false }),
            this.#watch.changed(waiting.signal),
          ].map(quiet),
        )
        stop()
        signal.removeEventListener('abort', stop)
        // Whoever reads looks first.
        await sleep(Math.max(10 * gathering, this.#duration), undefined, { signal, ref: false })
        // Its faults are those that the next look by a reader meets, too.
        if (this.#number === number && !this.#looking) await this.look(signal).catch(() => {})
        signal.throwIfAborted()
      }
    }
    go().catch(() => {})
  }

  /** Takes note of a listed file. */
  #see(found: ListedFile, number: number): void {
    const inode = inodeOf(found.key)
    const known = this.#byInode.get(inode)
    if (known && isSameFile(known.key, found.key)) {
      // Another name of the same file.
      if (known.look === number) return
      if (known.path !== found.path) known.isRotated = true
      this.#update(known, found, number)
      known.path = found.path
      known.isListed = true
      known.isExcluded = false
      return
    }
    if (known) {
      known.isDeleted = true
      this.#replaced.add(known)
    }
    this.#byInode.delete(inode)
    this.#add(found, true)
  }

  #add(found: ListedFile, isListed: boolean): FollowedFile {
    const file: FollowedFile = {
      ...found,
      stateKey: found.key,
      isListed,
      isRotated: false,
      isDeleted: false,
      isExcluded: false,
      handle: undefined,
      readers: 0,
      drainedAt: -1,
      firstLook: this.#number,
      seen: this.#begun,
      look: this.#number,
      changed: this.#begun,
      cutLook: undefined,
      examined: '',
    }
    this.#byInode.set(inodeOf(found.key), file)
    return file
  }

  #update(file: FollowedFile, { size, modified }: { size: number; modified: number }, number: number): void {
    if (size !== file.size || modified !== file.modified) file.changed = this.#begun
    file.size = size
    file.modified = modified
    file.look = number
  }

  /** Looks for a file that is no longer listed: by its descriptor, its last name, then in its folder. */
  async #seek(file: FollowedFile, number: number): Promise<void> {
    file.isListed = false
    if (file.handle) {
      const stats = await file.handle.stat({ bigint: true }).catch(() => undefined)
      if (stats) {
        this.#update(file, listed(file.path, stats), number)
        file.isDeleted = stats.nlink === 0n
        const there = file.isDeleted ? undefined : await statOf(file.path).catch(() => undefined)
        file.isExcluded = there !== undefined && isSameFile(listed(file.path, there).key, file.key)
        file.isRotated ||= !file.isExcluded
        const hold = file.isDeleted ? deletedHold : rotatedHold
        if (file.isExcluded || file.drainedAt !== file.size || !this.isStill(file, hold)) return
        await this.#release(file)
        if (file.isDeleted) this.#forget(file)
        return
      }
    }
    const found = await this.#locate(file.key, file.path)
    if (found === 'unknown') return
    if (found === 'absent') {
      if (this.isComplete) this.#forget(file)
      return
    }
    file.isExcluded = found.path === file.path && !file.isRotated
    file.isRotated ||= found.path !== file.path
    file.path = found.path
    this.#update(file, found, number)
  }

  async #locate(key: string, path: string): Promise<ListedFile | 'absent' | 'unknown'> {
    try {
      const stats = await statOf(path)
      if (stats && isSameFile(listed(path, stats).key, key)) return listed(path, stats)
      const folder = dirname(path)
      if (!(await statOf(folder))) return this.isComplete ? 'absent' : 'unknown'
      const search = this.#searched.get(folder) ?? keysIn(folder)
      this.#searched.set(folder, search)
      for (const [other, name] of await search) {
        if (!isSameFile(other, key)) continue
        const there = await statOf(name)
        if (there && isSameFile(listed(name, there).key, key)) return listed(name, there)
      }
      return 'absent'
    } catch (error) {
      if (error instanceof FileError && isMissing(error.cause)) return 'absent'
      return 'unknown'
    }
  }

  /** Keeps descriptors of the files that changed last, and of those that are no longer listed. */
  async #openNewest({ files }: Listing): Promise<void> {
    const newest = new Set<FollowedFile>()
    for (let index = files.length - 1; index >= 0 && newest.size < mostOpen; index--) {
      const file = this.#byInode.get(inodeOf(files[index]!.key))
      if (file) newest.add(file)
    }
    for (const file of this.#byInode.values()) {
      if (file.handle && file.isListed && !newest.has(file)) await this.#release(file)
      if (!file.isListed && !file.isExcluded) newest.add(file)
    }
    for (const file of newest) {
      if (file.handle) continue
      try {
        file.handle = await openFile(file.path, file.key)
      } catch (error) {
        if (!(error instanceof FileError)) throw error
        if ((error.cause as NodeJS.ErrnoException | undefined)?.code === 'EMFILE') return
      }
    }
  }

  async #release(file: FollowedFile): Promise<void> {
    const { handle } = file
    file.handle = undefined
    // Whoever reads by it closes it.
    if (file.readers === 0) await handle?.close().catch(() => {})
  }

  #forget(file: FollowedFile): void {
    this.#replaced.delete(file)
    if (this.#byInode.get(inodeOf(file.key)) === file) this.#byInode.delete(inodeOf(file.key))
  }
}

function inodeOf(key: string): string {
  return key.slice(0, key.lastIndexOf(':'))
}

/** The loser of a race fails when it is over: ignored. */
function quiet(waiting: Promise<unknown>): Promise<unknown> {
  waiting.catch(() => {})
  return waiting
}
