import type { Readable } from 'node:stream'
import type { LogsIngestionClient, LogsIngestionClientOptions } from '@azure/monitor-ingestion'
import { importPackage } from '../../core/optional-package.ts'
import { redactor } from '../../core/redaction.ts'
import type { HttpResponse } from '../../http/client.ts'
import type { Body } from '../../sink/protocol.ts'
import { noteOf } from '../../source/packed.ts'
import type { AzureConnection } from '../azure/connection.ts'

type Policy = NonNullable<LogsIngestionClientOptions['additionalPolicies']>[number]['policy']

/** Loaded with the first request. To import it again at each costs more than it seems. */
let azure: typeof import('@azure/monitor-ingestion') | undefined

export interface IngestionTarget {
  readonly dce: string
  readonly dcr_id: string
  readonly dcs: string
}

/** What a call sends, a JSON array of rows, and what it gave: filled in by the policy that stands next to the wire. */
interface Exchange {
  readonly body: Body
  readonly token: string
  answer?: HttpResponse
}

/** An official client, which costs more to make than a call, and the one call that it makes now. */
interface Line {
  readonly client: LogsIngestionClient
  exchange: Exchange
  /** It got itself a token, which it would go on with. */
  spent: boolean
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
  /** Clients without a call. There are as many as calls are made at once. */
  readonly #idle: Line[] = []

  constructor(connection: AzureConnection, target: IngestionTarget) {
    this.#connection = connection
    this.#target = target
  }

  /** @throws Error if the answer is incomplete, AbortError when the signal fires */
  async send(body: Body, token: string, signal: AbortSignal): Promise<HttpResponse> {
    azure ??= await importPackage('@azure/monitor-ingestion@^1', () => import('@azure/monitor-ingestion'))
    signal.throwIfAborted()
    const { dcr_id, dcs } = this.#target
    const exchange: Exchange = { body, token }
    const line = this.#idle.pop() ?? this.#makeLine(azure.LogsIngestionClient, exchange)
    line.exchange = exchange
    try {
      await line.client.upload(dcr_id, dcs, [{}], { abortSignal: signal })
    } catch (error) {
      // What the client makes of an answer that is no success is not needed: we have the answer itself.
      if (!exchange.answer) throw faultOf(error)
    }
    if (!line.spent) this.#idle.push(line)
    return exchange.answer!
  }

  #makeLine(Client: typeof LogsIngestionClient, exchange: Exchange): Line {
    const { clientOptions, tokens } = this.#connection
    const client = new Client(
      this.#target.dce,
      {
        getToken: async (scopes, options) => {
          if (!options?.claims) return { token: line.exchange.token, expiresOnTimestamp: 0 }
          // Claims are asked for by a challenge of the service: continuous access evaluation.
          line.spent = true
          return tokens.getToken(scopes, options)
        },
      },
      {
        ...clientOptions,
        additionalPolicies: [
          ...clientOptions.additionalPolicies,
          { position: 'perRetry', policy: exchangeBody(() => line.exchange) },
        ],
      },
    )
    // What it would compress is not what is sent.
    client.pipeline.removePolicy({ name: 'GzippingPolicy' })
    const line: Line = { client, exchange, spent: false }
    return line
  }
}

/** Puts our body under the request, and takes the answer as it comes, but for the token, which a service may quote. */
function exchangeBody(current: () => Exchange): Policy {
  return {
    name: 'cyberConnectorsExchangeBody',
    async sendRequest(request, next) {
      const exchange = current()
      const { bytes, headers } = exchange.body
      const gzip = headers['content-encoding'] === 'gzip'
      // The client does not say when it has stopped to read what is not compressed, and so shares its bytes with other rows.
      request.body = gzip ? bytes : Buffer.from(bytes)
      if (!gzip) request.headers.delete('content-encoding')
      // Answers are small; compressed ones that are cut hang the client for ever on Node 20.
      request.headers.set('accept-encoding', 'identity')
      // The client would read an answer of any length.
      request.streamResponseStatusCodes = new Set([Number.POSITIVE_INFINITY])
      const response = await next(request)
      const body = response.readableStreamBody as Readable | undefined
      // Some gateways pack what they were asked not to.
      const isPacked = /\bgzip\b/i.test(response.headers.get('content-encoding') ?? '')
      if (body) response.bodyAsText = await noteOf(body, isPacked)
      delete response.readableStreamBody
      const { status, bodyAsText } = response
      const text = bodyAsText ? redactor([exchange.token])(bodyAsText) : ''
      exchange.answer = { status, headers: response.headers.toJSON(), text }
      return response
    },
  }
}

/** The fault inside of the client's error for several uploads. A body that was cut has no code. */
function faultOf(error: unknown): Error {
  const { errors } = error as { errors?: readonly { cause?: Error }[] }
  const fault = errors?.[0]?.cause ?? (error as Error)
  const { code } = fault as NodeJS.ErrnoException
  if (code === 'PARSE_ERROR' || code === 'REQUEST_SEND_ERROR')
    return Object.assign(new Error(fault.message, { cause: fault }), { code: 'ECONNRESET' })
  return fault
}
