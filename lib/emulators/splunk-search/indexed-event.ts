import { serialize } from '../../core/json.ts'
import type { HecEvent } from '../hec-body.ts'
import type { FieldValue, SearchRow } from './search-row.ts'
import { formatEpoch, type Nanoseconds, parseEpoch } from './time.ts'

/** An event in an index. Its fields are worked out when first asked for. */
export interface IndexedEvent {
  readonly time: Nanoseconds
  /** Seconds since 1970. */
  readonly indexTime: number
  readonly index: string
  /** Its place in its bucket: with `_bkt` its identity. */
  readonly address: number
  /** All fields: internal, indexed, and extracted from `_raw`. */
  readonly row: SearchRow
}

/** Puts an event of the collector into an index, as `props.conf` with `KV_MODE = auto` would. */
export function indexEvent(event: HecEvent, indexTime: number, address: number): IndexedEvent {
  const time =
    (event.time === undefined ? undefined : parseEpoch(plain(event.time))) ??
    BigInt(indexTime) * 1_000_000_000n
  const index = event.index ?? 'main'
  let row: SearchRow | undefined
  return {
    time,
    indexTime,
    index,
    address,
    get row() {
      row ??= rowOf(event, { time, indexTime, index, address })
      return row
    },
  }
}

/** A number without an exponent. */
function plain(time: number | string): string {
  return typeof time === 'string'
    ? time
    : time
        .toFixed(9)
        .replace(/\.?0+$/, '')
        .replace(/^-0$/, '0')
}

function rowOf(event: HecEvent, at: Omit<IndexedEvent, 'row'>): SearchRow {
  const raw = typeof event.event === 'string' ? event.event : serialize(event.event)
  const host = event.host ?? 'localhost'
  const row: SearchRow = Object.create(null)
  for (const [name, values] of extract(event.event, raw))
    row[name] = values.length === 1 ? values[0]! : values
  for (const [name, value] of Object.entries(event.fields ?? {})) {
    row[name] = Array.isArray(value) ? value.map(textOf) : textOf(value)
  }
  const bucket = Number(at.time / 86_400_000_000_000n)
  return Object.assign(row, {
    host,
    source: event.source ?? 'http:emulator',
    sourcetype: event.sourcetype ?? 'httpevent',
    index: at.index,
    linecount: String(raw.split('\n').length),
    splunk_server: 'emulator',
    _raw: raw,
    _time: formatEpoch(at.time),
    _indextime: String(at.indexTime),
    _bkt: `${at.index}~${bucket}~${'0'.repeat(8)}-EMULATOR`,
    _cd: `${bucket}:${at.address}`,
    _serial: String(at.address),
    _si: ['emulator', at.index] satisfies FieldValue,
    _sourcetype: event.sourcetype ?? 'httpevent',
  })
}

/** Fields of JSON (`a.b`, `a{}.b`), or of `key=value` and `key="value"` in text. */
function extract(event: unknown, raw: string): Map<string, string[]> {
  const fields = new Map<string, string[]>()
  const add = (name: string, value: string) => {
    const values = fields.get(name)
    if (values) values.push(value)
    else fields.set(name, [value])
  }
  let value = event
  if (typeof event === 'string' && /^\s*[{[]/.test(event)) {
    try {
      value = JSON.parse(event)
    } catch {
      // Text that only looks like JSON.
    }
  }
  if (typeof value === 'object' && value !== null) walk(value, '', add)
  else {
    for (const [, name, quoted, bare] of raw.matchAll(
      /([A-Za-z_][\w.]*)=(?:"((?:[^"\\]|\\.)*)"|([^\s,;"]+))/g,
    ))
      if (!fields.has(name!)) add(name!, quoted ?? bare!)
  }
  return fields
}

function walk(value: unknown, path: string, add: (name: string, value: string) => void): void {
  if (Array.isArray(value)) {
    for (const member of value) walk(member, `${path}{}`, add)
  } else if (typeof value === 'object' && value !== null) {
    for (const [key, member] of Object.entries(value)) walk(member, path === '' ? key : `${path}.${key}`, add)
  } else add(path, textOf(value))
}

function textOf(value: unknown): string {
  return typeof value === 'object' && value !== null ? serialize(value) : String(value)
}
