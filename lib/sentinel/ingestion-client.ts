import type { LogsIngestionClientOptions } from '@azure/monitor-ingestion'
import type { AzureConnection } from '../azure/connection.ts'
import type { HttpResponse } from '../core/http.ts'
import { redacted } from '../core/redaction.ts'

type Policy = NonNullable<LogsIngestionClientOptions['additionalPolicies']>[number]['policy']

export interface IngestionTarget {
  readonly dce: string
  readonly dcr_id: string
  readonly dcs: string
}

export interface IngestionBody {
  /** A JSON array of rows. */
  readonly bytes: string | Buffer
  readonly gzip: boolean
}

/** What a call gave: filled in by the policy that stands next to the wire. */
interface Exchange {
  answer?: HttpResponse
}

/**
 * One call of the Logs Ingestion API by the official client: it signs the request and sends it. It is given a single
 * empty row, in whose place our own body goes: so a call is one request whatever the rows, none is written as JSON twice,
 * and bigint can be sent. (With more than one request a call, its abort reports success for rows never sent.) Its
 * retries are off. This is the only file that knows `@azure/monitor-ingestion`; it is loaded with the first request.
 * https://learn.microsoft.com/azure/azure-monitor/logs/logs-ingestion-api-overview
 */
export class IngestionClient {
  readonly #connection: AzureConnection
  readonly #target: IngestionTarget

  constructor(connection: AzureConnection, target: IngestionTarget) {
    this.#connection = connection
    this.#target = target
  }

  /** @throws Error where there is no whole answer, AbortError when the signal fires */
  async send(body: IngestionBody, token: string, signal: AbortSignal): Promise<HttpResponse> {
    const { LogsIngestionClient } = await import('@azure/monitor-ingestion')
    signal.throwIfAborted()
    const { clientOptions, tokens } = this.#connection
    const { dce, dcr_id, dcs } = this.#target
    const exchange: Exchange = {}
    const client = new LogsIngestionClient(
      dce,
      {
        // Claims are asked for by a challenge of the service: continuous access evaluation.
        getToken: async (scopes, options) =>
          options?.claims ? tokens.getToken(scopes, options) : { token, expiresOnTimestamp: 0 },
      },
      {
        ...clientOptions,
        additionalPolicies: [
          ...clientOptions.additionalPolicies,
          { position: 'perRetry', policy: exchangeBody(body, token, exchange) },
        ],
      },
    )
    try {
      await client.upload(dcr_id, dcs, [{}], { abortSignal: signal })
    } catch (error) {
      // What the client makes of an answer that is no success is not needed: we have the answer itself.
      if (!exchange.answer) throw faultOf(error)
    }
    return exchange.answer!
  }
}

/** Puts our body under the request, and takes the answer as it comes, but for the token, which a service may quote. */
function exchangeBody({ bytes, gzip }: IngestionBody, token: string, exchange: Exchange): Policy {
  return {
    name: 'cyberConnectorsExchangeBody',
    async sendRequest(request, next) {
      request.body = bytes
      if (!gzip) request.headers.delete('content-encoding')
      // Answers are small; compressed ones that are cut hang the client for good on Node 20.
      request.headers.set('accept-encoding', 'identity')
      const response = await next(request)
      const { status, headers, bodyAsText } = response
      const text = (bodyAsText ?? '').replaceAll(token, redacted)
      exchange.answer = { status, headers: headers.toJSON(), text }
      return response
    },
  }
}

/** The fault inside of the client's error for several uploads. A body that was cut is told without a code for it. */
function faultOf(error: unknown): Error {
  const { errors } = error as { errors?: readonly { cause?: Error }[] }
  const fault = errors?.[0]?.cause ?? (error as Error)
  const { code } = fault as NodeJS.ErrnoException
  if (code === 'PARSE_ERROR' || code === 'REQUEST_SEND_ERROR')
    return Object.assign(new Error(fault.message, { cause: fault }), { code: 'ECONNRESET' })
  return fault
}
