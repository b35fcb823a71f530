import { parseJson } from '../core/exact-json.ts'

/** An event as it was sent: its envelope. Integers beyond 2^53 are bigint. */
export interface HecEvent {
  time?: number | string
  host?: string
  source?: string
  sourcetype?: string
  index?: string
  event: unknown
  fields?: Record<string, unknown>
}

export interface HecBodyRules {
  /** Indexes that the token may write; undefined for all. */
  indexes: ReadonlySet<string> | undefined
  /** Bytes of JSON of one event. */
  maxEventSize: number
  /** A further test: the code to refuse the event with. */
  refuse: ((event: HecEvent) => number | undefined) | undefined
}

/** What was done with a body: events taken in, and the code that ended it at object `at`. */
export interface HecVerdict {
  taken: HecEvent[]
  code: number
  at?: number
}

const KNOWN_KEYS = new Set(['time', 'host', 'source', 'sourcetype', 'index', 'event', 'fields'])

/** The objects of a body as JSON text, one after the other, until one is not whole: that one is undefined. */
export function splitObjects(text: string): (string | undefined)[] {
  const objects: (string | undefined)[] = []
  let at = skipSpace(text, 0)
  while (at < text.length) {
    const end = text[at] === '{' ? endOfObject(text, at) : -1
    objects.push(end < 0 ? undefined : text.slice(at, end))
    if (end < 0) break
    at = skipSpace(text, end)
  }
  return objects
}

/**
 * Takes a body in as the service does: object by object, up to the first that is wrong. What came before it stays
 * in. An unknown key ends the body in silence.
 */
export function judgeBody(text: string, rules: HecBodyRules): HecVerdict {
  const start = skipSpace(text, 0)
  if (start === text.length) return { taken: [], code: 5 }
  if (text[start] === '[') return judgeArray(text, rules)
  return judge(splitObjects(text), rules)
}

/** Judges the objects of a body, up to `limit`. */
export function judge(
  objects: readonly (string | undefined)[],
  rules: HecBodyRules,
  limit = Infinity,
): HecVerdict {
  const taken: HecEvent[] = []
  for (let at = 0; at < objects.length && at < limit; at++) {
    const object = objects[at]
    let envelope: unknown
    try {
      if (object !== undefined) envelope = parseJson(object)
    } catch {
      // Stays undefined: not JSON.
    }
    const outcome = judgeEnvelope(envelope, object ?? '', rules)
    if (outcome === 'lost') return { taken, code: taken.length === 0 ? 5 : 0 }
    if (outcome === 'skipped') continue
    if (outcome !== 'taken') return { taken, code: outcome, at }
    taken.push(envelope as HecEvent)
  }
  return { taken, code: 0 }
}

function judgeArray(text: string, rules: HecBodyRules): HecVerdict {
  let values: unknown
  try {
    values = parseJson(text)
  } catch {
    return { taken: [], code: 6, at: 0 }
  }
  const objects = (values as unknown[]).map((value) => exactText(value))
  return objects.length === 0 ? { taken: [], code: 5 } : judge(objects, rules)
}

/** JSON again, bigint as the integer it is. */
function exactText(value: unknown): string {
  if (typeof value === 'bigint') return value.toString()
  if (Array.isArray(value)) return `[${value.map(exactText).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  return `{${Object.entries(value)
    .map(([key, member]) => `${JSON.stringify(key)}:${exactText(member)}`)
    .join(',')}}`
}

function judgeEnvelope(
  envelope: unknown,
  text: string,
  rules: HecBodyRules,
): 'taken' | 'skipped' | 'lost' | number {
  if (typeof envelope !== 'object' || envelope === null || Array.isArray(envelope)) return 6
  if (
    text.length > rules.maxEventSize ||
    (text.length > rules.maxEventSize / 3 && Buffer.byteLength(text) > rules.maxEventSize)
  ) {
    return 6
  }
  for (const key of Object.keys(envelope)) if (!KNOWN_KEYS.has(key)) return 'lost'
  const { event, fields, index } = envelope as Partial<HecEvent>
  if (!Object.hasOwn(envelope, 'event')) return fields === undefined ? 12 : 'skipped'
  if (event === null || (typeof event === 'string' && event.trim() === '')) return 13
  if (fields !== undefined) {
    if (typeof fields !== 'object' || fields === null || Array.isArray(fields)) return 6
    if (Object.values(fields).some(isNested)) return 15
  }
  if (index !== undefined && rules.indexes && !rules.indexes.has(index)) return 7
  return rules.refuse?.(envelope as HecEvent) ?? 'taken'
}

/** An array of plain values is a multivalue field; anything deeper is refused. */
function isNested(value: unknown): boolean {
  if (Array.isArray(value)) return value.some((member) => typeof member === 'object' && member !== null)
  return typeof value === 'object' && value !== null
}

/**
 * How many objects a body has, without parsing it: quick when they are separated by one line feed each or stand
 * alone, by a scan otherwise.
 */
export function countObjects(body: Buffer): number {
  let count = 0
  for (let at = body.indexOf('}\n{'); at >= 0; at = body.indexOf('}\n{', at + 2)) count++
  return count > 0 ? count + 1 : splitObjects(body.toString()).length
}

function skipSpace(text: string, at: number): number {
  while (at < text.length) {
    const code = text.charCodeAt(at)
    if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) break
    at++
  }
  return at
}

/** The place after the object that begins at `at`, or -1 when it has no end. */
function endOfObject(text: string, at: number): number {
  let depth = 0
  for (; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === 0x22) {
      at = endOfString(text, at)
      if (at < 0) return -1
    } else if (code === 0x7b || code === 0x5b) depth++
    else if ((code === 0x7d || code === 0x5d) && --depth === 0) return at + 1
  }
  return -1
}

/** The closing quote of the string that opens at `open`, or -1. */
function endOfString(text: string, open: number): number {
  for (let at = text.indexOf('"', open + 1); at >= 0; at = text.indexOf('"', at + 1)) {
    let backslashes = 0
    while (text.charCodeAt(at - 1 - backslashes) === 0x5c) backslashes++
    if (backslashes % 2 === 0) return at
  }
  return -1
}
