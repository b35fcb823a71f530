import type { TokenCredential } from '@azure/core-auth'
import { type OptionSpecs, type OptionValues, option, Refusal, type Report } from '../../core/options.ts'
import type { AnyOf, OptionsOf } from '../../core/spelling.ts'
import { checkHttpOptions, httpSpecs, pem } from '../../http/options.ts'
import { missingDatabricksVariables } from './databricks-credential.ts'

/** Endpoints and token audiences of one Azure cloud. */
export interface AzureCloud {
  /** The token service, Entra ID. */
  readonly authorityHost: string
  /** The Log Analytics query API. */
  readonly queryEndpoint: string
  readonly queryAudience: string
  /** The Logs Ingestion API. Its endpoint belongs to each customer. */
  readonly ingestionAudience: string
}

/**
 * https://learn.microsoft.com/azure/azure-government/compare-azure-government-global-azure
 * https://learn.microsoft.com/azure/china/resources-developer-guide
 */
export const azureClouds = {
  public: {
    authorityHost: 'https://login.microsoftonline.com',
    queryEndpoint: 'https://api.loganalytics.io',
    queryAudience: 'https://api.loganalytics.io',
    ingestionAudience: 'https://monitor.azure.com',
  },
  government: {
    authorityHost: 'https://login.microsoftonline.us',
    queryEndpoint: 'https://api.loganalytics.us',
    queryAudience: 'https://api.loganalytics.us',
    ingestionAudience: 'https://monitor.azure.us',
  },
  china: {
    authorityHost: 'https://login.chinacloudapi.cn',
    queryEndpoint: 'https://api.loganalytics.azure.cn',
    queryAudience: 'https://api.loganalytics.azure.cn',
    ingestionAudience: 'https://monitor.azure.cn',
  },
} as const satisfies Record<string, AzureCloud>

export type AzureCloudName = keyof typeof azureClouds

/** A URL that a token may be sent to. The Azure clients refuse anything but https. */
export const httpsUrl = {
  form: 'an https URL',
  schema: { type: 'string' },
  parse(value: unknown): string | undefined {
    const text = value instanceof URL ? value.href : value
    if (typeof text !== 'string' || !URL.canParse(text)) return undefined
    const { protocol, hostname, username, password } = new URL(text)
    if (username || password) throw new Refusal('expected an https URL without a user and password in it')
    return protocol === 'https:' && hostname ? text.replace(/\/+$/, '') : undefined
  },
}

const readCertificate = pem('CERTIFICATE', 'certificate', 'PEM certificate')

/** The options of signing in to Azure. */
export const signInSpecs = {
  /** `TokenCredential` of `@azure/identity`, or an object like it. First of the ways to sign in. */
  credential: option.custom<TokenCredential>({
    form: 'a TokenCredential of @azure/identity (an object with a getToken method)',
    parse: (value) =>
      typeof value === 'object' && value !== null && 'getToken' in value &&
      typeof value.getToken === 'function' ? (value as TokenCredential) : undefined, // biome-ignore format: one condition
  }),
  /**
   * Name of a Unity Catalog service credential; second of the ways to sign in. The Databricks workspace in
   * DATABRICKS_HOST issues the token; sign in to it with DATABRICKS_TOKEN, or with DATABRICKS_CLIENT_ID and
   * DATABRICKS_CLIENT_SECRET.
   */
  databricks_credential: option.text(),
  /**
   * Whether to sign in with the `DefaultAzureCredential` of `@azure/identity`: environment, workload or managed identity,
   * developer tools. Third of the ways to sign in.
   * @default false
   */
  azure_default_credential: option.flag({ default: false }),
  /** Entra ID tenant of the service principal. Needs `client_id` and `client_secret`. */
  tenant_id: option.text(),
  /** Application (client) id of the service principal. Needs `tenant_id` and `client_secret`. */
  client_id: option.text(),
  /** Client secret of the service principal. Needs `tenant_id` and `client_id`. */
  client_secret: option.text({ secret: true }),
  /**
   * Path of a file with a token of another identity provider (workload identity federation), in place of
   * `client_secret`. It is read again for each token.
   */
  federated_token_file: option.text({ names: 'file' }),
  /** Certificate of the service principal and its private key, in place of `client_secret`: PEM, or the path of a PEM file. */
  client_certificate: option.custom<string, string | Buffer>(
    {
      form: 'a certificate and its private key in PEM form, or the path of a file that holds both',
      schema: { type: 'string' },
      parse: (value) => {
        const text = readCertificate(value)
        if (text !== undefined && !/-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----/.test(text))
          throw new Refusal('holds no PEM private key beside the certificate')
        return text
      },
    },
    { names: 'file', secret: true },
  ),
  /** Password of the private key in `client_certificate`, if that is encrypted. */
  client_certificate_password: option.text({ secret: true }),
  /**
   * Azure cloud. It decides the token service, the default endpoint and the audience of the token.
   * @default "public"
   */
  azure_cloud: option.oneOf(Object.keys(azureClouds) as AzureCloudName[], { default: 'public' }),
  /**
   * https URL of the token service, for private clouds and emulators. With it the authority is not looked up at
   * Microsoft first.
   * @default by `azure_cloud`
   */
  authority_host: option.custom<string, string | URL>(httpsUrl),
  /**
   * Resource that the token is for, without `/.default`.
   * @default by `azure_cloud`
   */
  audience: option.custom<string>({
    form: 'the URI of a resource, such as https://api.loganalytics.io',
    schema: { type: 'string' },
    parse: (value) =>
      typeof value === 'string' && URL.canParse(value) ? value.replace(/\/\.default$/, '') : undefined,
  }),
} satisfies OptionSpecs

/** Options of every connector that speaks to Azure: identity, cloud, connection. */
export const azureSpecs: typeof signInSpecs & typeof httpSpecs = { ...signInSpecs, ...httpSpecs }

/** The ways to sign in, one of which a caller must give whole. */
export type SignIn = AnyOf<
  typeof signInSpecs,
  | 'credential'
  | 'databricks_credential'
  | 'azure_default_credential'
  | readonly ['tenant_id', 'client_id', 'client_secret']
  | readonly ['tenant_id', 'client_id', 'federated_token_file']
  | readonly ['tenant_id', 'client_id', 'client_certificate']
>

/** Options of every connector that speaks to Azure. */
export type AzureOptions = OptionsOf<typeof azureSpecs>

export type AzureOptionValues = OptionValues<typeof azureSpecs>

const principalOptions = ['tenant_id', 'client_id', 'client_secret'] as const

/** Credentials of a service principal: exactly one. */
const proofs = ['client_secret', 'federated_token_file', 'client_certificate'] as const

/** Reports an incomplete way to sign in, and what it lacks. */
export function checkAzureOptions(
  values: Partial<AzureOptionValues>,
  report: Report,
  given: ReadonlySet<string>,
): void {
  checkHttpOptions(values, report, given)
  if (given.has('credential')) return
  if (given.has('databricks_credential')) {
    const missing = missingDatabricksVariables(process.env)
    if (missing) report(`databricks_credential: ${missing}`)
    return
  }
  if (values.azure_default_credential) return
  const proven = proofs.filter((name) => given.has(name))
  if (proven.length > 1) report(`${proven.join(' and ')} exclude each other`)
  const missing = principalOptions.filter(
    (name) => !given.has(name) && !(name === 'client_secret' && proven.length > 0),
  )
  if (missing.length === 0) return
  if (missing.length < principalOptions.length || proven.length > 0) {
    report(`the service principal is incomplete: it lacks ${missing.join(' and ')}`)
    return
  }
  report(
    'no way to sign in is complete: give a credential, or databricks_credential, or azure_default_credential: true, ' +
      'or tenant_id, client_id and client_secret together',
  )
}
