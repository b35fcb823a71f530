import { formatInstant, parseInstant, type Ticks } from './time.ts'
import { fromPlainWindow, toPlainWindow, type Window } from './window.ts'

/** What a checkpoint belongs to, as names and texts: the workspace, the query, how windows are laid. */
export type Identity = Readonly<Record<string, string>>

/** A window that was begun. */
export interface PlannedWindow extends Window {
  /** Its rows are settled, while a window before it is still under way. */
  readonly committed: boolean
}

/** What a checkpoint holds. */
export interface CheckpointState {
  readonly identity: Identity
  /** All before this instant is committed. */
  readonly offset: Ticks
  /** Windows begun, in order; the first starts at the offset, and each where the one before ends. */
  readonly planned: readonly PlannedWindow[]
}

const format = 'cyber-connectors checkpoint'
const version = 1

/**
 * The state as text. Version 1 of the format:
 *
 *     { "format": "cyber-connectors checkpoint", "version": 1,
 *       "identity": { "connector": "azure-monitor", "workspace_id": "…", "query": "…", … },
 *       "offset": "2024-05-01T00:00:00.0000001Z",
 *       "planned": [{ "id": "<start>/<end>", "start": "…", "end": "…", "committed": false }, …] }
 *
 * Instants are ISO 8601 in UTC with 3 or 7 digits of a second.
 */
export function formatState({ identity, offset, planned }: CheckpointState): string {
  const state = {
    format,
    version,
    identity,
    offset: formatInstant(offset),
    planned: planned.map((window) => ({ ...toPlainWindow(window), committed: window.committed })),
  }
  return `${JSON.stringify(state, undefined, 2)}\n`
}

/** Reads the text back. @throws Error that says what is wrong with it */
export function parseState(text: string): CheckpointState {
  let value: Record<string, unknown>
  try {
    value = JSON.parse(text)
  } catch {
    throw new Error('it is cut off or damaged')
  }
  if (value?.['format'] !== format) throw new Error('it is not a checkpoint of this package')
  if (value['version'] !== version) {
    throw new Error(
      `it is of version ${value['version']} and this package reads version ${version}: use the package that wrote it, or a newer one`,
    )
  }
  const { identity, offset, planned } = value
  const at = typeof offset === 'string' ? parseInstant(offset) : undefined
  if (at === undefined) throw new Error('its offset is no instant')
  if (!isIdentity(identity)) throw new Error('its identity is not a set of texts')
  if (!Array.isArray(planned)) throw new Error('its planned windows are not a list')
  let expected = at
  const windows = planned.map((entry: unknown, index): PlannedWindow => {
    const window = fromPlainWindow(entry)
    const committed = (entry as { committed?: unknown })?.committed
    if (!window || typeof committed !== 'boolean') throw new Error(`its planned window ${index} is no window`)
    if (window.start !== expected)
      throw new Error(`its planned window ${index} does not begin where the one before it ends`)
    expected = window.end
    return { ...window, committed }
  })
  return { identity, offset: at, planned: windows }
}

function isIdentity(value: unknown): value is Identity {
  return (
    typeof value === 'object' &&
    value !== null &&
    Object.values(value).every((text) => typeof text === 'string')
  )
}
