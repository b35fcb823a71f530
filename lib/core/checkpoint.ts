import { mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import {
  type CheckpointState,
  formatState,
  type Identity,
  type PlannedWindow,
  parseState,
} from './checkpoint-state.ts'
import { DirectoryLock } from './directory-lock.ts'
import { asideSuffix, writeDurably } from './durable-file.ts'
import { CheckpointError } from './errors.ts'
import { formatInstant, parseInstant, type Ticks } from './time.ts'
import { type Window, windowId } from './window.ts'

const stateName = /^checkpoint-(\d{10,15})\.json$/

/**
 * Offsets on disk: which windows are committed and which are under way. Each change is a new small file
 * `checkpoint-<number>.json`, written aside, flushed and renamed; the newest counts, the one before it is kept, older
 * ones are removed. A lock keeps other processes out until `close()`.
 */
export class Checkpoint {
  readonly directory: string
  readonly #identity: Identity
  readonly #lock: DirectoryLock
  #number: number
  #state: CheckpointState | undefined
  #turn: Promise<unknown> = Promise.resolve()
  #closed: Promise<void> | undefined

  private constructor(
    directory: string,
    identity: Identity,
    lock: DirectoryLock,
    newest: { number: number; state: CheckpointState } | undefined,
  ) {
    this.directory = directory
    this.#identity = identity
    this.#lock = lock
    this.#number = newest?.number ?? 0
    this.#state = newest?.state
  }

  /**
   * Opens the checkpoint in a directory, which is made where it is not there.
   *
   * @param identity what the checkpoint must belong to
   * @throws CheckpointError (`ERR_CHECKPOINT`) where another process holds it, it belongs to something else, can't be
   *   read or is not a checkpoint's directory. Nothing is changed then.
   */
  static async open(directory: string, identity: Identity): Promise<Checkpoint> {
    directory = resolve(directory)
    try {
      await mkdir(directory, { recursive: true, mode: 0o700 })
      const lock = await DirectoryLock.acquire(directory)
      try {
        const newest = await readNewest(directory)
        if (newest) requireSame(directory, newest.state, identity)
        await tidy(directory, newest?.number ?? 0)
        return new Checkpoint(directory, identity, lock, newest)
      } catch (error) {
        await lock.release()
        throw error
      }
    } catch (error) {
      throw asCheckpointError(error, `the checkpoint in ${directory} can't be opened`)
    }
  }

  /** All before this instant is committed; undefined where nothing was begun yet. */
  get offset(): Ticks | undefined {
    return this.#state?.offset
  }

  /** Windows begun and not committed, in order. */
  get planned(): readonly Window[] {
    return this.#state?.planned.filter(({ committed }) => !committed) ?? []
  }

  /** Where the next window to plan starts; undefined where nothing was begun yet. */
  get end(): Ticks | undefined {
    return this.#state?.planned.at(-1)?.end ?? this.#state?.offset
  }

  /** Sets where a new checkpoint begins. One that has begun already is left as it is. */
  async begin(offset: Ticks): Promise<void> {
    await this.#change((state) => state ?? { identity: this.#identity, offset, planned: [] })
  }

  /** Notes windows as under way, before any of their rows is handed on. They must follow on what was planned before. */
  async plan(...windows: Window[]): Promise<void> {
    await this.#change((state) => {
      const planned = [...(state?.planned ?? [])]
      const offset = state?.offset ?? windows[0]?.start
      let at = planned.at(-1)?.end ?? offset
      if (offset === undefined) return state
      for (const { start, end } of windows) {
        if (start !== at || end <= start) {
          throw new CheckpointError(
            'ERR_CHECKPOINT',
            `the window ${windowId({ start, end })} does not begin where the last one ends, ${formatInstant(at!)}`,
          )
        }
        planned.push({ start, end, committed: false })
        at = end
      }
      return { identity: this.#identity, offset, planned }
    })
  }

  /**
   * Notes planned windows as committed: all their rows are settled. Any order will do; one that is committed already is
   * left as it is.
   *
   * @param ids the windows' ids, as `planned` windows have them: `<start>/<end>`
   */
  async commit(...ids: string[]): Promise<void> {
    await this.#change((state) => {
      const known = new Set(state?.planned.map(windowId))
      const unknown = ids.find((id) => !known.has(id) && !(state && endsBefore(id, state.offset)))
      if (state === undefined || unknown !== undefined) {
        throw new CheckpointError('ERR_CHECKPOINT', `${this.directory} has no window ${unknown} under way`)
      }
      const done = new Set(ids)
      const planned: PlannedWindow[] = state.planned.map((window) =>
        done.has(windowId(window)) ? { ...window, committed: true } : window,
      )
      let { offset } = state
      while (planned[0]?.committed) offset = planned.shift()!.end
      const changed = ids.some((id) => known.has(id))
      return changed ? { identity: this.#identity, offset, planned } : state
    })
  }

  /** Gives the directory free for others, after changes under way. */
  async close(): Promise<void> {
    this.#closed ??= this.#turn.then(
      () => this.#lock.release(),
      () => this.#lock.release(),
    )
    await this.#closed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** One change after the other; the state in memory follows the one on disk. */
  async #change(next: (state: CheckpointState | undefined) => CheckpointState | undefined): Promise<void> {
    if (this.#closed)
      throw new CheckpointError('ERR_CHECKPOINT', `the checkpoint in ${this.directory} is closed`)
    const turn = this.#turn.then(async () => {
      const state = next(this.#state)
      if (state === undefined || state === this.#state) return
      await this.#write(state)
    })
    this.#turn = turn.catch(() => {})
    await turn
  }

  async #write(state: CheckpointState): Promise<void> {
    const number = this.#number + 1
    try {
      await this.#lock.check()
      await writeDurably(this.directory, fileName(number), formatState(state))
    } catch (error) {
      throw asCheckpointError(error, `the checkpoint in ${this.directory} can't be written`)
    }
    this.#number = number
    this.#state = state
    await rm(join(this.directory, fileName(number - 2)), { force: true }).catch(() => {})
  }
}

function fileName(number: number): string {
  return `checkpoint-${String(number).padStart(10, '0')}.json`
}

async function readNewest(
  directory: string,
): Promise<{ number: number; state: CheckpointState } | undefined> {
  const names = await readdir(directory)
  const [newest, before] = names
    .filter((name) => stateName.test(name))
    .sort((a, b) => numberOf(b) - numberOf(a))
  if (newest === undefined) {
    const foreign = names.find((name) => !isOurs(name))
    if (foreign === undefined) return undefined
    throw new CheckpointError(
      'ERR_CHECKPOINT',
      `${directory} is not a checkpoint's directory: it holds "${foreign}". Use a new or empty directory`,
    )
  }
  try {
    return { number: numberOf(newest), state: parseState(await readFile(join(directory, newest), 'utf8')) }
  } catch (cause) {
    const way = before
      ? `Delete it to go on from the state before it, ${before}: some rows may come again`
      : 'Restore it, or begin again in a new directory with start_time set to where the last rows came from'
    throw new CheckpointError(
      'ERR_CHECKPOINT',
      `${join(directory, newest)} can't be used: ${(cause as Error).message}. ${way}`,
      { cause },
    )
  }
}

function numberOf(name: string): number {
  return Number(stateName.exec(name)![1])
}

function isOurs(name: string): boolean {
  return (
    DirectoryLock.isLock(name) || (name.endsWith(asideSuffix) && stateName.test(name.slice(0, -asideSuffix.length))) ||
    name.startsWith('.') || name === 'lost+found' // biome-ignore format: one condition
  )
}

function requireSame(directory: string, { identity: there, offset }: CheckpointState, here: Identity): void {
  for (const name of new Set([...Object.keys(there), ...Object.keys(here)])) {
    if (there[name] === here[name]) continue
    throw new CheckpointError(
      'ERR_CHECKPOINT',
      `the checkpoint in ${directory} belongs to another query: its ${name} is ${brief(there[name])}, not ` +
        `${brief(here[name])}. Give each query a directory of its own; to go on from where this one stands, start there ` +
        `with start_time "${formatInstant(offset)}"`,
    )
  }
}

function brief(text: string | undefined): string {
  if (text === undefined) return 'not given'
  return JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}…` : text)
}

function endsBefore(id: string, offset: Ticks): boolean {
  const end = parseInstant(id.slice(id.indexOf('/') + 1))
  return end !== undefined && end <= offset
}

/** Removes what a crash left behind, and states older than the one before the newest. */
async function tidy(directory: string, newest: number): Promise<void> {
  for (const name of await readdir(directory)) {
    const old = name.endsWith(asideSuffix)
      ? isOurs(name) && !name.startsWith('.')
      : stateName.test(name) && numberOf(name) < newest - 1
    if (old) await rm(join(directory, name), { force: true }).catch(() => {})
  }
}

function asCheckpointError(error: unknown, what: string): CheckpointError {
  if (error instanceof CheckpointError) return error
  return new CheckpointError('ERR_CHECKPOINT', `${what}: ${(error as Error).message}`, { cause: error })
}
