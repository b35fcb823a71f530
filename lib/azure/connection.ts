import type { TokenCredential } from '@azure/identity'
import { Agents } from '../core/agents.ts'
import { userAgent } from '../core/http.ts'
import { credentialsOf, type Redact, redactor } from '../core/redaction.ts'
import { azureClouds } from './clouds.ts'
import { DatabricksCredential } from './databricks-credential.ts'
import type { AzureOptionValues } from './options.ts'
import { type AdditionalPolicy, TokenRequests } from './token-requests.ts'
import { AzureTokens } from './tokens.ts'

/**
 * How one connector speaks to Azure: its tokens, and what the Azure clients must be given so that they use our
 * connections (CA, proxy, all ended by `close`) and leave retries to us.
 */
export class AzureConnection {
  readonly tokens: AzureTokens
  readonly #agents: Agents
  readonly #tokenRequests = new TokenRequests()
  readonly #values: AzureOptionValues
  readonly #redactSecrets: Redact
  #databricks: DatabricksCredential | undefined

  /** @param audience the resource that tokens are for, where the options do not say */
  constructor(connector: string, values: AzureOptionValues, audience: string) {
    this.#values = values
    this.#agents = new Agents(values.proxy)
    this.#redactSecrets = redactor([
      values.client_secret,
      process.env['DATABRICKS_TOKEN'],
      process.env['DATABRICKS_CLIENT_SECRET'],
      process.env['AZURE_CLIENT_SECRET'],
      ...credentialsOf(this.#agents.proxyFor('https://login.microsoftonline.com')),
    ])
    this.tokens = new AzureTokens({
      connector,
      audience: values.audience ?? audience,
      create: (stop) => this.#createCredential(stop),
      requests: this.#tokenRequests,
      redact: this.#redactSecrets,
    })
  }

  /** Takes secrets out of a text. */
  get redact(): Redact {
    return this.tokens.redact
  }

  /** Options for an Azure client. */
  get clientOptions() {
    return {
      retryOptions: { maxRetries: 0 },
      redirectOptions: { maxRetries: 0 },
      userAgentOptions: { userAgentPrefix: userAgent.replace(' ', ',') },
      additionalPolicies: [this.#connectionPolicy()],
    }
  }

  /** Ends all connections and waits for tokens. */
  close(): void {
    this.tokens.close()
    this.#databricks?.close()
    this.#agents.close()
  }

  /**
   * Puts our agent under a request. What TLS needs goes into the request and not into the agent: so it holds through
   * a proxy too.
   */
  #connectionPolicy(): AdditionalPolicy {
    const { ca, verify_ssl } = this.#values
    const tls = { rejectUnauthorized: verify_ssl, ...(ca === undefined ? {} : { ca }) }
    return {
      position: 'perCall',
      policy: {
        name: 'cyberConnectorsConnection',
        sendRequest: (request, next) => {
          // Managed identities are asked over plain http on the machine itself: no proxy, no TLS.
          if (request.url.startsWith('https:')) {
            request.agent = this.#agents.for(request.url).https
            request.requestOverrides = { ...request.requestOverrides, ...tls }
          }
          return next(request)
        },
      },
    }
  }

  async #createCredential(stop: AbortSignal): Promise<TokenCredential> {
    const values = this.#values
    if (values.credential) return values.credential
    if (values.databricks_credential !== undefined) {
      this.#databricks?.close()
      this.#databricks = new DatabricksCredential(values.databricks_credential, values, this.#redactSecrets)
      return this.#databricks
    }
    const identity = await import('@azure/identity')
    const fromEnvironment = values.azure_default_credential && values.azure_cloud === 'public'
    const authorityHost =
      values.authority_host ??
      (fromEnvironment ? process.env['AZURE_AUTHORITY_HOST'] : undefined) ??
      azureClouds[values.azure_cloud].authorityHost
    // Microsoft does not know an authority of one's own, so it must not be asked about it.
    const options = { authorityHost, disableInstanceDiscovery: values.authority_host !== undefined }
    const { retryOptions, ...clientOptions } = this.clientOptions
    clientOptions.additionalPolicies.push(this.#tokenRequests.policy(stop))
    if (values.azure_default_credential) {
      // Its own retries stay: it tells by them whether there is a managed identity at all.
      return new identity.DefaultAzureCredential({ ...options, ...clientOptions })
    }
    const { tenant_id, client_id, client_secret } = values
    return new identity.ClientSecretCredential(tenant_id!, client_id!, client_secret!, {
      ...options,
      ...clientOptions,
      retryOptions,
    })
  }
}
