import { randomBytes, randomUUID } from 'node:crypto'
import type { Answer } from './answer.ts'
import { Emulator, type EmulatorOptions } from './emulator.ts'
import { bearerToken, type EntraEmulator } from './entra.ts'
import type { RecordedRequest } from './fault.ts'
import type { Kinds } from './options.ts'

export interface DatabricksEmulatorOptions extends EmulatorOptions {
  /** Issues the Azure tokens, and so knows them. */
  entra: EntraEmulator
  /** A personal access token that is good. Default: random. */
  token?: string
  /** Of a Databricks service principal. Default: a random GUID. */
  client_id?: string
  /** Default: random. */
  client_secret?: string
  /** Name of the service credential in Unity Catalog. Default `azure-monitor`. */
  credential_name?: string
  /** How many seconds an Azure token lives. Default: as the Entra emulator says. */
  expiresIn?: number
}

const optionKinds: Kinds<Omit<DatabricksEmulatorOptions, keyof EmulatorOptions>> = {
  entra: 'object',
  token: 'string',
  client_id: 'string',
  client_secret: 'string',
  credential_name: 'string',
  expiresIn: 'number',
}

/**
 * The part of a Databricks workspace that lends Azure tokens: temporary service credentials of Unity Catalog, and
 * OAuth for service principals.
 * https://docs.databricks.com/api/workspace/credentials/generatetemporaryservicecredential
 */
export class DatabricksEmulator extends Emulator {
  readonly token: string
  readonly client_id: string
  readonly client_secret: string
  readonly credential_name: string
  /** How many seconds the Azure tokens to come will live. Default: as the Entra emulator says. */
  expiresIn: number | undefined
  /** How many Azure tokens were lent so far. */
  tokensLent = 0
  readonly #entra: EntraEmulator
  readonly #expiresIn: number | undefined
  /** OAuth tokens, and when each runs out. */
  readonly #sessions = new Map<string, number>()

  constructor(options: DatabricksEmulatorOptions) {
    super(options, 'databricks', optionKinds)
    this.#entra = options.entra
    this.token = options.token ?? `dapi${randomBytes(16).toString('hex')}`
    this.client_id = options.client_id ?? randomUUID()
    this.client_secret = options.client_secret ?? `dose${randomBytes(16).toString('hex')}`
    this.credential_name = options.credential_name ?? 'azure-monitor'
    this.expiresIn = options.expiresIn
    this.#expiresIn = options.expiresIn
  }

  /** Makes all OAuth tokens issued so far invalid. */
  expireSessions(): void {
    this.#sessions.clear()
  }

  override reset(): this {
    this.expiresIn = this.#expiresIn
    this.tokensLent = 0
    return super.reset()
  }

  protected serve(request: RecordedRequest): Answer {
    const path = `${request.method} ${request.path}`
    if (path === 'POST /oidc/v1/token') return this.#login(request)
    if (path === 'GET /oidc/.well-known/oauth-authorization-server') {
      return {
        status: 200,
        body: {
          issuer: `${this.url}/oidc`,
          token_endpoint: `${this.url}/oidc/v1/token`,
          authorization_endpoint: `${this.url}/oidc/v1/authorize`,
        },
      }
    }
    if (path !== 'POST /api/2.1/unity-catalog/temporary-service-credentials') {
      return refuse(404, 'ENDPOINT_NOT_FOUND', `No API found for '${path}'`)
    }
    const token = bearerToken(request)
    if (token === undefined)
      return refuse(401, 'UNAUTHENTICATED', 'Credential was not sent or was of an unsupported type')
    if (token !== this.token && (this.#sessions.get(token) ?? 0) <= Date.now()) {
      return refuse(403, 'PERMISSION_DENIED', 'Invalid access token.')
    }
    return this.#lend(request)
  }

  #login(request: RecordedRequest): Answer {
    const [, encoded = ''] = /^Basic +(\S+)$/i.exec(request.headers.authorization ?? '') ?? []
    const [client, ...secret] = Buffer.from(encoded, 'base64').toString().split(':')
    if (client !== this.client_id || secret.join(':') !== this.client_secret) {
      return oauthError(401, 'invalid_client', 'Client authentication failed')
    }
    const form = new URLSearchParams(request.body.toString())
    if (form.get('grant_type') !== 'client_credentials') {
      return oauthError(400, 'unsupported_grant_type', 'The grant type is not supported')
    }
    if (form.get('scope') !== 'all-apis') return oauthError(400, 'invalid_scope', 'The scope is not valid')
    const token = randomBytes(32).toString('base64url')
    this.#sessions.set(token, Date.now() + 3_600_000)
    return {
      status: 200,
      body: { access_token: token, token_type: 'Bearer', expires_in: 3600, scope: 'all-apis' },
    }
  }

  #lend(request: RecordedRequest): Answer {
    const { credential_name: name, azure_options: options } = readBody(request)
    const [resource] = options?.resources ?? []
    if (typeof name !== 'string' || typeof resource !== 'string') {
      return refuse(
        400,
        'INVALID_PARAMETER_VALUE',
        'credential_name and azure_options.resources are required',
      )
    }
    if (name !== this.credential_name) {
      return refuse(404, 'RESOURCE_DOES_NOT_EXIST', `Credential '${name}' does not exist.`)
    }
    const { token, expiresAt } = this.#entra.issueToken(resource.replace(/\/\.default$/, ''), this.expiresIn)
    this.tokensLent++
    return { status: 200, body: { azure_aad: { aad_token: token }, expiration_time: expiresAt } }
  }
}

interface CredentialRequest {
  credential_name?: unknown
  azure_options?: { resources?: readonly unknown[] }
}

function readBody(request: RecordedRequest): CredentialRequest {
  try {
    const body: unknown = JSON.parse(request.body.toString())
    return typeof body === 'object' && body !== null ? body : {}
  } catch {
    return {}
  }
}

function refuse(status: number, error_code: string, message: string): Answer {
  return { status, body: { error_code, message } }
}

function oauthError(status: number, error: string, error_description: string): Answer {
  return { status, body: { error, error_description } }
}
