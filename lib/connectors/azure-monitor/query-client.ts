import type { Readable } from 'node:stream'
import type { LogsQueryClientOptions } from '@azure/monitor-query'
import { importPackage } from '../../core/optional-package.ts'
import { fromDate, toDate } from '../../core/time.ts'
import type { Window } from '../../core/window.ts'
import { noteOf } from '../../source/packed.ts'
import type { AzureConnection } from '../azure/connection.ts'

type Policy = NonNullable<LogsQueryClientOptions['additionalPolicies']>[number]['policy']

/** Loaded with the first request. Kept, because a repeated import is slow. */
let azure: typeof import('@azure/monitor-query') | undefined

export interface QueryTarget {
  readonly workspace_id?: string | undefined
  readonly resource_id?: string | undefined
  readonly endpoint: string
}

export interface QueryRequest {
  readonly query: string
  /** Sent as `timespan`, in whole milliseconds. Undefined for a query without a time range. */
  readonly timespan: Window | undefined
  /** Timeout of the service, in seconds, at most 600. */
  readonly wait: number
  /** `metadata` lists the tables with their columns, in place of a query; `search` reads tables of other plans. */
  readonly at: 'query' | 'search' | 'metadata'
}

export interface QueryAnswer {
  readonly status: number
  readonly retryAfter: string | undefined
  /** The service's clock, as a `Date` header has it. */
  readonly date: string | undefined
  /** The bytes on the wire, for status 200. The caller must read or destroy them. */
  readonly body?: Readable
  readonly gzip: boolean
  /** For any other status. */
  readonly text: string
}

/** The answer of one attempt, set by the innermost policy. */
interface Exchange {
  answer?: QueryAnswer
}

/**
 * One request to the Log Analytics query API. The official client signs and sends it; its retries are off. This class
 * reads the body as bytes, because the client's conversion holds everything three times, damages nulls and long
 * integers, blocks the event loop, and on Node 20 hangs forever when a gzip body is cut. Only this file imports
 * `@azure/monitor-query`.
 * https://learn.microsoft.com/azure/azure-monitor/logs/api/request-format
 */
export class QueryClient {
  readonly #connection: AzureConnection
  readonly #target: QueryTarget

  constructor(connection: AzureConnection, target: QueryTarget) {
    this.#connection = connection
    this.#target = target
  }

  /** @throws Error if there is no answer at all, AbortError when the signal fires */
  async send(request: QueryRequest, token: string, signal: AbortSignal): Promise<QueryAnswer> {
    azure ??= await importPackage('@azure/monitor-query@^1', () => import('@azure/monitor-query'))
    const { LogsQueryClient } = azure
    const { clientOptions, tokens } = this.#connection
    const exchange: Exchange = {}
    const client = new LogsQueryClient(
      {
        // The service asks for claims by a challenge: continuous access evaluation.
        getToken: async (scopes, options) =>
          options?.claims ? tokens.getToken(scopes, options) : { token, expiresOnTimestamp: 0 },
      },
      {
        ...clientOptions,
        endpoint: this.#target.endpoint,
        // The scope is not used: the token is at hand.
        audience: this.#target.endpoint,
        additionalPolicies: [
          ...clientOptions.additionalPolicies,
          { position: 'perRetry', policy: takeAnswer(exchange, request.at) },
        ],
      },
    )
    const { workspace_id, resource_id } = this.#target
    const timespan = request.timespan ? interval(request.timespan) : anyTime
    const options = { abortSignal: signal, serverTimeoutInSeconds: Math.min(600, Math.ceil(request.wait)) }
    try {
      if (resource_id !== undefined) {
        await client.queryResource(resource_id, request.query, timespan, options)
      } else await client.queryWorkspace(workspace_id!, request.query, timespan, options)
    } catch (error) {
      // The exchange has the answer itself; the client's error adds nothing.
      if (!exchange.answer || signal.aborted) throw error
    }
    return exchange.answer!
  }
}

/** The client requires a timespan for a resource. */
const anyTime = { duration: 'P1D' }

/** The window, ends moved outwards to whole milliseconds: the client sends no finer ones. */
function interval({ start, end }: Window): { startTime: Date; endTime: Date } {
  const endTime = toDate(end)
  return {
    startTime: toDate(start),
    endTime: fromDate(endTime) < end ? new Date(endTime.getTime() + 1) : endTime,
  }
}

function takeAnswer(exchange: Exchange, at: QueryRequest['at']): Policy {
  return {
    name: 'cyberConnectorsTakeAnswer',
    async sendRequest(request, next) {
      request.url = request.url.replace(/\/query$/, `/${at}`)
      if (at === 'metadata') {
        // The client has no public method for it.
        request.method = 'GET'
        delete request.body
        request.headers.delete('content-type')
      }
      request.streamResponseStatusCodes = new Set([Number.POSITIVE_INFINITY])
      // In upper case servers accept it, but the client does not recognize it and leaves the bytes compressed.
      request.headers.set('Accept-Encoding', 'GZIP')
      const response = await next(request)
      const { status, headers } = response
      const body = response.readableStreamBody as Readable | undefined
      const gzip = /\bgzip\b/i.test(headers.get('content-encoding') ?? '')
      const retryAfter = headers.get('retry-after')
      const date = headers.get('date')
      delete response.readableStreamBody
      // Otherwise the client assumes that the caller reads the body.
      delete request.streamResponseStatusCodes
      if (status === 200 && body) {
        exchange.answer = { status, retryAfter, date, body, gzip, text: '' }
        response.bodyAsText = '{"tables":[]}'
        return response
      }
      // If the body is cut, the status is enough.
      const text = body ? await noteOf(body, gzip).catch(() => '') : ''
      exchange.answer = { status, retryAfter, date, gzip, text }
      response.bodyAsText = text
      return response
    },
  }
}
