import { CheckpointError } from '../core/errors.ts'
import { type Offset, offsetText, type Slice } from '../core/slice.ts'
import { DirectoryStore } from './directory-store.ts'
import {
  type Change,
  type CheckpointState,
  formatChange,
  formatState,
  type Identity,
  PlannedSlices,
  parseState,
} from './state.ts'
import type { CheckpointSession, CheckpointStore, OpenOptions, StoredText } from './store.ts'

/** How slices move the offset: what a checkpoint needs of a planner. */
export interface Course<S extends Slice, O extends Offset> {
  /** The offset once a slice is done. It may change the offset in place and return it. @throws Error if the slice does not follow */
  advance(offset: O, slice: S): O
  /**
   * Whether the slice of an id lies before an offset: a repeated commit does no harm then. Default: it is an error, once
   * the offset has moved over the slice.
   */
  passed?(offset: O, id: string): boolean
  /**
   * Advice for an error: how a new checkpoint continues at an offset, or where the last rows came from if that is not
   * known. It names options of the source only.
   */
  restart?(offset?: O): string
}

export interface CheckpointOptions extends OpenOptions {
  /** Tells the checkpoints of one store apart. Default: the store keeps only one. */
  readonly name?: string | undefined
}

/** What this process wrote to the store. */
interface WrittenText {
  /** Of the part that was written whole, in characters. */
  readonly length: number
  /** Of the changes after that part, in characters. */
  appended: number
  changes: number
  /** All of it, where the store can't append. */
  text: string
}

/** Changes are appended until they are longer than this and than the state written whole, in characters. */
const appendedLimit = 1 << 16

/** Changes after a part that was written whole, at most: some stores list them all at each one. */
const changeLimit = 1000

/**
 * Which slices of a stream are committed and which are pending, kept in a store. A change is appended to the state and
 * durable once its promise resolves; it costs the same however many slices are planned. One process has it at a time,
 * until `close()`.
 */
export class Checkpoint<S extends Slice = Slice, O extends Offset = Offset> {
  readonly #session: CheckpointSession
  readonly #identity: Identity
  readonly #course: Course<S, O>
  #offset: O | undefined
  /** The offset once all planned slices are done. */
  #end: O | undefined
  #planned = new PlannedSlices<S>()
  /** The text in the store; undefined if it must be rewritten before lines are appended. */
  #written: WrittenText | undefined
  #turn: Promise<unknown> = Promise.resolve()
  #closed: Promise<void> | undefined

  private constructor(session: CheckpointSession, identity: Identity, course: Course<S, O>) {
    this.#session = session
    this.#identity = identity
    this.#course = course
  }

  /**
   * Opens a checkpoint.
   *
   * @param place a directory, created if missing, or a store
   * @param identity what the checkpoint must belong to
   * @throws CheckpointError (`ERR_CHECKPOINT`) where another process holds it, it belongs to something else, can't be
   *   read or is not a checkpoint. Nothing is changed then.
   */
  static async open<S extends Slice, O extends Offset>(
    place: string | CheckpointStore,
    identity: Identity,
    course: Course<S, O>,
    { name = '', ...options }: CheckpointOptions = {},
  ): Promise<Checkpoint<S, O>> {
    const store = typeof place === 'string' ? new DirectoryStore(place) : place
    const session = await store.open(name, options)
    try {
      const checkpoint = new Checkpoint(session, identity, course)
      if (session.text !== undefined) checkpoint.#restore(session.text)
      return checkpoint
    } catch (error) {
      await session[Symbol.asyncDispose]()
      throw error
    }
  }

  /** Its location, for errors. */
  get location(): string {
    return this.#session.location
  }

  /** Fires once another process may have the checkpoint; its reason is a CheckpointError. */
  get lost(): AbortSignal {
    return this.#session.lost
  }

  /** All slices up to here are committed; undefined if nothing was begun yet. */
  get offset(): O | undefined {
    return this.#offset && structuredClone(this.#offset)
  }

  /** Slices begun and not committed, in order. */
  get planned(): readonly S[] {
    return [...this.#planned].filter(({ id }) => !this.#planned.isCommitted(id))
  }

  /** Where the next slice to plan starts; undefined if nothing was begun yet. */
  get end(): O | undefined {
    return this.#end && structuredClone(this.#end)
  }

  /**
   * Sets where a new checkpoint begins, and slices that are planned with it. One that has begun already is left as it is.
   *
   * @throws CheckpointError as `plan` does
   */
  async begin(offset: O, ...slices: readonly S[]): Promise<void> {
    await this.#inTurn(async () => {
      if (this.#offset !== undefined) return
      const state = { identity: this.#identity, offset: copy(offset), changes: [{ plan: copy(slices) }] }
      try {
        this.#replay(copy(state))
        await this.#writeWhole(state)
      } catch (error) {
        this.#offset = undefined
        this.#end = undefined
        this.#planned = new PlannedSlices()
        throw error
      }
    })
  }

  /**
   * Records slices as pending, before any of their rows is emitted. Each must follow on what was planned before.
   *
   * @throws CheckpointError, also what the planner throws for a slice that does not follow; nothing is changed then
   */
  async plan(...slices: readonly S[]): Promise<void> {
    await this.#inTurn(async () => {
      if (this.#end === undefined) throw this.#error('has not begun: it has no offset yet')
      if (slices.length === 0) return
      const plan = copy(slices)
      try {
        this.#foresee(plan)
        await this.#record({ plan })
      } catch (error) {
        this.#end = this.#endOfPlanned()
        throw error
      }
      for (const slice of plan) this.#planned.add(slice)
    })
  }

  /**
   * Notes planned slices as committed: all their rows are settled. Any order will do; one that is committed already is
   * left as it is.
   *
   * @param ids the slices' ids
   */
  async commit(...ids: string[]): Promise<void> {
    await this.#inTurn(async () => {
      const open = [...new Set(ids)].filter((id) => this.#isOpen(id))
      if (open.length === 0) return
      await this.#record({ commit: open })
      this.#settle(open)
    })
  }

  /** Releases the checkpoint, after pending changes. */
  async close(): Promise<void> {
    this.#closed ??= this.#turn.then(() => this.#session[Symbol.asyncDispose]())
    await this.#closed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #restore(text: string): void {
    const { location, remedy } = this.#session
    let state: CheckpointState
    try {
      state = parseState(text)
      this.#replay(state)
    } catch (cause) {
      const restart = this.#course.restart?.()
      const advice = restart === undefined ? '' : `: ${restart}`
      throw new CheckpointError(
        'ERR_CHECKPOINT',
        `the checkpoint in ${location} can't be used: ${(cause as Error).message}. ${remedy ?? `Restore it, or start a new checkpoint${advice}`}`,
        { cause },
      )
    }
    requireSame(location, state.identity, this.#identity, this.#offset!, this.#course)
  }

  #replay({ offset, changes }: CheckpointState): void {
    this.#offset = offset as O
    this.#end = copy(this.#offset)
    for (const change of changes) {
      if ('plan' in change) {
        const plan = change.plan as readonly S[]
        this.#foresee(plan)
        for (const slice of plan) this.#planned.add(slice)
      } else {
        for (const id of change.commit) {
          if (!this.#planned.has(id)) throw new Error(`it has no slice "${id}" to commit`)
        }
        this.#settle(change.commit)
      }
    }
  }

  /** Moves the end over slices that are about to be planned. */
  #foresee(slices: readonly S[]): void {
    const ids = new Set<string>()
    for (const slice of slices) {
      if (typeof slice.id !== 'string' || slice.id === '') throw this.#error('takes only slices with an id')
      if (this.#planned.has(slice.id) || ids.has(slice.id))
        throw this.#error(`has ${slice.id} planned already`)
      ids.add(slice.id)
      this.#end = this.#course.advance(this.#end!, slice)
    }
  }

  #endOfPlanned(): O {
    let end = copy(this.#offset!)
    for (const slice of this.#planned) end = this.#course.advance(end, slice)
    return end
  }

  /** @throws CheckpointError for an id that was never planned */
  #isOpen(id: string): boolean {
    if (this.#planned.has(id)) return !this.#planned.isCommitted(id)
    if (this.#offset === undefined || !this.#course.passed?.(this.#offset, id))
      throw this.#error(`has no ${id} in flight`)
    return false
  }

  #settle(ids: readonly string[]): void {
    for (const id of ids) this.#planned.commit(id)
    for (let slice = this.#planned.shiftCommitted(); slice; slice = this.#planned.shiftCommitted()) {
      this.#offset = this.#course.advance(this.#offset!, slice)
    }
  }

  /** One change after the other; the state in memory follows the one in the store. */
  async #inTurn(change: () => Promise<void>): Promise<void> {
    if (this.#closed) throw this.#error('is closed')
    const turn = this.#turn.then(change)
    this.#turn = turn.catch(() => {})
    await turn
  }

  /** Adds a change to the text in the store. */
  async #record(change: Change): Promise<void> {
    const length = this.#written?.length ?? 0
    const isOutgrown = (written: WrittenText) =>
      written.appended > Math.max(length, appendedLimit) || written.changes >= changeLimit
    if (!this.#written || isOutgrown(this.#written)) await this.#writeWhole(this.#state())
    const written = this.#written!
    const line = formatChange(change)
    // After a failure a part of the line may be there: the text is written whole then, before more is added.
    this.#written = undefined
    if (this.#session.append) await this.#session.append(line)
    else {
      written.text += line
      await this.#session.write(written.text)
    }
    written.appended += line.length
    written.changes++
    this.#written = written
  }

  async #writeWhole(state: CheckpointState): Promise<void> {
    const text = formatState(state)
    this.#written = undefined
    await this.#session.write(text)
    this.#written = { length: text.length, appended: 0, changes: 0, text: this.#session.append ? '' : text }
  }

  #state(): CheckpointState {
    const plan = [...this.#planned]
    const commit = plan.map(({ id }) => id).filter((id) => this.#planned.isCommitted(id))
    const changes: Change[] = plan.length > 0 ? [{ plan }] : []
    if (commit.length > 0) changes.push({ commit })
    return { identity: this.#identity, offset: this.#offset!, changes }
  }

  #error(what: string): CheckpointError {
    return new CheckpointError('ERR_CHECKPOINT', `the checkpoint in ${this.location} ${what}`)
  }
}

/**
 * The state of a checkpoint, read without its lock: another process may hold it.
 *
 * @param identity what it must belong to
 * @returns undefined if there is none yet
 * @throws CheckpointError (`ERR_CHECKPOINT`) if it belongs to something else or can't be read
 */
export async function inspectCheckpoint<S extends Slice, O extends Offset>(
  { text, location }: StoredText,
  identity: Identity,
  course: Course<S, O>,
): Promise<O | undefined> {
  if (text === undefined) return undefined
  const session = {
    text,
    location,
    lost: new AbortController().signal,
    write: async () => {
      throw new CheckpointError('ERR_CHECKPOINT', `the checkpoint in ${location} is only looked at`)
    },
    [Symbol.asyncDispose]: async () => {},
  }
  const checkpoint = await Checkpoint.open<S, O>({ open: async () => session }, identity, course)
  const { offset } = checkpoint
  await checkpoint.close()
  return offset
}

/** What JSON makes of a value: the checkpoint holds what it would read back. */
function copy<T>(value: T): T {
  return JSON.parse(JSON.stringify(value))
}

function requireSame<S extends Slice, O extends Offset>(
  location: string,
  there: Identity,
  here: Identity,
  offset: O,
  course: Course<S, O>,
): void {
  for (const name of new Set([...Object.keys(there), ...Object.keys(here)])) {
    if (there[name] === here[name]) continue
    const restart = course.restart?.(offset)
    const advice = restart === undefined ? '' : `: ${restart}`
    throw new CheckpointError(
      'ERR_CHECKPOINT',
      `the checkpoint in ${location} belongs to another query: its ${name} is ${brief(there[name])}, not ` +
        `${brief(here[name])}. Give each query a checkpoint of its own; this one is at ` +
        `${offsetText(offset)}${advice}`,
    )
  }
}

function brief(text: string | undefined): string {
  if (text === undefined) return 'not given'
  return JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}…` : text)
}
