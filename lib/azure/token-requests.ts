import type { TokenCredentialOptions } from '@azure/identity'
import { retryAfter } from '../core/retry.ts'

/** The pipeline policy type of the Azure clients, by way of one that we depend on. */
export type AdditionalPolicy = NonNullable<TokenCredentialOptions['additionalPolicies']>[number]

/** Milliseconds that one request for a token may take. */
const requestTimeout = 30_000

/** What went wrong with a request for a token. */
export interface TokenFault {
  /** The service's own words, or what happened to the connection. */
  readonly text: string
  readonly status?: number
  /** `invalid_client` and the like. */
  readonly serviceCode?: string | undefined
  /** Milliseconds that the service asked to wait. */
  readonly wait?: number | undefined
  readonly error?: unknown
}

/**
 * Watches the requests of a credential of `@azure/identity`. Its errors do not tell a wrong tenant from a service that
 * is away for a moment ("endpoints_resolution_error"), so what really happened is noted here.
 */
export class TokenRequests {
  /** What happened last, if it was a failure. */
  fault: TokenFault | undefined

  /** @param stop ends requests under way */
  policy(stop: AbortSignal): AdditionalPolicy {
    return {
      position: 'perCall',
      policy: {
        name: 'cyberConnectorsTokenRequests',
        sendRequest: async (request, next) => {
          // Managed identities are asked on the machine itself; whether they answer tells if there are any.
          if (!request.url.startsWith('https:')) return next(request)
          // On Node 20 the client hangs for good when a gzip body is cut, and abort does not help.
          request.headers.set('Accept-Encoding', 'identity')
          const until = AbortSignal.timeout(requestTimeout)
          const signals = [stop, until, request.abortSignal as AbortSignal | undefined]
          request.abortSignal = AbortSignal.any(signals.filter((signal) => signal !== undefined))
          const host = new URL(request.url).host
          try {
            const response = await next(request)
            const { status, bodyAsText } = response
            this.fault =
              status < 400
                ? undefined
                : refusal(status, bodyAsText ?? '', host, response.headers.get('retry-after'))
            return response
          } catch (error) {
            this.fault = {
              text: until.aborted
                ? `${host} did not answer within ${requestTimeout / 1000} s`
                : `the request to ${host} failed: ${error instanceof Error ? error.message : String(error)}`,
              error: until.aborted ? until.reason : error,
            }
            throw error
          }
        },
      },
    }
  }
}

function refusal(status: number, body: string, host: string, header: string | undefined): TokenFault {
  let fields: Record<string, unknown> = {}
  try {
    fields = JSON.parse(body) ?? {}
  } catch {
    // A gateway's page: the status says it all.
  }
  const { error, error_description: description } = fields
  const words = typeof description === 'string' ? description.split(/\r?\n| Trace ID:/)[0] : undefined
  return {
    text: words ?? `${host} answered with status ${status}`,
    status,
    serviceCode: typeof error === 'string' ? error : undefined,
    wait: retryAfter(header),
  }
}
