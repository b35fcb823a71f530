import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { createCertificateAuthority, type KeyAndCertificate } from '../../lib/emulators/certificates.ts'
import { findProgram, freePort, runService, type Service } from './service.ts'

const jars = join(
  process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'),
  'cyber-connectors',
  'kafka-4.1.1',
)
const java = findProgram('java')

/** Why there is no Kafka here, for `skip`; false where there is. */
export const kafkaMissing =
  java === undefined
    ? 'Java is not installed: apt-get install --no-install-recommends default-jre-headless'
    : !existsSync(join(jars, 'complete')) && 'the Kafka broker is not downloaded: .ci/services'

/** Who may sign in by SASL PLAIN. The last is how Event Hubs is signed in to. */
export const plainUsers = {
  alice: 'alice-secret',
  bob: 'bob-secret',
  $ConnectionString:
    'Endpoint=sb://localhost/;SharedAccessKeyName=all;SharedAccessKey=c2VjcmV0LWtleQ==;EntityPath=insights',
} as const

/** Who may sign in by SCRAM-SHA-256 and SCRAM-SHA-512. */
export const scramUser = { username: 'carol', password: 'carol=secret' } as const

/** Where a broker listens, as `127.0.0.1:port`. */
export interface KafkaListeners {
  /** Without TLS, without signing in. */
  readonly plaintext: string
  /** Without TLS; SASL PLAIN, SCRAM, OAUTHBEARER with unsigned tokens. */
  readonly sasl: string
  /** TLS; asks for a client certificate and takes none but those of `ca`. */
  readonly tls: string
  /** TLS and SASL, as Event Hubs has it. */
  readonly saslTls: string
}

export interface KafkaBroker extends Service, KafkaListeners {}

/** A cluster of brokers on this machine, without ZooKeeper. The first broker is the controller too. */
export interface Kafka {
  readonly brokers: readonly KafkaBroker[]
  /** Addresses of all brokers, without TLS and signing in. */
  readonly bootstrap: string
  /** The certificate authority of its TLS, PEM. */
  readonly ca: string
  /** A client certificate that it takes. */
  readonly client: KeyAndCertificate
  stop(): Promise<void>
}

export interface KafkaSettings {
  readonly brokers?: number
  /** Further lines of server.properties. */
  readonly properties?: Readonly<Record<string, string | number>>
}

const listenerNames = ['plaintext', 'sasl', 'tls', 'saslTls'] as const

/** Starts a Kafka, or several brokers that belong together. */
export async function startKafka({
  brokers: count = 1,
  properties = {},
}: KafkaSettings = {}): Promise<Kafka> {
  const folder = await mkdtemp(join(tmpdir(), 'kafka-'))
  const authority = await createCertificateAuthority()
  const server = await authority.issue()
  const client = await authority.issue(['client'])
  const controller = `127.0.0.1:${await freePort()}`
  const brokers: KafkaBroker[] = []
  try {
    const starting = Array.from({ length: count }, async (_, index) => {
      const node = index + 1
      const data = join(folder, `broker-${node}`)
      const addresses = await Promise.all(listenerNames.map(async () => `127.0.0.1:${await freePort()}`))
      const listeners = Object.fromEntries(
        listenerNames.map((name, at) => [name, addresses[at]!]),
      ) as unknown as KafkaListeners
      const file = join(folder, `broker-${node}.properties`)
      const settings = {
        ...nodeSettings(node, listeners, controller, data),
        ...securitySettings(authority.ca, server),
        'offsets.topic.replication.factor': count,
        'default.replication.factor': count,
        'transaction.state.log.replication.factor': count,
        ...properties,
      }
      await writeFile(file, propertiesText(settings))
      await formatStorage(file)
      const service = await runService({
        url: listeners.plaintext,
        command: [java!, ...javaFlags, 'kafka.Kafka', file],
        ready: /Kafka Server started/,
        environment: { ...process.env, TZ: 'UTC' },
        stopSignal: 'SIGKILL',
        clear: async () => {},
      })
      const broker: KafkaBroker = Object.assign(service, listeners)
      brokers[index] = broker
    })
    // All of them, so that none is started after the folder is gone.
    const failed = (await Promise.allSettled(starting)).find(({ status }) => status === 'rejected')
    if (failed) throw (failed as PromiseRejectedResult).reason
  } catch (error) {
    await Promise.all(brokers.map((broker) => broker.stop()))
    await rm(folder, { recursive: true, force: true })
    throw error
  }
  return {
    brokers,
    bootstrap: brokers.map(({ plaintext }) => plaintext).join(','),
    ca: authority.ca,
    client,
    async stop() {
      await Promise.all(brokers.map((broker) => broker.stop()))
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** Quick to start rather than quick to run. */
const javaFlags = [
  '-Xmx384m',
  '-XX:+UseSerialGC',
  '-XX:TieredStopAtLevel=1',
  '-Dorg.slf4j.simpleLogger.defaultLogLevel=error',
  '-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info',
  '-cp',
  join(jars, '*'),
]

function nodeSettings(node: number, listeners: KafkaListeners, controller: string, data: string) {
  const addresses = listenerNames.map((name) => `${name.toUpperCase()}://${listeners[name]}`)
  const isController = node === 1
  return {
    'process.roles': isController ? 'broker,controller' : 'broker',
    'node.id': node,
    'controller.quorum.voters': `1@${controller}`,
    listeners: [...addresses, ...(isController ? [`CONTROLLER://${controller}`] : [])].join(','),
    'advertised.listeners': addresses.join(','),
    'controller.listener.names': 'CONTROLLER',
    'inter.broker.listener.name': 'PLAINTEXT',
    'listener.security.protocol.map':
      'PLAINTEXT:PLAINTEXT,SASL:SASL_PLAINTEXT,TLS:SSL,SASLTLS:SASL_SSL,CONTROLLER:PLAINTEXT',
    'log.dirs': data,
    'num.partitions': 1,
    'transaction.state.log.min.isr': 1,
    'group.initial.rebalance.delay.ms': 0,
    'group.min.session.timeout.ms': 500,
    'offsets.topic.num.partitions': 4,
    'log.retention.check.interval.ms': 500,
    'auto.create.topics.enable': false,
    'broker.session.timeout.ms': 3000,
    'broker.heartbeat.interval.ms': 500,
    'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
    'super.users': 'User:ANONYMOUS',
    'allow.everyone.if.no.acl.found': true,
  }
}

function securitySettings(ca: string, { key, cert }: KeyAndCertificate) {
  const module = 'org.apache.kafka.common.security'
  const users = Object.entries(plainUsers).map(([name, password]) => `user_${name}="${password}"`)
  const sasl = (listener: string) => ({
    [`listener.name.${listener}.sasl.enabled.mechanisms`]: 'PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER',
    [`listener.name.${listener}.plain.sasl.jaas.config`]: `${module}.plain.PlainLoginModule required ${users.join(' ')};`,
    [`listener.name.${listener}.scram-sha-256.sasl.jaas.config`]: `${module}.scram.ScramLoginModule required;`,
    [`listener.name.${listener}.scram-sha-512.sasl.jaas.config`]: `${module}.scram.ScramLoginModule required;`,
    [`listener.name.${listener}.oauthbearer.sasl.jaas.config`]: `${module}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";`,
    // Sessions end with their token.
    [`listener.name.${listener}.oauthbearer.connections.max.reauth.ms`]: 3_600_000,
  })
  const tls = (listener: string, clientAuth: string) => ({
    [`listener.name.${listener}.ssl.keystore.type`]: 'PEM',
    [`listener.name.${listener}.ssl.keystore.key`]: key,
    [`listener.name.${listener}.ssl.keystore.certificate.chain`]: cert,
    [`listener.name.${listener}.ssl.truststore.type`]: 'PEM',
    [`listener.name.${listener}.ssl.truststore.certificates`]: ca,
    [`listener.name.${listener}.ssl.client.auth`]: clientAuth,
  })
  return { ...sasl('sasl'), ...sasl('sasltls'), ...tls('tls', 'required'), ...tls('sasltls', 'none') }
}

function propertiesText(settings: Readonly<Record<string, string | number | boolean>>): string {
  return Object.entries(settings)
    .map(([name, value]) => `${name}=${String(value).replaceAll('\\', '\\\\').replaceAll(/\r?\n/g, '\\n')}\n`)
    .join('')
}

async function formatStorage(file: string): Promise<void> {
  const scram = ['SCRAM-SHA-256', 'SCRAM-SHA-512'].flatMap((mechanism) => [
    '--add-scram',
    `${mechanism}=[name="${scramUser.username}",password="${scramUser.password}"]`,
  ])
  await promisify(execFile)(java!, [
    ...javaFlags,
    'kafka.tools.StorageTool',
    'format',
    '--cluster-id',
    'q1Sh-9_ISia_zwGINzRvyQ',
    '--config',
    file,
    ...scram,
  ])
}
