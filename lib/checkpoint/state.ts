import { jsonOrUndefined } from '../core/json.ts'
import type { Json, Offset, Slice } from '../core/slice.ts'

/** What a checkpoint belongs to, as strings by name: the workspace, the query, the slice settings. */
export type Identity = Readonly<Record<string, string>>

/** A line of the state after its first: slices begun, or ids of slices that are done. */
export type Change = { readonly plan: readonly Slice[] } | { readonly commit: readonly string[] }

/** A checkpoint's state as it is kept. */
export interface CheckpointState {
  readonly identity: Identity
  /** The offset of the stream before the changes. */
  readonly offset: Offset
  readonly changes: readonly Change[]
}

const format = 'cyber-connectors checkpoint'
const version = 2

/**
 * The state as text, version 2 of the format: lines of JSON, each with a line feed at its end. The first is a snapshot,
 * the others are changes in their order:
 *
 *     {"format":"cyber-connectors checkpoint","version":2,"identity":{"connector":"azure-monitor","query":"…"},"offset":{…}}
 *     {"plan":[{"id":"…",…},…]}
 *     {"commit":["<id>",…]}
 */
export function formatState({ identity, offset, changes }: CheckpointState): string {
  return [{ format, version, identity, offset }, ...changes].map(formatLine).join('')
}

export function formatChange(change: Change): string {
  return formatLine(change)
}

function formatLine(value: object): string {
  return `${JSON.stringify(value)}\n`
}

/**
 * Reads the state back. It skips a last line that was cut off, or that holds zeros: a crash ended its writing, so the
 * change was never acknowledged.
 *
 * @throws Error that says what is wrong with the text
 */
export function parseState(text: string): CheckpointState {
  const lines = text.split('\n')
  const head = jsonOrUndefined(lines[0]!) as Json | undefined
  if (head === undefined) throw new Error('it is cut off or damaged')
  if (!isObject(head) || head['format'] !== format) throw new Error('it is not a checkpoint of this package')
  if (head['version'] !== version) {
    throw new Error(
      `it is of version ${JSON.stringify(head['version'])} and this package reads version ${version}: use the package that wrote it`,
    )
  }
  const { identity, offset } = head
  if (!isIdentity(identity)) throw new Error('its identity is not a set of strings')
  if (!isObject(offset)) throw new Error('its offset is no object')
  const changes = lines.slice(1, -1)
  if (changes.at(-1)?.includes('\0')) changes.pop()
  return { identity, offset, changes: changes.map((line, index) => parseChange(line, index + 2)) }
}

function parseChange(line: string, number: number): Change {
  const value = jsonOrUndefined(line) as Json | undefined
  if (isObject(value) && Object.keys(value).length === 1) {
    const { plan, commit } = value
    if (Array.isArray(plan) && plan.every(isSlice)) return { plan }
    if (Array.isArray(commit) && commit.every((id) => typeof id === 'string')) return { commit }
  }
  throw new Error(`its line ${number} is damaged`)
}

function isObject(value: Json | undefined): value is { readonly [key: string]: Json | undefined } {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isIdentity(value: Json | undefined): value is Identity {
  return isObject(value) && Object.values(value).every((text) => typeof text === 'string')
}

function isSlice(value: Json): value is Slice {
  return isObject(value) && typeof value['id'] === 'string'
}

/** A slice that was begun. */
interface Planned<S extends Slice> {
  readonly slice: S
  /** It is done, while one before it is not. */
  committed: boolean
  next: Planned<S> | undefined
}

/** Slices begun, in order. Each call costs the same however many there are. */
export class PlannedSlices<S extends Slice> {
  readonly #byId = new Map<string, Planned<S>>()
  // A chain: a Map that is emptied from its front slows down the more entries it had.
  #first: Planned<S> | undefined
  #last: Planned<S> | undefined

  has(id: string): boolean {
    return this.#byId.has(id)
  }

  isCommitted(id: string): boolean {
    return this.#byId.get(id)?.committed ?? false
  }

  add(slice: S): void {
    const planned = { slice, committed: false, next: undefined }
    this.#byId.set(slice.id, planned)
    if (this.#last) this.#last.next = planned
    else this.#first = planned
    this.#last = planned
  }

  commit(id: string): void {
    this.#byId.get(id)!.committed = true
  }

  /** Removes the first slice if it is committed. */
  shiftCommitted(): S | undefined {
    const first = this.#first
    if (!first?.committed) return undefined
    this.#byId.delete(first.slice.id)
    this.#first = first.next
    if (!this.#first) this.#last = undefined
    return first.slice
  }

  *[Symbol.iterator](): Generator<S, void> {
    for (let at = this.#first; at; at = at.next) yield at.slice
  }
}
