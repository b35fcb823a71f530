import type { AccessToken, GetTokenOptions, TokenCredential } from '@azure/core-auth'
import { jsonObject } from '../../core/json.ts'
import type { Redact } from '../../core/redaction.ts'
import { isTransientStatus } from '../../core/retry.ts'
import { HttpClient, type HttpResponse, type HttpSettings } from '../../http/client.ts'

/** Milliseconds for one request to the Databricks workspace. */
const requestTimeout = 30_000
/** A workspace token is renewed this many milliseconds before it expires. */
const renewBefore = 60_000

type Environment = Readonly<Record<string, string | undefined>>

/** Says which DATABRICKS_* variables are missing, if any are. */
export function missingDatabricksVariables(environment: Environment): string | undefined {
  const { DATABRICKS_HOST, DATABRICKS_TOKEN, DATABRICKS_CLIENT_ID, DATABRICKS_CLIENT_SECRET } = environment
  if (!DATABRICKS_HOST?.trim()) return 'needs the variable DATABRICKS_HOST in the environment'
  if (!URL.canParse(databricksUrl(DATABRICKS_HOST)))
    return 'the variable DATABRICKS_HOST is not a host or URL'
  if (DATABRICKS_TOKEN || (DATABRICKS_CLIENT_ID && DATABRICKS_CLIENT_SECRET)) return undefined
  const lacking = DATABRICKS_CLIENT_ID
    ? ' (DATABRICKS_CLIENT_SECRET is missing)'
    : DATABRICKS_CLIENT_SECRET
      ? ' (DATABRICKS_CLIENT_ID is missing)'
      : ''
  return `needs DATABRICKS_TOKEN, or DATABRICKS_CLIENT_ID and DATABRICKS_CLIENT_SECRET, in the environment${lacking}`
}

function databricksUrl(host: string): string {
  const text = host.trim().replace(/\/+$/, '')
  return /^https?:\/\//i.test(text) ? text : `https://${text}`
}

/** The workspace's error in place of a token. */
export class DatabricksError extends Error {
  override name = 'DatabricksError'
  readonly statusCode: number
  constructor(message: string, statusCode: number) {
    super(message)
    this.statusCode = statusCode
  }
}

/**
 * Azure tokens from a Unity Catalog service credential.
 * https://docs.databricks.com/api/workspace/credentials/generatetemporaryservicecredential
 */
export class DatabricksCredential implements TokenCredential {
  readonly #name: string
  readonly #environment: Environment
  readonly #url: string
  readonly #http: HttpClient
  #workspaceToken: { token: string; renewAt: number } | undefined

  constructor(name: string, settings: HttpSettings, redact: Redact, environment: Environment = process.env) {
    this.#name = name
    this.#environment = environment
    this.#url = databricksUrl(environment['DATABRICKS_HOST'] ?? '')
    this.#http = new HttpClient(settings, redact)
  }

  /** @throws DatabricksError if the workspace refuses; Error with the code of a connection fault */
  async getToken(scopes: string | string[], options: GetTokenOptions = {}): Promise<AccessToken> {
    const signal = (options.abortSignal as AbortSignal | undefined) ?? new AbortController().signal
    const response = await this.#http.request({
      method: 'POST',
      url: `${this.#url}/api/2.1/unity-catalog/temporary-service-credentials`,
      headers: {
        authorization: `Bearer ${await this.#signIn(signal)}`,
        'content-type': 'application/json',
      },
      body: JSON.stringify({
        credential_name: this.#name,
        azure_options: { resources: Array.isArray(scopes) ? scopes : [scopes] },
      }),
      signal,
      timeout: requestTimeout,
    })
    if (response.status === 401) this.#workspaceToken = undefined
    const { azure_aad, expiration_time } = read(response, `the service credential "${this.#name}"`)
    const token = (azure_aad as { aad_token?: unknown } | undefined)?.aad_token
    if (typeof token !== 'string' || token === '') {
      throw new DatabricksError(
        `the service credential "${this.#name}" gave no Azure token: it may be one for another cloud`,
        response.status,
      )
    }
    const expires = Number(expiration_time)
    return { token, expiresOnTimestamp: Number.isFinite(expires) && expires > 0 ? expires : Date.now() }
  }

  close(): void {
    this.#http.close()
  }

  async #signIn(signal: AbortSignal): Promise<string> {
    const { DATABRICKS_TOKEN, DATABRICKS_CLIENT_ID, DATABRICKS_CLIENT_SECRET } = this.#environment
    if (DATABRICKS_TOKEN) return DATABRICKS_TOKEN
    if (this.#workspaceToken && this.#workspaceToken.renewAt > performance.now())
      return this.#workspaceToken.token
    const login = Buffer.from(`${DATABRICKS_CLIENT_ID}:${DATABRICKS_CLIENT_SECRET}`).toString('base64')
    const response = await this.#http.request({
      method: 'POST',
      url: `${this.#url}/oidc/v1/token`,
      headers: { authorization: `Basic ${login}`, 'content-type': 'application/x-www-form-urlencoded' },
      body: 'grant_type=client_credentials&scope=all-apis',
      signal,
      timeout: requestTimeout,
    })
    const { access_token, expires_in } = read(response, 'the sign-in to the workspace')
    if (typeof access_token !== 'string') {
      throw new DatabricksError('the sign-in to the workspace gave no token', response.status)
    }
    this.#workspaceToken = {
      token: access_token,
      renewAt: performance.now() + Number(expires_in ?? 0) * 1000 - renewBefore,
    }
    return access_token
  }
}

function read({ status, text }: HttpResponse, what: string): Record<string, unknown> {
  const body = jsonObject(text)
  const fields = body ?? {}
  if (status === 200) {
    if (body) return fields
    throw new DatabricksError(`Databricks answered ${what} with something that is not JSON`, 503)
  }
  const reason = [fields['error_code'] ?? fields['error'], fields['message'] ?? fields['error_description']]
    .filter((part) => typeof part === 'string')
    .join(': ')
  const passing = isTransientStatus(status) ? ' for now' : ''
  throw new DatabricksError(
    `Databricks refused ${what}${passing} with status ${status}${reason ? `: ${reason}` : ''}`,
    status,
  )
}
