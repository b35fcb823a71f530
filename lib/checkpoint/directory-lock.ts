import { randomUUID } from 'node:crypto'
import { access, lstat, open, readdir, readFile, rm } from 'node:fs/promises'
import { hostname } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { writeDurably } from '../core/durable-file.ts'
import { CheckpointError } from '../core/errors.ts'
import { HeldError, LostError } from './store.ts'

/** Who holds a lock. */
interface Holder extends ProcessMark {
  readonly host: string
  readonly since: string
  /** Seconds after which the lock frees itself unless it is renewed. */
  readonly lease: number
}

const claims = 5

/**
 * Keeps a directory to one process at a time. Each process lays down a claim of its own name and then looks for the
 * claims of others: of two that start at once, the later one sees the earlier one's. Because no two claims share a
 * name, the claim of a dead process can be removed by any process at any time without hitting a live one.
 *
 * The holder renews its claim by rewriting the file, so that processes on other hosts see that it lives. They measure
 * its age by the file system's own clock, which dates their own claim as well.
 */
export class DirectoryLock {
  readonly #file: string
  readonly #text: string
  /** Device and inode of the directory. */
  #place = ''

  private constructor(file: string, text: string) {
    this.#file = file
    this.#text = text
  }

  /** Whether a file's name is that of a lock. */
  static isLock(name: string): boolean {
    return /^lock-[0-9a-f-]{36}\.json((\.[0-9a-f-]{36})?\.tmp)?$/.test(name)
  }

  /**
   * @param duration milliseconds after which the lock frees itself unless it is renewed
   * @throws HeldError where another process has the directory, and says which
   */
  static async acquire(directory: string, duration: number): Promise<DirectoryLock> {
    for (let claim = 1; ; claim++) {
      const name = `lock-${randomUUID()}.json`
      const holder: Holder = {
        pid: process.pid,
        started: await processStart(process.pid),
        host: hostname(),
        since: new Date().toISOString(),
        lease: duration / 1000,
      }
      const text = JSON.stringify(holder)
      const lock = new DirectoryLock(join(directory, name), text)
      try {
        await writeDurably(directory, name, text)
        await refuseOthers(directory, name)
        lock.#place = await placeOf(directory)
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

  /** @throws LostError if somebody removed the lock while we hold it, or put another directory in its place */
  async check(): Promise<void> {
    await this.#orLost(access(this.#file))
    const directory = dirname(this.#file)
    if ((await this.#orLost(placeOf(directory))) === this.#place) return
    throw new LostError(directory, 'another directory is in its place')
  }

  /** @throws LostError as `check` does */
  async renew(): Promise<void> {
    const file = await this.#orLost(open(this.#file, 'r+'))
    try {
      await file.write(this.#text, 0)
    } finally {
      await file.close()
    }
  }

  async #orLost<T>(call: Promise<T>): Promise<T> {
    try {
      return await call
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause
      throw new LostError(
        dirname(this.#file),
        `the lock ${this.#file} is gone, so another process may use it now`,
        cause,
      )
    }
  }

  async release(): Promise<void> {
    await rm(this.#file, { force: true }).catch(() => {})
  }
}

/** Identity of the directory: another one, or a link to it, in its place differs. */
async function placeOf(directory: string): Promise<string> {
  const { dev, ino } = await lstat(directory, { bigint: true })
  return `${dev} ${ino}`
}

/** A claim, and when it was written or renewed last. */
interface Claim {
  readonly holder: Holder
  readonly renewed: number
}

async function refuseOthers(directory: string, own: string): Promise<void> {
  const now = (await readClaim(join(directory, own)))?.renewed
  for (const name of await readdir(directory)) {
    if (name === own || !DirectoryLock.isLock(name) || name.endsWith('.tmp')) continue
    const file = join(directory, name)
    const claim = await readClaim(file)
    if (claim === undefined) continue
    const { holder, renewed } = claim
    const isOurHost = holder.host === hostname()
    const age = ((now ?? renewed) - renewed) / 1000
    if (age > holder.lease || (isOurHost && !(await isRunning(holder)))) {
      await rm(file, { force: true })
      continue
    }
    if (isOurHost) {
      throw new HeldError(
        `${directory} is held by process ${holder.pid}${holder.pid === process.pid ? ' (this one)' : ''} ` +
          `since ${holder.since}: stop it first, or use another directory`,
      )
    }
    throw new HeldError(
      `${directory} is held by process ${holder.pid} on host "${holder.host}" since ${holder.since}. It was renewed ` +
        `${Math.max(0, Math.round(age))} s ago and frees itself ${holder.lease} s after the last renewal; if that ` +
        `process has ended, delete ${file} to go on at once`,
    )
  }
}

/** Bytes of a lock that are read; ours have about 150. */
const longestClaim = 65_536

/** @returns undefined where the lock was released in the meantime */
async function readClaim(file: string): Promise<Claim | undefined> {
  let text: string
  let renewed: number
  try {
    // Opened before it is dated: network file systems keep a file's date for a while, but not over an opening.
    const handle = await open(file, 'r')
    try {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(longestClaim), 0, longestClaim, 0)
      text = buffer.toString('utf8', 0, bytesRead)
      renewed = (await handle.stat()).mtimeMs
    } finally {
      await handle.close()
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  try {
    const holder = JSON.parse(text) as Holder
    const { pid, host, lease } = holder
    if (Number.isInteger(pid) && typeof host === 'string' && lease > 0) return { holder, renewed }
  } catch {}
  throw new CheckpointError(
    'ERR_CHECKPOINT',
    `${file} should be a lock and can't be read: make sure that no other process uses the directory, then delete it`,
  )
}

/** A process, distinct from a later one with the same number. */
interface ProcessMark {
  readonly pid: number
  /** When it started, by Linux's /proc; undefined elsewhere. */
  readonly started?: string | undefined
}

const gone = 'gone'

/** A string that differs for each process that ever had this number; undefined if the system has none. */
export async function processStart(pid: number): Promise<string | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
    // The name of the program comes second, in parentheses, and may hold anything: count from its end.
    // https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    // A zombie has ended and holds nothing; only its parent has not taken notice.
    if (fields[0] === 'Z' || fields[0] === 'X') return gone
    const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8')
    return `${boot.trim()} ${fields[19]}`
  } catch {
    return undefined
  }
}

/** Whether this very process still runs. If the system can't distinguish two of the same number, it counts as running. */
async function isRunning({ pid, started }: ProcessMark): Promise<boolean> {
  try {
    process.kill(pid, 0)
  } catch (error) {
    // EPERM: it is there, and another user's.
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
  }
  const now = await processStart(pid)
  return now !== gone && (now === undefined || started === undefined || now === started)
}
