import type { TokenCredential } from '@azure/core-auth'
import type { TokenCredentialOptions } from '@azure/identity'
import { importPackage } from '../../core/optional-package.ts'
import { credentialsOf, type Redact, redactor } from '../../core/redaction.ts'
import { Agents } from '../../http/agents.ts'
import { userAgent } from '../../http/client.ts'
import { ownOrShared } from '../../http/sharing.ts'
import { DatabricksCredential } from './databricks-credential.ts'
import { type AzureOptionValues, azureClouds, azureSpecs } from './options.ts'
import { AzureTokens, TokenRequests } from './tokens.ts'

/** The pipeline policy type of the Azure clients, from a package that we depend on. */
type AdditionalPolicy = NonNullable<TokenCredentialOptions['additionalPolicies']>[number]

/** The connection of a stream: its own, or one shared by the streams of its query with the same sign-in. */
export function connectionFor(
  connector: string,
  values: AzureOptionValues,
  audience: string,
): { readonly value: AzureConnection; close(): void } {
  const names = Object.keys(azureSpecs) as (keyof AzureOptionValues)[]
  const settings = [connector, audience, ...names.map((name) => values[name])]
  return ownOrShared('azure', settings, () => new AzureConnection(connector, values, audience))
}

/**
 * Tokens of one connector, and options that make the Azure clients use our connections (CA, proxy, ended by `close`) and
 * leave retries to us.
 */
export class AzureConnection {
  readonly tokens: AzureTokens
  readonly #agents: Agents
  readonly #values: AzureOptionValues
  readonly #redactSecrets: Redact
  #databricks: DatabricksCredential | undefined

  /** @param audience the resource that tokens are for, unless the options name one */
  constructor(connector: string, values: AzureOptionValues, audience: string) {
    this.#values = values
    this.#agents = new Agents(values)
    this.#redactSecrets = redactor([
      values.client_secret,
      values.client_certificate_password,
      process.env['DATABRICKS_TOKEN'],
      process.env['DATABRICKS_CLIENT_SECRET'],
      process.env['AZURE_CLIENT_SECRET'],
      process.env['IDENTITY_HEADER'],
      ...credentialsOf(this.#agents.proxyFor('https://login.microsoftonline.com')),
    ])
    this.tokens = new AzureTokens({
      connector,
      audience: values.audience ?? audience,
      create: () => this.#createCredential(),
      requests: new TokenRequests(this.#agents),
      redact: this.#redactSecrets,
    })
  }

  /** Removes secrets from a string. */
  get redact(): Redact {
    return this.tokens.redact
  }

  /** Options for an Azure client. */
  get clientOptions() {
    return {
      retryOptions: { maxRetries: 0 },
      redirectOptions: { maxRetries: 0 },
      userAgentOptions: { userAgentPrefix: userAgent.replace(' ', ',') },
      // Otherwise the clients read the environment by rules of their own. Our agent replaces this proxy.
      proxyOptions: { host: 'http://unused.invalid', port: 1 },
      additionalPolicies: [this.#connectionPolicy()],
    }
  }

  /** Ends all connections and all pending token requests. */
  close(): void {
    this.tokens.close()
    this.#databricks?.close()
    this.#agents.close()
  }

  /** Sends each request through our agent. */
  #connectionPolicy(): AdditionalPolicy {
    return {
      position: 'perCall',
      policy: {
        name: 'cyberConnectorsConnection',
        sendRequest: (request, next) => {
          request.agent = this.#agents.for(request.url).https
          return next(request)
        },
      },
    }
  }

  async #createCredential(): Promise<TokenCredential> {
    const values = this.#values
    if (values.credential) return values.credential
    if (values.databricks_credential !== undefined) {
      this.#databricks?.close()
      this.#databricks = new DatabricksCredential(values.databricks_credential, values, this.#redactSecrets)
      return this.#databricks
    }
    const [identity, { createDefaultHttpClient }] = await Promise.all([
      importPackage('@azure/identity@^4', () => import('@azure/identity')),
      importPackage('@azure/core-rest-pipeline@^1', () => import('@azure/core-rest-pipeline')),
    ])
    const fromEnvironment = values.azure_default_credential && values.azure_cloud === 'public'
    const authorityHost =
      values.authority_host ??
      (fromEnvironment ? process.env['AZURE_AUTHORITY_HOST'] : undefined) ??
      azureClouds[values.azure_cloud].authorityHost
    // Microsoft does not know a private authority, so instance discovery would fail.
    const foreign =
      values.authority_host !== undefined ||
      !Object.values(azureClouds).some((cloud) => sameHost(cloud.authorityHost, authorityHost))
    const { additionalPolicies: _, ...clientOptions } = this.clientOptions
    const options = {
      ...clientOptions,
      authorityHost,
      disableInstanceDiscovery: foreign,
      httpClient: TokenRequests.client(createDefaultHttpClient()),
    }
    if (values.azure_default_credential) {
      // Set to a managed identity alone, DefaultAzureCredential ignores the options.
      return process.env['AZURE_TOKEN_CREDENTIALS']?.trim().toLowerCase() === 'managedidentitycredential'
        ? new identity.ManagedIdentityCredential(managedIdentity(options))
        : new identity.DefaultAzureCredential(options)
    }
    const { tenant_id, client_id, client_secret, federated_token_file, client_certificate } = values
    if (federated_token_file !== undefined) {
      const file = { tenantId: tenant_id!, clientId: client_id!, tokenFilePath: federated_token_file }
      return new identity.WorkloadIdentityCredential({ ...options, ...file })
    }
    if (client_certificate !== undefined) {
      const certificate = {
        certificate: client_certificate,
        ...(values.client_certificate_password && {
          certificatePassword: values.client_certificate_password,
        }),
      }
      return new identity.ClientCertificateCredential(tenant_id!, client_id!, certificate, options)
    }
    return new identity.ClientSecretCredential(tenant_id!, client_id!, client_secret!, options)
  }
}

/** The managed identity that the environment names, or the one of the machine. */
function managedIdentity<T extends object>(options: T): T & { clientId?: string } {
  const clientId = process.env['AZURE_CLIENT_ID']
  return clientId ? { ...options, clientId } : options
}

function sameHost(one: string, other: string): boolean {
  return URL.canParse(other) && new URL(one).host === new URL(other).host
}
