import { type FSWatcher, watch } from 'node:fs'
import { pause } from '../../core/retry.ts'

/** Folders that are watched at most: a system gives each process only so many. */
const mostFolders = 256

/** Milliseconds that changes are gathered before they are told. */
const gathering = 20

/** Watches folders, so that a look at them need not wait. What it misses, the next look by the clock sees. */
export class FolderWatch {
  readonly #watchers = new Map<string, FSWatcher>()
  #hasChanged = false
  #tell: (() => void) | undefined

  /** @param folders to be watched from now on, in place of others */
  watch(folders: readonly string[]): void {
    const wanted = new Set(folders.slice(0, mostFolders))
    for (const [folder, watcher] of this.#watchers) {
      if (!wanted.has(folder)) this.#drop(folder, watcher)
    }
    for (const folder of wanted) {
      if (!this.#watchers.has(folder)) this.#add(folder)
    }
  }

  /** Takes note of a look: what changed before it is seen. */
  looked(): void {
    this.#hasChanged = false
  }

  /**
   * Resolves once something has changed since the last look.
   * @param rest milliseconds that it waits at least
   */
  async changed(rest: number, signal: AbortSignal): Promise<void> {
    await pause(Math.max(gathering, rest), signal)
    if (this.#hasChanged) return
    await new Promise<void>((resolve) => {
      this.#tell = resolve
      signal.addEventListener('abort', () => resolve(), { once: true })
    })
    signal.throwIfAborted()
    await pause(gathering, signal)
  }

  close(): void {
    for (const [folder, watcher] of this.#watchers) this.#drop(folder, watcher)
  }

  #add(folder: string): void {
    try {
      const watcher = watch(folder, { persistent: false }, () => {
        this.#hasChanged = true
        this.#tell?.()
      })
      this.#watchers.set(folder, watcher)
      watcher.on('error', () => this.#drop(folder, watcher))
    } catch {
      // The system gives no more watches, or the folder is gone: looks by the clock go on.
    }
  }

  #drop(folder: string, watcher: FSWatcher): void {
    watcher.close()
    this.#watchers.delete(folder)
  }
}
