import type { Answer } from './answer.ts'

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
