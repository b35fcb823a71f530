import { parseExactly } from '../core/exact-json.ts'
import { MalformedResponse } from './response-index.ts'

const longInteger = /\d{16}/

/**
 * The one place where rows are parsed: natively, unless that would damage a long integer.
 * @param text a JSON array of rows
 * @throws MalformedResponse
 */
export function parseRows(text: string): unknown[][] {
  try {
    const rows = JSON.parse(text) as unknown[]
    if (!rows.every(Array.isArray)) throw new TypeError('a row is not an array')
    // An integer that was damaged is a large number now: to look at numbers is quicker than at all the text.
    if (!rows.some(mayBeDamaged) || !longInteger.test(text)) return rows as unknown[][]
    return parseExactly(text) as unknown[][]
  } catch (cause) {
    throw new MalformedResponse('the rows of the answer are not JSON', { cause })
  }
}

function mayBeDamaged(value: unknown): boolean {
  if (typeof value === 'number') return value > Number.MAX_SAFE_INTEGER || value < Number.MIN_SAFE_INTEGER
  if (typeof value !== 'object' || value === null) return false
  return Array.isArray(value) ? value.some(mayBeDamaged) : Object.values(value).some(mayBeDamaged)
}
