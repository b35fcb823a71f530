import type { Answer } from '../answer.ts'
import { type Column, encodeCell } from './cells.ts'
import type { Result, Row } from './kql.ts'

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
  { columns, rows }: Result,
  limits: ResponseLimits,
  extras: ResponseExtras = {},
): Generator<string> {
  let error = limits.error
  let rowsLeft = Math.min(
    limits.maxRows,
    error ? (limits.errorAfter ?? Number.POSITIVE_INFINITY) : limits.maxRows,
  )
  let bytesLeft = limits.maxBytes
  const types = JSON.stringify(columns.map(({ name, type }) => ({ name, type })))
  let text = `{"tables":[{"name":"PrimaryResult","columns":${types},"rows":[`
  let first = true
  for (const row of rows) {
    const json = rowJson(row, columns)
    bytesLeft -= Buffer.byteLength(json) + 1
    if (rowsLeft-- <= 0 || bytesLeft < 0) {
      error ??= bytesLeft < 0 ? tooManyBytes(limits.maxBytes) : tooManyRows(limits.maxRows)
      break
    }
    text += first ? json : `,${json}`
    first = false
    if (text.length < chunkLength) continue
    yield text
    text = ''
  }
  text += ']}]'
  for (const [name, value] of Object.entries(extras)) {
    if (value !== undefined) text += `,"${name}":${JSON.stringify(value)}`
  }
  if (error) text += `,"error":${JSON.stringify(error)}`
  yield `${text}}`
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
  return tooLarge(`${limit} bytes`)
}

/** More rows than the service gives at once. */
export function tooManyRows(limit: number): PartialError {
  return tooLarge(`${limit} records`)
}

function tooLarge(limit: string): PartialError {
  return partialError(
    '-2133196797',
    `The results of this query exceed the set limit of ${limit}, so not all records were returned (E_QUERY_RESULT_SET_TOO_LARGE, 0x80DA0003, see https://aka.ms/kustoquerylimits for more information and possible solutions).`,
  )
}

/** The query took too much memory. */
export const memoryBudget = partialError(
  '-2133196799',
  'Query execution has exceeded the allowed limits (80DA0001): The hash operator has exceeded the memory budget during evaluation. Results may be incorrect or incomplete.',
)

function partialError(code: string, message: string): PartialError {
  return {
    code: 'PartialError',
    message: 'There were some errors when processing your query.',
    details: [
      {
        code: 'EngineError',
        message: 'Something went wrong processing your query on the server.',
        innererror: { code, message, severity: 2, severityName: 'Error' },
      },
    ],
  }
}

/** An error answer in the service's form. */
export function errorAnswer(status: number, code: string, message: string, inner?: object): Answer {
  const error = { message, code, correlationId: crypto.randomUUID() }
  return { status, body: { error: inner ? { ...error, innererror: inner } : error } }
}

/**
 * The query took longer than the request's `Prefer: wait`. As a fault: `emulator.fail(queryTimeout())`.
 */
export function queryTimeout(): { status: number; body: object } {
  return {
    status: 504,
    body: {
      error: {
        message: 'The gateway timed out',
        code: 'GatewayTimeout',
        correlationId: crypto.randomUUID(),
        innererror: { code: 'GatewayTimeout', message: 'Kusto query timed out' },
      },
    },
  }
}
