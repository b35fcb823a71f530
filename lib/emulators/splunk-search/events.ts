import { serialize } from '../../core/json.ts'
import type { HecEvent } from '../hec-body.ts'

/** A field's value: a string, or the strings of a multivalue field. */
export type FieldValue = string | string[]

/** A row as a search passes it on. `_time` is in seconds since 1970, as `eval` sees it. */
export type SearchRow = Record<string, FieldValue>

export function valuesOf(value: FieldValue | undefined): string[] {
  return value === undefined ? [] : Array.isArray(value) ? value : [value]
}

/** Nanoseconds since 1970: Splunk keeps nine digits of a second. */
export type Nanoseconds = bigint

const second = 1_000_000_000n

/** Reads seconds since 1970 with up to nine digits behind the point. */
export function parseEpoch(text: string): Nanoseconds | undefined {
  const [, minus, whole, fraction = ''] = /^(-?)(\d+)(?:\.(\d*))?$/.exec(text.trim()) ?? []
  if (whole === undefined) return undefined
  const size = BigInt(whole) * second + BigInt(fraction.slice(0, 9).padEnd(9, '0'))
  return minus ? -size : size
}

/** Seconds since 1970 with as many digits as needed: how `eval` shows a copy of `_time`. */
export function formatEpoch(time: Nanoseconds): string {
  const size = time < 0n ? -time : time
  const fraction = (size % second).toString().padStart(9, '0').replace(/0+$/, '')
  return `${time < 0n ? '-' : ''}${size / second}${fraction && `.${fraction}`}`
}

/** `2026-10-08 13:48:34.000 GMT`: how an export writes `_time`. */
export function formatWithZone(time: Nanoseconds): string {
  return `${clock(time).replace('T', ' ')} GMT`
}

/** `2026-10-08T13:48:34.000+00:00`: how `results` write `_time`. */
export function formatWithOffset(time: Nanoseconds): string {
  return `${clock(time)}+00:00`
}

function clock(time: Nanoseconds): string {
  return new Date(Number(time / 1_000_000n)).toISOString().slice(0, -1)
}

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
    (event.time === undefined ? undefined : parseEpoch(plain(event.time))) ?? BigInt(indexTime) * second
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

function rowOf(event: HecEvent, { time, indexTime, index, address }: Omit<IndexedEvent, 'row'>): SearchRow {
  const raw = textOf(event.event)
  const row: SearchRow = Object.create(null)
  for (const [name, values] of extract(event.event, raw))
    row[name] = values.length === 1 ? values[0]! : values
  for (const [name, value] of Object.entries(event.fields ?? {})) {
    row[name] = Array.isArray(value) ? value.map(textOf) : textOf(value)
  }
  const bucket = Number(time / (86_400n * second))
  return Object.assign(row, {
    host: event.host ?? 'localhost',
    source: event.source ?? 'http:emulator',
    sourcetype: event.sourcetype ?? 'httpevent',
    index,
    linecount: String(raw.split('\n').length),
    splunk_server: 'emulator',
    _raw: raw,
    _time: formatEpoch(time),
    _indextime: String(indexTime),
    _bkt: `${index}~${bucket}~${'0'.repeat(8)}-EMULATOR`,
    _cd: `${bucket}:${address}`,
    _serial: String(address),
    _si: ['emulator', index],
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
  const walk = (value: unknown, path: string): void => {
    if (Array.isArray(value)) for (const member of value) walk(member, `${path}{}`)
    else if (typeof value === 'object' && value !== null) {
      for (const [key, member] of Object.entries(value)) walk(member, path === '' ? key : `${path}.${key}`)
    } else add(path, textOf(value))
  }
  let value = event
  if (typeof event === 'string' && /^\s*[{[]/.test(event)) {
    try {
      value = JSON.parse(event)
    } catch {
      // Text that only looks like JSON.
    }
  }
  if (typeof value === 'object' && value !== null) walk(value, '')
  else {
    const pairs = raw.matchAll(/(?<![\w.])([A-Za-z_][\w.]*)=(?:"((?:[^"\\]|\\.)*)"|([^\s,;"]+))/g)
    for (const [, name, quoted, bare] of pairs) if (!fields.has(name!)) add(name!, quoted ?? bare!)
  }
  return fields
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : typeof value === 'object' ? serialize(value) : String(value)
}
