import { constants } from 'node:fs'
import { mkdir, open, readdir, realpath, rm, stat } from 'node:fs/promises'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import { asideSuffix, writeDurably } from '../core/durable-file.ts'
import { CheckpointError } from '../core/errors.ts'
import { declareOptions, type OptionDeclaration, type OptionSpecs } from '../core/options.ts'
import type { OptionsOf } from '../core/spelling.ts'
import { DirectoryLock } from './directory-lock.ts'
import { type Lease, leaseSpec, openLeased } from './lease.ts'
import {
  asCheckpointError,
  type CheckpointSession,
  type CheckpointStore,
  type OpenOptions,
  type StoredText,
  TransientError,
} from './store.ts'

const directorySpecs = {
  /**
   * Time after which the lock of a process that does not renew it frees itself, in seconds: 1 to 3600.
   * @default 30
   */
  lease_seconds: leaseSpec(1, 3600, 30),
} satisfies OptionSpecs

export type DirectoryStoreOptions = OptionsOf<typeof directorySpecs>

const directoryDeclaration: OptionDeclaration<typeof directorySpecs> = declareOptions(
  'checkpoint',
  directorySpecs,
)

/** Windows has no such flag. */
const noFollow = constants.O_NOFOLLOW ?? 0

const stateName = /^checkpoint-(\d{10,15})\.json$/
const asideName = /^checkpoint-\d{10,15}\.json(\.[0-9a-f-]{36})?\.tmp$/

/**
 * Checkpoints in directories. A state is a file `checkpoint-<number>.json`, written aside, flushed and renamed; changes
 * are appended to it. The newest file counts, the one before it is kept, older ones are removed. A lock keeps other
 * processes out: it moves at once from a process of this host that has ended, and from any other once it has
 * not been renewed for `lease_seconds`.
 */
export class DirectoryStore implements CheckpointStore {
  readonly #directory: string
  readonly #duration: number

  /** @throws OptionError */
  constructor(directory: string, options: DirectoryStoreOptions = {}) {
    this.#directory = resolve(directory)
    this.#duration = directoryDeclaration.resolve({ ...options }).lease_seconds * 1000
  }

  /** @param name a directory below the store's; empty for the store's own */
  async open(name: string, options: OpenOptions = {}): Promise<CheckpointSession> {
    const directory = this.#below(name)
    return openLeased(() => acquire(directory, this.#duration), this.#duration, options)
  }

  async read(name: string): Promise<StoredText> {
    const directory = this.#below(name)
    return { text: await readNewest(directory), location: directory }
  }

  /** @throws CheckpointError if a name leads out of the store's directory */
  #below(name: string): string {
    // Not even to itself: two names would mean one checkpoint.
    const leads = isAbsolute(name) || name.split(/[/\\]/).some((part) => part === '.' || part === '..')
    if (!leads && !name.includes('\0')) return join(this.#directory, name)
    throw new CheckpointError(
      'ERR_CHECKPOINT',
      `the name ${JSON.stringify(name)} leads out of the checkpoint's directory ${this.#directory}`,
    )
  }
}

async function acquire(given: string, duration: number): Promise<DirectoryLease> {
  let directory = given
  try {
    await makeDirectory(directory)
    // The current target: a link that changes later is not followed.
    directory = await realpath(directory)
    const lock = await DirectoryLock.acquire(directory, duration)
    try {
      const states = await listStates(directory)
      const newest = states[0]
      const text = newest && (await readState(join(directory, newest)))
      await tidy(directory)
      return new DirectoryLease(directory, lock, states, text)
    } catch (error) {
      await lock.release()
      throw error
    }
  } catch (error) {
    const { code, syscall } = error as NodeJS.ErrnoException
    const text = `the checkpoint in ${directory} can't be opened`
    // A process that got the lock at this moment tidied our unfinished lock away: ask again.
    if (code === 'ENOENT' && syscall === 'rename') throw new TransientError(text, error)
    throw asCheckpointError(error, text)
  }
}

class DirectoryLease implements Lease {
  readonly text: string | undefined
  readonly location: string
  readonly remedy: string | undefined
  readonly #directory: string
  readonly #lock: DirectoryLock
  #number: number

  constructor(directory: string, lock: DirectoryLock, states: readonly string[], text: string | undefined) {
    const [newest, before] = states
    this.text = text
    this.location = directory
    this.remedy =
      before && `Delete ${newest} to go on from the state before it, ${before}: some rows may come again`
    this.#directory = directory
    this.#lock = lock
    this.#number = newest ? numberOf(newest) : 0
  }

  async renew(): Promise<void> {
    await this.#lock.renew()
  }

  async write(text: string): Promise<void> {
    await this.#lock.check()
    for (;;) {
      try {
        await writeDurably(this.#directory, fileName(this.#number + 1), text, { exclusive: true })
        break
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
        // Of two processes that both take themselves for the holder, the one with the lock goes on after the other.
        await this.#lock.check()
        this.#number++
      }
    }
    this.#number++
    await rm(join(this.#directory, fileName(this.#number - 2)), { force: true }).catch(() => {})
    // Frozen between the first check and the writing: the new holder does not read what was written.
    await this.#lock.check()
  }

  async append(text: string): Promise<void> {
    await this.#lock.check()
    const file = await open(
      join(this.#directory, fileName(this.#number)),
      constants.O_WRONLY | constants.O_APPEND | noFollow,
    )
    try {
      await file.writeFile(text)
      await file.datasync()
    } finally {
      await file.close()
    }
    await this.#lock.check()
  }

  async release(): Promise<void> {
    await this.#lock.release()
  }
}

/** Bytes of the longest state, that of a million files: more is not read into memory. */
const longestState = 256_000_000

/** A link in place of a state, which others may have planted in a folder that they may write to, is an error. */
async function readState(path: string): Promise<string> {
  const file = await open(path, constants.O_RDONLY | noFollow)
  try {
    if ((await file.stat()).size > longestState)
      throw new Error(`${path} is longer than ${longestState} bytes, which no state is`)
    return await file.readFile('utf8')
  } finally {
    await file.close()
  }
}

/**
 * Makes a directory and those above it. Node says only ENOENT of one that can't be made, whether the disk is full or
 * read-only: the first one that is missing is made alone then, and its error says which and why.
 */
async function makeDirectory(directory: string): Promise<void> {
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 })
  } catch (error) {
    for (let path = directory; dirname(path) !== path; path = dirname(path)) {
      const isThere = await stat(dirname(path)).catch(() => undefined)
      if (isThere) await mkdir(path, { mode: 0o700 })
      if (isThere) break
    }
    throw error
  }
}

function fileName(number: number): string {
  return `checkpoint-${String(number).padStart(10, '0')}.json`
}

function numberOf(name: string): number {
  return Number(stateName.exec(name)![1])
}

/** The newest state in a directory, read without its lock. @returns undefined if there is none */
async function readNewest(directory: string): Promise<string | undefined> {
  try {
    const [newest] = await listStates(directory)
    return newest && (await readState(join(directory, newest)))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw asCheckpointError(error, `the checkpoint in ${directory} can't be read`)
  }
}

/** Files of states, the newest first. @throws CheckpointError if there is none, but foreign files */
async function listStates(directory: string): Promise<string[]> {
  const names = await readdir(directory)
  const states = names.filter((name) => stateName.test(name)).sort((a, b) => numberOf(b) - numberOf(a))
  const foreign = states.length === 0 ? names.find((name) => !isOurs(name)) : undefined
  if (foreign === undefined) return states
  throw new CheckpointError(
    'ERR_CHECKPOINT',
    `${directory} is not a checkpoint's directory: it holds "${foreign}". Use a new or empty directory`,
  )
}

function isOurs(name: string): boolean {
  return DirectoryLock.isLock(name) || asideName.test(name) || name.startsWith('.') || name === 'lost+found'
}

/** Removes what a crash left behind, and states older than the one before the newest. */
async function tidy(directory: string): Promise<void> {
  const names = await readdir(directory)
  const newest = Math.max(0, ...names.filter((name) => stateName.test(name)).map(numberOf))
  for (const name of names) {
    const old =
      asideName.test(name) ||
      (DirectoryLock.isLock(name) && name.endsWith(asideSuffix)) ||
      (stateName.test(name) && numberOf(name) < newest - 1)
    if (old) await rm(join(directory, name), { force: true }).catch(() => {})
  }
}
