import type { Result, Row } from './kql/rows.ts'
import { type Column, encodeCell } from './log-analytics-cells.ts'

/** What the service reports at the end of an answer that is not whole. */
export interface PartialError {
  code: string
  message: string
  details?: readonly object[]
}

export interface ResponseLimits {
  /** Rows of all tables together. */
  maxRows: number
  /** Bytes of the rows' JSON. */
  maxBytes: number
  /** Cut at `maxRows` without a word, as the service was seen to do. */
  silent: boolean
  /** An error to report whatever the size. */
  error?: PartialError | undefined
  /** How many rows to give before `error`. Default all. */
  errorAfter?: number | undefined
}

/** Parts of the answer that are sent when the Prefer header asks for them. */
export interface ResponseExtras {
  statistics?: object | undefined
  render?: object | undefined
}

const chunkLength = 65_536

/** The answer's JSON, piece by piece, in the service's order: tables, extras, error. */
export function* encodeResponse(
  results: readonly Result[],
  limits: ResponseLimits,
  extras: ResponseExtras = {},
): Generator<string> {
  let error = limits.error
  let rowsLeft = Math.min(
    limits.maxRows,
    error ? (limits.errorAfter ?? Number.POSITIVE_INFINITY) : limits.maxRows,
  )
  let bytesLeft = limits.maxBytes
  let text = '{"tables":['
  for (const [index, { columns, rows }] of results.entries()) {
    text += `${index ? ',' : ''}{"name":"${tableName(index)}","columns":${columnsJson(columns)},"rows":[`
    let first = true
    for (const row of rows) {
      const json = rowJson(row, columns)
      bytesLeft -= Buffer.byteLength(json) + 1
      if (rowsLeft-- <= 0 || bytesLeft < 0) {
        if (!limits.silent)
          error ??= bytesLeft < 0 ? tooManyBytes(limits.maxBytes) : tooManyRows(limits.maxRows)
        break
      }
      text += first ? json : `,${json}`
      first = false
      if (text.length < chunkLength) continue
      yield text
      text = ''
    }
    text += ']}'
  }
  text += ']'
  for (const [name, value] of Object.entries(extras)) {
    if (value !== undefined) text += `,"${name}":${JSON.stringify(value)}`
  }
  if (error) text += `,"error":${JSON.stringify(error)}`
  yield `${text}}`
}

function tableName(index: number): string {
  return index === 0 ? 'PrimaryResult' : `PrimaryResult_${index}`
}

function columnsJson(columns: readonly Column[]): string {
  return JSON.stringify(columns.map(({ name, type }) => ({ name, type })))
}

function rowJson(row: Row, columns: readonly Column[]): string {
  if (row.json !== undefined) return row.json
  let json = '['
  for (let index = 0; index < columns.length; index++) {
    json += (index ? ',' : '') + encodeCell(row.cells[index] ?? null, columns[index]!)
  }
  json += ']'
  // Only rows at rest have the property; others are not met again.
  if ('json' in row) row.json = json
  return json
}

/** More bytes than the service gives at once. */
export function tooManyBytes(limit: number): PartialError {
  return tooLarge(
    `The results of this query exceed the set limit of ${limit} bytes, so not all records were returned (E_QUERY_RESULT_SET_TOO_LARGE, 0x80DA0003, see https://aka.ms/kustoquerylimits for more information and possible solutions).`,
  )
}

/** More rows than the service gives at once. */
export function tooManyRows(limit: number): PartialError {
  return tooLarge(
    `The results of this query exceed the set limit of ${limit} records, so not all records were returned (E_QUERY_RESULT_SET_TOO_LARGE, 0x80DA0003, see https://aka.ms/kustoquerylimits for more information and possible solutions).`,
  )
}

function tooLarge(message: string): PartialError {
  return {
    code: 'PartialError',
    message: 'There were some errors when processing your query.',
    details: [
      {
        code: 'EngineError',
        message: 'Something went wrong processing your query on the server.',
        innererror: { code: '-2133196797', message, severity: 2, severityName: 'Error' },
      },
    ],
  }
}

/** The error of a query that took too much memory. */
export const memoryBudget: PartialError = {
  code: 'PartialError',
  message: 'There were some errors when processing your query.',
  details: [
    {
      code: 'EngineError',
      message: 'Something went wrong processing your query on the server.',
      innererror: {
        code: '-2133196799',
        message:
          'Query execution has exceeded the allowed limits (80DA0001): The hash operator has exceeded the memory budget during evaluation. Results may be incorrect or incomplete.',
        severity: 2,
        severityName: 'Error',
      },
    },
  ],
}
