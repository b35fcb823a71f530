import type { ConnectionOptions as TlsOptions } from 'node:tls'
import { type OptionSpecs, type OptionValues, option, Refusal, type Report } from '../../core/options.ts'
import { httpSpecs, tlsOptions } from '../../http/options.ts'
import { type AzureOptionValues, checkAzureOptions, signInSpecs } from '../azure/options.ts'

/** Address of a broker. */
export interface BrokerAddress {
  readonly host: string
  readonly port: number
}

/** Port of a broker where none is given: without TLS, and with it. */
const [plainPort, tlsPort] = [9092, 9093]

/** Spark puts this before the options of Kafka's own clients. */
const sparkPrefix = 'kafka.'

const servers = {
  form: 'addresses of brokers as host:port, separated by commas',
  schema: { type: 'string', minLength: 1 },
  parse: (value: unknown) => (typeof value === 'string' && parseServers(value, 1) ? value : undefined),
}

/** The one option that Spark's users know by another name. */
export const sparkSpecs = {
  /** `kafka.bootstrap.servers`: the same as `bootstrap_servers`. */
  [sparkPrefix]: { ...option.text(), ...servers },
}

const mechanisms = ['plain', 'scram-sha-256', 'scram-sha-512', 'oauthbearer'] as const

const connectSpecs = {
  /**
   * Some of the brokers, as `host:port` separated by commas; they name the others. Default: the host of
   * `connection_string`.
   */
  bootstrap_servers: option.custom<string>(servers),
  /**
   * Connection string of an Event Hubs namespace or of one event hub. It gives the host, the user and, by `EntityPath`,
   * the topic.
   */
  connection_string: option.custom<string>(
    {
      form: 'a connection string of Event Hubs: Endpoint=sb://…;SharedAccessKeyName=…;SharedAccessKey=…',
      schema: { minLength: 1 },
      parse(value) {
        if (typeof value !== 'string') return undefined
        const { Endpoint, SharedAccessKeyName, SharedAccessKey } = connectionStringParts(value)
        if (!SharedAccessKeyName || !SharedAccessKey)
          throw new Refusal('lacks SharedAccessKeyName or SharedAccessKey')
        if (!Endpoint || !URL.canParse(Endpoint))
          throw new Refusal('lacks the Endpoint, such as sb://NAMESPACE.servicebus.windows.net/')
        return value
      },
    },
    {
      secret: true,
    },
  ),
  /**
   * SASL mechanism.
   * @default `plain` with `username`, `oauthbearer` with a way to sign in to Azure
   */
  sasl_mechanism: option.oneOf(mechanisms),
  /** User of `plain` and `scram-sha-…`. Needs `password`. */
  username: option.text(),
  /** Password of `username`. */
  password: option.text({ secret: true }),
  /**
   * Whether connections to brokers use TLS.
   * @default true for Event Hubs, and with `ca`, `cert`, a path as `verify_ssl` or a way to sign in to Azure
   */
  tls: option.flag(),
  /**
   * Timeout of one request to a broker, in seconds.
   * @default 30
   */
  request_timeout: option.amount({ default: 30 }),
  /**
   * Resource that the token is for, without `/.default`.
   * @default https:// and the host of the first broker
   */
  audience: signInSpecs.audience,
} satisfies OptionSpecs

/** Options of every stream of Kafka: brokers and signing in. Only token requests use the proxy. */
export type ClusterSpecs = typeof connectSpecs & Omit<typeof signInSpecs, 'audience'> & typeof httpSpecs

export const clusterSpecs: ClusterSpecs = { ...signInSpecs, ...httpSpecs, ...connectSpecs }

export type ClusterValues = OptionValues<ClusterSpecs> & {
  readonly prefixed: Readonly<Record<string, string>>
}

/** Ways to sign in to Azure, and so by OAUTHBEARER. */
const azureWays = ['credential', 'databricks_credential', 'azure_default_credential', 'tenant_id', 'client_id', 'client_secret', 'federated_token_file', 'client_certificate'] // biome-ignore format: a list

/** Reports what is wrong with the options of a connection together. */
export function checkClusterOptions(
  values: Partial<OptionValues<ClusterSpecs>>,
  report: Report,
  given: ReadonlySet<string>,
): void {
  const { sasl_mechanism, tls, azure_default_credential } = values
  for (const name of given) {
    if (name.startsWith(sparkPrefix) && name !== `${sparkPrefix}bootstrap.servers`)
      report(
        `${name}: is not an option here; bootstrap_servers, sasl_mechanism, username, password, tls, group_id and others are`,
      )
  }
  const sparkServers = given.has(`${sparkPrefix}bootstrap.servers`)
  if (given.has('bootstrap_servers') && sparkServers)
    report('bootstrap_servers: given twice, as "bootstrap_servers" and as "kafka.bootstrap.servers"')
  if (!given.has('bootstrap_servers') && !sparkServers && !given.has('connection_string'))
    report('bootstrap_servers: is required, unless a connection_string names the host')
  const isAzure = azureWays.some(
    (name) => given.has(name) && (name !== 'azure_default_credential' || azure_default_credential),
  )
  const ways = [
    given.has('connection_string') && 'connection_string',
    (given.has('username') || given.has('password')) && 'username',
    isAzure && 'a way to sign in to Azure',
  ].filter((way) => way !== false)
  if (ways.length > 1) report(`${ways.join(' and ')} exclude each other`)
  if (given.has('username') !== given.has('password'))
    report(given.has('username') ? 'username: goes with password, which is missing' : 'password: goes with username, which is missing') // biome-ignore format: a line
  if (sasl_mechanism === 'oauthbearer' && !isAzure)
    report('sasl_mechanism: "oauthbearer" needs a credential, or another way to sign in to Azure')
  if (sasl_mechanism !== undefined && sasl_mechanism !== 'oauthbearer') {
    if (isAzure) report(`sasl_mechanism: "${sasl_mechanism}" has no use for a way to sign in to Azure`)
    else if (given.has('connection_string') && sasl_mechanism !== 'plain') report('sasl_mechanism: a connection_string signs in by "plain"') // biome-ignore format: a line
    else if (!given.has('connection_string') && !given.has('username')) report(`sasl_mechanism: "${sasl_mechanism}" needs username and password`) // biome-ignore format: a line
  }
  if (tls === false) {
    const unused = ['ca', 'cert', 'key', ...(typeof values.verify_ssl === 'string' ? ['verify_ssl'] : [])]
    for (const name of unused) if (given.has(name)) report(`${name}: has no use with tls false`)
  }
  // Checks the client certificate too. A credential in the place of none: signing in to Azure is one way of several here.
  checkAzureOptions(
    values as Partial<AzureOptionValues>,
    report,
    isAzure ? given : new Set([...given, 'credential']),
  )
}

/** How to connect, as the options say. */
export interface ClusterSettings {
  readonly bootstrap: readonly BrokerAddress[]
  readonly tls: TlsOptions | undefined
  readonly sasl: SaslSettings | undefined
  /** A token of Azure is used to sign in. */
  readonly azure: { readonly audience: string } | undefined
  readonly isEventHubs: boolean
  /** The topic that a connection string names. */
  readonly topic: string | undefined
}

type SaslSettings =
  | { readonly mechanism: 'PLAIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-512'; readonly username: string; readonly password: string }
  | { readonly mechanism: 'OAUTHBEARER' } // biome-ignore format: two alternatives

export function clusterSettings(values: ClusterValues): ClusterSettings {
  const { connection_string, username, password } = values
  const hub = connection_string === undefined ? undefined : connectionStringParts(connection_string)
  const isEmulator = hub?.['UseDevelopmentEmulator'] === 'true'
  const isAzure = azureWays.some((name) => values[name as keyof AzureOptionValues])
  const tls = tlsOptions(values)
  const isCertified = tls.ca !== undefined || tls.cert !== undefined
  const encrypted = values.tls ?? ((hub !== undefined && !isEmulator) || isAzure || isCertified)
  const given = values.bootstrap_servers ?? values.prefixed['bootstrap.servers']
  const port = encrypted ? tlsPort : plainPort
  const bootstrap = parseServers(given ?? new URL(hub!['Endpoint']!).hostname, port)!
  return {
    bootstrap,
    tls: encrypted ? (tls as TlsOptions) : undefined,
    sasl: isAzure
      ? { mechanism: 'OAUTHBEARER' }
      : hub
        ? { mechanism: 'PLAIN', username: '$ConnectionString', password: connection_string! }
        : username !== undefined
          ? {
              mechanism: (values.sasl_mechanism ?? 'plain').toUpperCase() as 'PLAIN',
              username,
              password: password!,
            }
          : undefined,
    azure: isAzure ? { audience: values.audience ?? `https://${bootstrap[0]!.host}` } : undefined,
    isEventHubs:
      hub !== undefined ||
      /\.servicebus\.(?:windows\.net|usgovcloudapi\.net|chinacloudapi\.cn)$/i.test(bootstrap[0]!.host),
    topic: hub?.['EntityPath'],
  }
}

/** Options that no error may show. */
export function signInSecrets({
  connection_string,
  password,
  passphrase,
}: ClusterValues): (string | undefined)[] {
  const hub = connection_string === undefined ? {} : connectionStringParts(connection_string)
  return [connection_string, hub['SharedAccessKey'], password, passphrase]
}

function connectionStringParts(text: string): Partial<Record<string, string>> {
  return Object.fromEntries(
    text.split(';').flatMap((part) => {
      const [, name, value] = /^\s*(\w+)=(.*?)\s*$/.exec(part) ?? []
      return name === undefined ? [] : [[name, value]]
    }),
  )
}

/** @returns undefined if it is no list of addresses */
function parseServers(text: string, defaultPort: number): BrokerAddress[] | undefined {
  const servers: BrokerAddress[] = []
  for (const part of text.split(',').map((each) => each.trim())) {
    if (part === '') continue
    const [, bracketed, host, port] = /^(?:\[([\da-fA-F:]+)\]|([^\s:/]+))(?::(\d{1,5}))?$/.exec(part) ?? []
    const name = bracketed ?? host
    if (name === undefined || Number(port ?? defaultPort) > 65_535) return undefined
    servers.push({ host: name, port: Number(port ?? defaultPort) })
  }
  return servers.length > 0 ? servers : undefined
}
