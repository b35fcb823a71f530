import type { Json, Offset, Slice } from '../core/slice.ts'

/** What a checkpoint belongs to, as names and texts: the workspace, the query, how slices are laid. */
export type Identity = Readonly<Record<string, string>>

/** A line of the state after its first: slices begun, or ids of slices that are done. */
export type Change = { readonly plan: readonly Slice[] } | { readonly commit: readonly string[] }

/** A checkpoint's state as it is kept. */
export interface CheckpointState {
  readonly identity: Identity
  /** Where the stream stood before the changes. */
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
 * Reads the state back, also one of version 1. A last line that was cut off, or in which zeros stand, is left out: a
 * crash ended its writing, so the change was never acknowledged.
 *
 * @throws Error that says what is wrong with the text
 */
export function parseState(text: string): CheckpointState {
  const lines = text.split('\n')
  const head = parseJson(lines[0]!)
  // Version 1 is one JSON text of several lines.
  if (head === undefined) return parseVersion1(parseJson(text))
  if (!isObject(head) || head['format'] !== format) throw new Error('it is not a checkpoint of this package')
  if (head['version'] === 1) return parseVersion1(parseJson(text))
  requireVersion(head['version'])
  const { identity, offset } = head
  if (!isIdentity(identity)) throw new Error('its identity is not a set of texts')
  if (!isObject(offset)) throw new Error('its offset is no object')
  const changes = lines.slice(1, -1)
  if (changes.at(-1)?.includes('\0')) changes.pop()
  return { identity, offset, changes: changes.map((line, index) => parseChange(line, index + 2)) }
}

function parseChange(line: string, number: number): Change {
  const value = parseJson(line)
  if (isObject(value) && Object.keys(value).length === 1) {
    const { plan, commit } = value
    if (Array.isArray(plan) && plan.every(isSlice)) return { plan }
    if (Array.isArray(commit) && commit.every((id) => typeof id === 'string')) return { commit }
  }
  throw new Error(`its line ${number} is damaged`)
}

/**
 * Version 1 of the format, which knew only windows of time:
 *
 *     { "format": "cyber-connectors checkpoint", "version": 1, "identity": { … }, "offset": "2024-05-01T00:00:00.000Z",
 *       "planned": [{ "id": "<start>/<end>", "start": "…", "end": "…", "committed": false }, …] }
 */
function parseVersion1(value: Json | undefined): CheckpointState {
  if (value === undefined) throw new Error('it is cut off or damaged')
  if (!isObject(value) || value['format'] !== format)
    throw new Error('it is not a checkpoint of this package')
  if (value['version'] !== 1) requireVersion(value['version'])
  const { identity, offset, planned } = value
  if (typeof offset !== 'string') throw new Error('its offset is no instant')
  if (!isIdentity(identity)) throw new Error('its identity is not a set of texts')
  if (!Array.isArray(planned)) throw new Error('its planned windows are not a list')
  const plan: Slice[] = []
  const commit: string[] = []
  for (const [index, entry] of planned.entries()) {
    const { id, start, end, committed } = isObject(entry) ? entry : {}
    if (typeof id !== 'string' || typeof committed !== 'boolean' || id !== `${start}/${end}`) {
      throw new Error(`its planned window ${index} is no window`)
    }
    plan.push({ id, start, end })
    if (committed) commit.push(id)
  }
  return { identity, offset: { timestamp: offset }, changes: [{ plan }, { commit }] }
}

function requireVersion(found: unknown): void {
  if (found === version) return
  throw new Error(
    `it is of version ${JSON.stringify(found)} and this package reads versions 1 and ${version}: use the package that wrote it, or a newer one`,
  )
}

/** @returns undefined where the text is no JSON */
function parseJson(text: string): Json | undefined {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
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
