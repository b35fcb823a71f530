/** Every code that an error of this package may carry. A code is stable: match on it, not on the message. */
export const errorCodes = {
  /** An option is missing, unknown, of the wrong form, or contradicts another one. */
  ERR_OPTION: 'an option is wrong',
  /** A token, secret, credential or role was refused. */
  ERR_AUTH: 'the service refused the credentials',
  /** A batch could not be delivered: retries ran out, or the endpoint is not the expected service. */
  ERR_DELIVERY: 'rows could not be delivered',
  /** The destination refused a row, and there is no dead letter. */
  ERR_REJECTED: 'a row was refused',
  /** A row can not be written: it is not an object, or a value in it has no form in JSON. */
  ERR_ROW: 'a row can not be written',
  /** The dead letter failed to store a refused row. */
  ERR_DEAD_LETTER: 'the dead letter failed',
  /** The stream was destroyed while rows were not settled. */
  ERR_ABORTED: 'the stream was destroyed with rows unsettled',
  /** The query was refused (syntax, semantics, unknown table or workspace) or its result is incomplete. */
  ERR_QUERY: 'the query failed',
  /** The result exceeds the service's limit, and the window can not be made smaller. */
  ERR_RESULT_TOO_LARGE: 'the result is too large',
  /** The result does not fit: a value does not fit its column, or a column is missing. */
  ERR_RESULT: 'the result does not fit',
  /** The checkpoint can not be read, written or locked, or belongs to another query. */
  ERR_CHECKPOINT: 'the checkpoint can not be used',
  /** A file is missing, unreadable, cut off, or changed since the read was planned. */
  ERR_FILE: 'a file can not be read',
  /** A line or record of a file can not be read: it is not JSON, is too long, does not fit the schema. */
  ERR_RECORD: 'a record can not be read',
  /** Another process listens on the address. */
  ERR_LISTEN: 'the address is in use',
  /** A transform of a streaming query failed. */
  ERR_TRANSFORM: 'a transform failed',
} as const

export type ErrorCode = keyof typeof errorCodes

/** Fields of an error besides its message. None holds a secret. */
export interface ErrorDetails {
  /** The connector's registered name, such as `splunk`. */
  connector?: string | undefined
  /** HTTP status of the last response. */
  status?: number | undefined
  /** The service's own code: HEC's number, Azure's `BadArgumentError`. */
  serviceCode?: string | number | undefined
  /** The service's own message. */
  serviceText?: string | undefined
  /** Number of attempts. */
  attempts?: number | undefined
  /** The option that ended the retries. */
  endedBy?: 'max_retry_seconds' | 'max_retries' | undefined
  /** Wait that the service asked for, in milliseconds. */
  retryAfter?: number | undefined
  /** The requested time window, ends as ISO 8601. */
  window?: { start: string; end: string } | undefined
  /** Rows accepted by `write()` and neither acknowledged nor dead-lettered, in order of writing. Not enumerable. */
  rows?: readonly unknown[] | undefined
  /** For ERR_OPTION: the problems, one line each. */
  problems?: readonly string[] | undefined
  cause?: unknown
}

/** Base of every error of this package. */
export class ConnectorError extends Error {
  override name = 'ConnectorError'
  declare readonly code: ErrorCode
  declare readonly connector?: string
  declare readonly status?: number
  declare readonly serviceCode?: string | number
  declare readonly serviceText?: string
  declare readonly attempts?: number
  declare readonly endedBy?: 'max_retry_seconds' | 'max_retries'
  declare readonly retryAfter?: number
  declare readonly window?: { start: string; end: string }
  declare readonly rows?: readonly unknown[]
  declare readonly problems?: readonly string[]

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    const { cause, rows, ...rest } = details
    super(message, cause === undefined ? undefined : { cause })
    for (const [key, value] of Object.entries({ code, ...rest })) {
      if (value !== undefined)
        Object.defineProperty(this, key, { value, enumerable: true, configurable: true })
    }
    if (rows) attachRows(this, rows)
  }
}

/** One or more options are wrong. `problems` has a line for each. */
export class OptionError extends ConnectorError {
  override name = 'OptionError'
  constructor(connector: string, problems: readonly string[]) {
    super('ERR_OPTION', `${connector}: ${problems.join('; ')}`, { connector, problems })
  }
}

/** Rows were not delivered. `rows` lists them. */
export class DeliveryError extends ConnectorError {
  override name = 'DeliveryError'
  declare readonly rows: readonly unknown[]
}

/** A query failed. */
export class QueryError extends ConnectorError {
  override name = 'QueryError'
}

/** A checkpoint can not be used. */
export class CheckpointError extends ConnectorError {
  override name = 'CheckpointError'
}

/** Attaches rows to an error; not enumerable, because they may be many and confidential. */
export function attachRows(error: Error, rows: readonly unknown[]): void {
  Object.defineProperty(error, 'rows', { value: rows, enumerable: false, configurable: true, writable: true })
}

/** Why a row is refused before it is sent: the message says what is wrong with it. */
export class RefusedRow extends Error {
  override name = 'RefusedRow'
}
