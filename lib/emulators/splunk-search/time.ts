/** Nanoseconds since 1970: Splunk keeps nine digits of a second. */
export type Nanoseconds = bigint

const second = 1_000_000_000n
const epochForm = /^(-?)(\d+)(?:\.(\d*))?$/
const relativeForm = /^(now|now\(\))?(?:([+-]\d*)([a-z]+))?(?:@([a-z]+)([0-7])?)?$/i
const isoForm = /^(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?\s*(Z|[+-]\d\d:?\d\d)?$/i

const unitNames: readonly (readonly [RegExp, 's' | 'm' | 'h' | 'd' | 'w' | 'mon' | 'q' | 'y'])[] = [
  [/^s(ec|ecs|econd|econds)?$/, 's'],
  [/^m(in|ins|inute|inutes)?$/, 'm'],
  [/^h(r|rs|our|ours)?$/, 'h'],
  [/^d(ay|ays)?$/, 'd'],
  [/^w(eek|eeks)?\d?$/, 'w'],
  [/^mon(th|ths)?$/, 'mon'],
  [/^q(tr|trs|uarter|uarters)?$/, 'q'],
  [/^y(r|rs|ear|ears)?$/, 'y'],
]
const fixedSeconds: Partial<Record<string, bigint>> = { s: 1n, m: 60n, h: 3_600n, d: 86_400n, w: 604_800n }
const months: Partial<Record<string, number>> = { mon: 1, q: 3, y: 12 }

/** Reads seconds since 1970 with up to nine digits behind the point. */
export function parseEpoch(text: string): Nanoseconds | undefined {
  const [, minus, whole, fraction = ''] = epochForm.exec(text.trim()) ?? []
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

/** Reads ISO 8601; without an offset in UTC. */
export function parseIso(text: string): Nanoseconds | undefined {
  const [, clock, fraction = '', zone = 'Z'] = isoForm.exec(text.trim()) ?? []
  const milliseconds =
    clock && Date.parse(`${clock.replace(' ', 'T')}${zone.replace(/(\d\d)(\d\d)$/, '$1:$2')}`)
  if (typeof milliseconds !== 'number' || Number.isNaN(milliseconds)) return undefined
  return BigInt(milliseconds) * 1_000_000n + BigInt(fraction.padEnd(9, '0'))
}

/**
 * Reads a time as `earliest_time` takes it: seconds since 1970, ISO 8601, `now`, or relative such as `-1h@h`.
 * Undefined where it is none of these.
 */
export function parseTimeModifier(text: string, now: Nanoseconds): Nanoseconds | undefined {
  const absolute = parseEpoch(text) ?? parseIso(text)
  if (absolute !== undefined) return absolute
  const match = relativeForm.exec(text.trim())
  if (!match || match[0] === '') return undefined
  const [, , amount, unitName, snapName, weekday] = match
  let time = now
  if (amount !== undefined) {
    const unit = unitOf(unitName!)
    if (!unit) return undefined
    const count = /\d/.test(amount) ? Number(amount) : Number(`${amount}1`)
    const size = fixedSeconds[unit]
    time = size ? time + BigInt(count) * size * second : addMonths(time, count * months[unit]!)
  }
  if (snapName === undefined) return time
  const snap = unitOf(snapName)
  return snap === undefined ? undefined : snapTo(time, snap, Number(weekday ?? 0))
}

function unitOf(name: string): string | undefined {
  return unitNames.find(([form]) => form.test(name.toLowerCase()))?.[1]
}

function addMonths(time: Nanoseconds, count: number): Nanoseconds {
  const date = dateOf(time)
  const day = date.getUTCDate()
  date.setUTCDate(1)
  date.setUTCMonth(date.getUTCMonth() + count)
  const last = new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 0)).getUTCDate()
  date.setUTCDate(Math.min(day, last))
  return BigInt(date.getTime()) * 1_000_000n
}

function snapTo(time: Nanoseconds, unit: string, weekday: number): Nanoseconds {
  const size = fixedSeconds[unit]
  if (size && unit !== 'w') return (time / (size * second)) * size * second
  const date = dateOf((time / (86_400n * second)) * 86_400n * second)
  if (unit === 'w') date.setUTCDate(date.getUTCDate() - ((date.getUTCDay() - weekday + 7) % 7))
  else {
    const step = months[unit]!
    date.setUTCMonth(date.getUTCMonth() - (date.getUTCMonth() % step), 1)
  }
  return BigInt(date.getTime()) * 1_000_000n
}

function dateOf(time: Nanoseconds): Date {
  return new Date(Number(time / 1_000_000n))
}

export interface TimeZone {
  name: string
  /** East of Greenwich. */
  minutes: number
}

/** `2026-10-08 13:48:34.000 GMT`: how an export writes `_time`. */
export function formatWithZone(time: Nanoseconds, { name, minutes }: TimeZone): string {
  return `${localText(time, minutes).replace('T', ' ')} ${name}`
}

/** `2026-10-08T13:48:34.000+00:00`: how `results` write `_time`. */
export function formatWithOffset(time: Nanoseconds, { minutes }: TimeZone): string {
  const size = Math.abs(minutes)
  const two = (value: number) => String(Math.trunc(value)).padStart(2, '0')
  return `${localText(time, minutes)}${minutes < 0 ? '-' : '+'}${two(size / 60)}:${two(size % 60)}`
}

function localText(time: Nanoseconds, minutes: number): string {
  return new Date(Number(time / 1_000_000n) + minutes * 60_000).toISOString().slice(0, -1)
}
