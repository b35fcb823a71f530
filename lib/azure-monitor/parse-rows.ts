import { parseJson } from '../core/exact-json.ts'
import { MalformedResponse } from './response-index.ts'

/**
 * The one place where rows are parsed.
 * @param text a JSON array of rows
 * @throws MalformedResponse
 */
export function parseRows(text: string): unknown[][] {
  try {
    const rows = parseJson(text) as unknown[]
    if (!rows.every(Array.isArray)) throw new TypeError('a row is not an array')
    return rows as unknown[][]
  } catch (cause) {
    throw new MalformedResponse('the rows of the answer are not JSON', { cause })
  }
}
