import { constants, createPublicKey, randomBytes, randomUUID, verify } from 'node:crypto'
import type { Answer } from './answer.ts'
import { Emulator, type EmulatorOptions } from './emulator.ts'
import type { RecordedRequest } from './fault.ts'
import type { Kinds } from './options.ts'

/** Something that knows which bearer tokens are good: the Entra emulator. */
export interface TokenAuthority {
  /** `audience`: the resource that the token must be for, such as `https://monitor.azure.com`. */
  tokenValid(token: string, audience?: string): boolean
}

/** The token of `Authorization: Bearer ...`, or undefined when there is none. */
export function bearerToken(request: RecordedRequest): string | undefined {
  return /^Bearer +(\S+)\s*$/i.exec(request.headers.authorization ?? '')?.[1]
}

export interface EntraEmulatorOptions extends EmulatorOptions {
  /** Default: a random GUID. */
  tenant_id?: string
  /** Default: a random GUID. */
  client_id?: string
  /** Default: random. */
  client_secret?: string
  /** Federated token that is accepted in place of the secret. */
  federated_token?: string
  /** Certificate (PEM) whose key may sign assertions in place of the secret. */
  certificate?: string
  /** How many seconds a token lives. Default 3,599. */
  expiresIn?: number
}

const optionKinds: Kinds<Omit<EntraEmulatorOptions, keyof EmulatorOptions>> = {
  tenant_id: 'string',
  client_id: 'string',
  client_secret: 'string',
  federated_token: 'string',
  certificate: 'string',
  expiresIn: 'number',
}

export interface IssuedToken {
  token: string
  /** The scope without `/.default`. */
  audience: string
  /** Milliseconds since 1970. */
  expiresAt: number
}

/** The part of Entra ID (login.microsoftonline.com) that gives tokens to a service principal. */
export class EntraEmulator extends Emulator implements TokenAuthority {
  readonly tenant_id: string
  readonly client_id: string
  readonly client_secret: string
  readonly federated_token: string | undefined
  readonly certificate: string | undefined
  /** How many seconds the tokens to come will live. */
  expiresIn: number
  readonly #tokens = new Map<string, IssuedToken>()
  readonly #expiresIn: number
  #issued = 0

  constructor(options: EntraEmulatorOptions = {}) {
    super(options, 'entra', optionKinds)
    this.tenant_id = options.tenant_id ?? randomUUID()
    this.client_id = options.client_id ?? randomUUID()
    this.client_secret = options.client_secret ?? randomBytes(20).toString('base64url')
    this.federated_token = options.federated_token
    this.certificate = options.certificate
    this.expiresIn = options.expiresIn ?? 3_599
    this.#expiresIn = this.expiresIn
  }

  /** How many tokens were issued so far. */
  get tokensIssued(): number {
    return this.#issued
  }

  /** Makes a token: an unsigned JWT. */
  issueToken(audience: string, expiresIn = this.expiresIn): IssuedToken {
    const now = Math.floor(Date.now() / 1000)
    const claims = {
      aud: audience,
      iss: `https://sts.windows.net/${this.tenant_id}/`,
      iat: now,
      exp: now + expiresIn,
      appid: this.client_id,
      tid: this.tenant_id,
      uti: randomUUID(),
    }
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
    const token = `${part({ typ: 'JWT', alg: 'none' })}.${part(claims)}.`
    // It may run for days.
    for (const [old, { expiresAt }] of this.#tokens) if (expiresAt <= Date.now()) this.#tokens.delete(old)
    const issued = { token, audience, expiresAt: Date.now() + expiresIn * 1000 }
    this.#tokens.set(token, issued)
    this.#issued++
    return issued
  }

  tokenValid(token: string, audience?: string): boolean {
    const issued = this.#tokens.get(token)
    if (!issued || issued.expiresAt <= Date.now()) return false
    return audience === undefined || withoutSlash(issued.audience) === withoutSlash(audience)
  }

  /** Makes all tokens issued so far invalid. */
  expireTokens(): void {
    this.#tokens.clear()
  }

  override reset(): this {
    this.expiresIn = this.#expiresIn
    this.#issued = 0
    return super.reset()
  }

  /** Entra says of its own trouble that it is "temporarily_unavailable". */
  protected override faultBody(status: number): Answer['body'] {
    return status === 429 || status >= 500 ? entraUnavailable(status).body : undefined
  }

  protected serve(request: RecordedRequest): Answer {
    const [, tenant = '', ...rest] = request.path.split('/')
    const path = rest.join('/')
    if (path === 'discovery/instance') return { status: 200, body: this.#instances() }
    if (/^(v2\.0\/)?\.well-known\/openid-configuration$/.test(path)) {
      if (!this.#isTenant(tenant)) return this.#unknownTenant(tenant)
      return { status: 200, body: this.#configuration(tenant) }
    }
    if (/^oauth2\/(v2\.0\/)?token$/.test(path) && request.method === 'POST')
      return this.#token(tenant, request)
    return { status: 404 }
  }

  #isTenant(tenant: string): boolean {
    return tenant === this.tenant_id || tenant === 'common' || tenant === 'organizations'
  }

  #configuration(tenant: string): object {
    return {
      token_endpoint: `${this.url}/${tenant}/oauth2/v2.0/token`,
      authorization_endpoint: `${this.url}/${tenant}/oauth2/v2.0/authorize`,
      issuer: `${this.url}/${tenant}/v2.0`,
      jwks_uri: `${this.url}/${tenant}/discovery/v2.0/keys`,
      token_endpoint_auth_methods_supported: ['client_secret_post'],
    }
  }

  #instances(): object {
    const host = new URL(this.url).host
    return {
      tenant_discovery_endpoint: `${this.url}/${this.tenant_id}/v2.0/.well-known/openid-configuration`,
      'api-version': '1.1',
      metadata: [{ preferred_network: host, preferred_cache: host, aliases: [host] }],
    }
  }

  /** Whether an assertion is the federated token, or is signed by the key of the certificate. */
  #isAsserted(assertion: string | null): boolean {
    if (!assertion) return false
    if (assertion === this.federated_token) return true
    const [head = '', body = '', signature = ''] = assertion.split('.')
    if (this.certificate === undefined || signature === '') return false
    const { alg } = JSON.parse(Buffer.from(head, 'base64url').toString()) as { alg?: string }
    const padding = alg === 'PS256' ? constants.RSA_PKCS1_PSS_PADDING : constants.RSA_PKCS1_PADDING
    const key = { key: createPublicKey(this.certificate), padding }
    return verify('sha256', Buffer.from(`${head}.${body}`), key, Buffer.from(signature, 'base64url'))
  }

  #token(tenant: string, request: RecordedRequest): Answer {
    const form = new URLSearchParams(request.body.toString())
    if (tenant !== this.tenant_id) return this.#unknownTenant(tenant)
    if (form.get('grant_type') !== 'client_credentials') {
      return refuse(400, 'unsupported_grant_type', 70003, `The app requested an unsupported grant type.`)
    }
    const client = form.get('client_id') ?? ''
    if (client !== this.client_id) {
      return refuse(
        400,
        'unauthorized_client',
        700016,
        `Application with identifier '${client}' was not found in the directory '${tenant}'.`,
      )
    }
    if (form.get('client_secret') !== this.client_secret && !this.#isAsserted(form.get('client_assertion'))) {
      return refuse(
        401,
        'invalid_client',
        7000215,
        `Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '${client}'.`,
      )
    }
    const scope = form.get('scope') ?? ''
    // Some clients, such as Go's, add these to any scope.
    const scopes = scope.split(' ').filter((one) => !/^(openid|offline_access|profile)?$/.test(one))
    const [resource = ''] = scopes
    if (scopes.length !== 1 || !resource.endsWith('/.default')) {
      return refuse(
        400,
        'invalid_scope',
        1002012,
        `The provided value for scope ${scope} is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI).`,
      )
    }
    const { token } = this.issueToken(resource.slice(0, -'/.default'.length))
    const body = {
      token_type: 'Bearer',
      expires_in: this.expiresIn,
      ext_expires_in: this.expiresIn,
      access_token: token,
    }
    return { status: 200, headers: { 'cache-control': 'no-store' }, body }
  }

  #unknownTenant(tenant: string): Answer {
    return refuse(
      400,
      'invalid_request',
      90002,
      `Tenant '${tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud.`,
    )
  }
}

/** `https://monitor.azure.com/` is the same audience as without its slash. */
function withoutSlash(audience: string): string {
  return audience.replace(/\/$/, '')
}

const unavailable = [
  'temporarily_unavailable',
  90033,
  'A transient error has occurred. Please try again.',
] as const

/**
 * Entra has no time for a request: AADSTS90033, `temporarily_unavailable`. As a fault: `entra.fail(entraUnavailable())`.
 * @param status default 503; Entra has been seen to send it with 400
 */
export function entraUnavailable(status = 503): { status: number; body: object } {
  return { status, body: refuse(status, ...unavailable).body as object }
}

function refuse(status: number, error: string, code: number, text: string): Answer {
  const [traceId, correlationId, timestamp] = [
    randomUUID(),
    randomUUID(),
    new Date().toISOString().replace('T', ' ').replace(/\..*/, 'Z'),
  ]
  return {
    status,
    body: {
      error,
      error_description: `AADSTS${code}: ${text} Trace ID: ${traceId} Correlation ID: ${correlationId} Timestamp: ${timestamp}`,
      error_codes: [code],
      timestamp,
      trace_id: traceId,
      correlation_id: correlationId,
    },
  }
}
