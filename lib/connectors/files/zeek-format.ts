import { isUtf8 } from 'node:buffer'
import { setColumn } from '../../core/json.ts'
import type { Row } from '../../source/protocol.ts'
import { notUtf8, tooLong } from './line-formats.ts'
import { Fault, type Format, type Records, type TextHeader } from './records.ts'

/** What the header of a log starts with; a file may have another one further on. */
export const zeekMark = '#separator '

/** `\x09` in a header or value, for a byte. */
const escaped = /\\x([0-9a-fA-F]{2})/g

/** As Zeek writes it if a header says nothing else: separator of fields and of sets, an empty field, an unset one. */
const usual = ['\t', ',', '(empty)', '-'] as const

/** The header of a log in Zeek's own format. @param head text that starts with it */
export function zeekHeader(head: Buffer): TextHeader {
  const marks: string[] = [...usual]
  let [names, types]: [string[], string[]] = [[], []]
  for (const line of head
    .toString()
    .replace(/^\ufeff/, '')
    .split(/\r?\n/)) {
    if (!line.startsWith('#')) break
    const [name, ...values] = line.split(line.startsWith(zeekMark) ? ' ' : marks[0]!)
    const value = unescaped(values[0] ?? '')
    if (name === '#separator') marks[0] = value
    else if (name === '#set_separator') marks[1] = value
    else if (name === '#empty_field') marks[2] = value
    else if (name === '#unset_field') marks[3] = value
    else if (name === '#fields') names = values
    else if (name === '#types') {
      types = values
      break
    }
  }
  return { columns: names.map((name, index) => ({ name, type: types[index] ?? 'string' })), marks }
}

/** Bytes that Zeek writes as `\x..`, since they are no text or have a meaning of their own. */
function unescaped(text: string): string {
  if (!text.includes('\\')) return text
  const bytes = text.replaceAll('\\\\', '\\x5c').replace(escaped, (_, hex: string) => `\0${hex}`)
  const parts: Buffer[] = []
  for (const [index, part] of bytes.split('\0').entries()) {
    if (index > 0) parts.push(Buffer.from(part.slice(0, 2), 'hex'))
    parts.push(Buffer.from(index > 0 ? part.slice(2) : part))
  }
  return Buffer.concat(parts).toString()
}

const integer = /^-?\d{1,400}$/
const decimal = /^-?\d{1,400}(?:\.\d{1,400})?(?:e[+-]?\d{1,4})?$/i

/** @returns undefined for a value that is none of the type */
function typedValue(text: string, type: string, marks: readonly string[]): unknown {
  const [, sets, empty, unset] = marks
  if (text === unset) return null
  // Zeek logs no list of lists; a header that nests types deeply would cost each cell the square of the depth.
  const list = /^(?:set|vector|table|list)\[([^[\]]*)\]$/.exec(type)
  if (list) {
    if (text === empty) return []
    const values = text.split(sets!).map((each) => typedValue(each, list[1]!, marks))
    return values.includes(undefined) ? undefined : values
  }
  switch (type) {
    case 'bool':
      return text === 'T' ? true : text === 'F' ? false : undefined
    case 'count':
    case 'int':
    case 'port': {
      if (!integer.test(text)) return undefined
      const number = Number(text)
      return Number.isSafeInteger(number) ? number : BigInt(text)
    }
    case 'time':
    case 'interval':
    case 'double':
      return decimal.test(text) ? Number(text) : undefined
    default:
      return text === empty ? '' : unescaped(text)
  }
}

/** Zeek's own format: lines of fields behind a header that names and types them. Times are seconds since 1970. */
export class ZeekFormat implements Format {
  readonly #limit: number
  #header: TextHeader

  constructor({ max_line_bytes }: { readonly max_line_bytes: number }, header: TextHeader) {
    this.#limit = max_line_bytes
    this.#header = header
  }

  read(bytes: Buffer, _offset: number, records: Records): void {
    const isWhole = isUtf8(bytes)
    for (let at = 0; at < bytes.length; ) {
      const found = bytes.indexOf(10, at)
      const next = found < 0 ? bytes.length : found
      const end = next > at && bytes[next - 1] === 13 ? next - 1 : next
      if (end - at > this.#limit) records.addFault(tooLong(bytes, at, this.#limit), at, next)
      else if (!isWhole && !isUtf8(bytes.subarray(at, end)))
        records.addFault(notUtf8(bytes, at, end), at, next)
      else if (bytes[at] === 0x23) {
        if (bytes.toString('latin1', at, at + zeekMark.length) === zeekMark)
          this.#header = zeekHeader(bytes.subarray(at))
      } else if (end > at) this.#add(bytes.toString('utf8', at, end), at, next, records)
      at = next + 1
    }
  }

  #add(line: string, start: number, end: number, records: Records): void {
    const row = this.#rowOf(line)
    if (row instanceof Fault) records.addFault(new Fault(start, line, row.at, row.problem), start, end)
    else records.add(row, start, end)
  }

  #rowOf(line: string): Row | Fault {
    const { columns, marks = usual } = this.#header
    const fields = line.split(marks[0]!)
    if (columns.length === 0) return new Fault(0, line, 0, 'stands behind no header with "#fields"')
    if (fields.length !== columns.length)
      return new Fault(0, line, 0, `has ${fields.length} fields, and the header names ${columns.length}`)
    const row: Row = {}
    for (let index = 0; index < columns.length; index++) {
      const { name, type } = columns[index]!
      const value = typedValue(fields[index]!, type, marks)
      if (value === undefined)
        return new Fault(0, line, line.indexOf(fields[index]!), `its field "${name}" is no ${type}`)
      setColumn(row, name, value)
    }
    return row
  }
}
