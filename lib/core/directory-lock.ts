import { randomUUID } from 'node:crypto'
import { access, readdir, readFile, rm } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { writeDurably } from './durable-file.ts'
import { CheckpointError } from './errors.ts'
import { isRunning, type ProcessMark, processStart } from './process-start.ts'

/** Who holds a lock. */
interface Holder extends ProcessMark {
  readonly host: string
  readonly since: string
}

const claims = 5

/**
 * Keeps a directory to one process at a time. Each process lays down a claim of its own name and then looks for the
 * claims of others: of two that start at once, the later one sees the earlier one's. Because no two claims share a
 * name, the claim of a dead process can be removed by anybody at any time without hitting a live one.
 */
export class DirectoryLock {
  readonly #file: string

  private constructor(file: string) {
    this.#file = file
  }

  /** Whether a file's name is that of a lock. */
  static isLock(name: string): boolean {
    return /^lock-[0-9a-f-]{36}\.json(\.tmp)?$/.test(name)
  }

  /** @throws CheckpointError where another process has the directory, and says which */
  static async acquire(directory: string): Promise<DirectoryLock> {
    for (let claim = 1; ; claim++) {
      const name = `lock-${randomUUID()}.json`
      const holder: Holder = {
        pid: process.pid,
        started: await processStart(process.pid),
        host: hostname(),
        since: new Date().toISOString(),
      }
      const lock = new DirectoryLock(join(directory, name))
      try {
        await writeDurably(directory, name, JSON.stringify(holder))
        await refuseOthers(directory, name)
        return lock
      } catch (error) {
        await lock.release()
        // Of two that start at once each may see the other's claim and withdraw, or tidy away what the other writes.
        const passing = error instanceof CheckpointError || (error as NodeJS.ErrnoException).code === 'ENOENT'
        if (!passing || claim === claims) throw error
        await sleep(Math.random() * 100)
      }
    }
  }

  /** @throws CheckpointError where somebody removed the lock while we hold it */
  async check(): Promise<void> {
    try {
      await access(this.#file)
    } catch (cause) {
      throw new CheckpointError(
        'ERR_CHECKPOINT',
        `the lock ${this.#file} is gone: another process may use the checkpoint now, so this one writes no more`,
        { cause },
      )
    }
  }

  async release(): Promise<void> {
    await rm(this.#file, { force: true }).catch(() => {})
  }
}

async function refuseOthers(directory: string, own: string): Promise<void> {
  for (const name of await readdir(directory)) {
    if (name === own || !DirectoryLock.isLock(name) || name.endsWith('.tmp')) continue
    const file = join(directory, name)
    const holder = await readHolder(file)
    if (holder === undefined) continue
    if (holder.host !== hostname()) {
      throw new CheckpointError(
        'ERR_CHECKPOINT',
        `${directory} is held by process ${holder.pid} on host "${holder.host}" since ${holder.since}. ` +
          `Whether that process still runs can't be seen from here: if it does not, delete ${file}`,
      )
    }
    if (await isRunning(holder)) {
      throw new CheckpointError(
        'ERR_CHECKPOINT',
        `${directory} is held by process ${holder.pid}${holder.pid === process.pid ? ' (this one)' : ''} ` +
          `since ${holder.since}: stop it first, or use another directory`,
      )
    }
    await rm(file, { force: true })
  }
}

/** @returns undefined where the lock was released in the meantime */
async function readHolder(file: string): Promise<Holder | undefined> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  try {
    const holder = JSON.parse(text) as Holder
    if (Number.isInteger(holder.pid) && typeof holder.host === 'string') return holder
  } catch {}
  throw new CheckpointError(
    'ERR_CHECKPOINT',
    `${file} should be a lock and can't be read: make sure that no other process uses the directory, then delete it`,
  )
}
