import { EventEmitter, once } from 'node:events'
import { type FSWatcher, watch } from 'node:fs'

/** Maximum number of watched folders: a system limits them per process. */
const mostFolders = 256

/** Watches folders, so that a look at them need not wait. The next look by the clock finds what it misses. */
export class FolderWatch {
  readonly #watchers = new Map<string, FSWatcher>()
  readonly #changes = new EventEmitter().setMaxListeners(0)
  #hasChanged = false

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

  /** Makes those who wait for a change look again. */
  notify(): void {
    this.#hasChanged = true
    this.#changes.emit('change')
  }

  /** Resolves once something has changed since the last look. @throws AbortError */
  async changed(signal: AbortSignal): Promise<void> {
    if (!this.#hasChanged) await once(this.#changes, 'change', { signal })
  }

  close(): void {
    for (const [folder, watcher] of this.#watchers) this.#drop(folder, watcher)
  }

  #add(folder: string): void {
    try {
      const watcher = watch(folder, { persistent: false }, () => this.notify())
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
