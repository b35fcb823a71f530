import { once } from 'node:events'
import { join } from 'node:path'
import { inspect } from 'node:util'
import t from 'tap'
import { KafkaReadable, KafkaStreamReadable } from '../../../lib/connectors/kafka/index.ts'
import { KafkaTopics } from '../../fixtures/kafka-topics.ts'
import { kafkaMissing, plainUsers, scramUser, startKafka } from '../../services/kafka.ts'

/** A token without a signature, as the broker's own validator for tests takes it. */
function unsignedToken(seconds: number): { token: string; expiresOnTimestamp: number } {
  const now = Date.now() / 1000
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const claims = { sub: 'dave', iat: Math.floor(now), exp: Math.floor(now + seconds) }
  return { token: `${part({ alg: 'none' })}.${part(claims)}.`, expiresOnTimestamp: (now + seconds) * 1000 }
}

t.test('signing in to Kafka', { skip: kafkaMissing }, async (t) => {
  const kafka = await startKafka()
  t.teardown(() => kafka.stop())
  const topics = new KafkaTopics(kafka)
  t.teardown(() => topics.close())
  const broker = kafka.brokers[0]!
  const topic = await topics.make(1, { name: 'insights' })
  await topics.produceNumbers(topic, 3)
  const secrets = [...Object.values(plainUsers), scramUser.password, 'c2VjcmV0LWtleQ==']

  const read = (options: object) =>
    new KafkaReadable({ subscribe: topic, max_retries: 1, initial_backoff: 0.01, ...options })
  const works = async (t: Tap, options: object) => t.equal((await read(options).toArray()).length, 3)
  const fails = async (t: Tap, options: object, error: object) => {
    const found = await read(options).toArray().then(() => undefined, (error: Error) => error) // biome-ignore format: a line
    t.match(found, error)
    const shown = inspect(found, { depth: 9, showHidden: true }) + (found?.stack ?? '')
    for (const secret of [...secrets, 'wrong-secret']) t.notOk(shown.includes(secret), 'no secret is shown')
  }
  type Tap = typeof t

  await t.test('without', (t) => works(t, { bootstrap_servers: broker.plaintext }))

  await t.test('SASL PLAIN', async (t) => {
    await works(t, { bootstrap_servers: broker.sasl, username: 'alice', password: plainUsers.alice })
    await fails(
      t,
      { bootstrap_servers: broker.sasl, username: 'alice', password: 'wrong-secret' },
      {
        code: 'ERR_AUTH',
        serviceCode: 'SASL_AUTHENTICATION_FAILED',
        message: /127.0.0.1:\d+.*Invalid username or password/,
      },
    )
  })

  for (const sasl_mechanism of ['scram-sha-256', 'scram-sha-512']) {
    await t.test(sasl_mechanism, async (t) => {
      await works(t, { bootstrap_servers: broker.sasl, sasl_mechanism, ...scramUser })
      await fails(
        t,
        { bootstrap_servers: broker.sasl, sasl_mechanism, ...scramUser, password: 'wrong-secret' },
        { code: 'ERR_AUTH' },
      )
    })
  }

  await t.test('SASL on a listener that has none', (t) =>
    fails(
      t,
      { bootstrap_servers: broker.plaintext, username: 'alice', password: plainUsers.alice },
      { code: 'ERR_AUTH', message: /takes no sign-in by SASL/ },
    ),
  )

  await t.test('TLS with a client certificate', async (t) => {
    await works(t, { bootstrap_servers: broker.tls, ca: kafka.ca, ...kafka.client })
    const verify_ssl = join(t.testdir({ 'ca.pem': kafka.ca }), 'ca.pem')
    await works(t, { bootstrap_servers: broker.tls, verify_ssl, ...kafka.client })
    await works(t, { bootstrap_servers: broker.tls, verify_ssl: false, tls: true, ...kafka.client })
    await fails(
      t,
      { bootstrap_servers: broker.tls, tls: true },
      { code: 'ERR_DELIVERY', message: /certificate/ },
    )
    await fails(t, { bootstrap_servers: broker.tls, ca: kafka.ca }, { code: 'ERR_DELIVERY' })
  })

  await t.test('a connection string of Event Hubs: user, password, TLS and topic come from it', async (t) => {
    const connection_string = plainUsers.$ConnectionString
    // The host of the string has no broker at the port of Event Hubs here.
    const bootstrap_servers = broker.saslTls
    const options = { connection_string, bootstrap_servers, ca: kafka.ca, max_retries: 1 }
    t.equal((await new KafkaReadable(options).toArray()).length, 3)
    await fails(
      t,
      { ...options, connection_string: connection_string.replace('c2VjcmV0', 'd3Jvbmct') },
      { code: 'ERR_AUTH', serviceCode: 'SASL_AUTHENTICATION_FAILED' },
    )
  })

  await t.test('OAUTHBEARER with a token of a credential', async (t) => {
    const asked: string[] = []
    const credential = {
      async getToken(scope: string) {
        asked.push(scope)
        return unsignedToken(3600)
      },
    }
    await works(t, { bootstrap_servers: broker.saslTls, ca: kafka.ca, credential })
    t.match(asked, ['https://127.0.0.1/.default'])
    const refused = {
      getToken: async () => ({ token: 'no-token', expiresOnTimestamp: Date.now() + 3_600_000 }),
    }
    await fails(
      t,
      { bootstrap_servers: broker.saslTls, ca: kafka.ca, credential: refused },
      { code: 'ERR_AUTH' },
    )
    const failing = { getToken: async () => Promise.reject(new Error('the login has expired')) }
    await fails(
      t,
      { bootstrap_servers: broker.saslTls, ca: kafka.ca, credential: failing },
      { code: 'ERR_AUTH', message: /the login has expired/ },
    )
  })

  await t.test('a token is renewed before it expires, and nothing fails', async (t) => {
    let asked = 0
    const credential = {
      async getToken() {
        asked++
        return unsignedToken(4)
      },
    }
    const stream = new KafkaStreamReadable({
      bootstrap_servers: broker.saslTls,
      ca: kafka.ca,
      credential,
      subscribe: topic,
      startingOffsets: 'earliest',
      poll_interval_seconds: 0.2,
    })
    const retries: object[] = []
    stream.on('retry', (event) => retries.push(event))
    stream.resume()
    // The first token, and two that came after it while the stream went on.
    while (asked < 4) await once(stream, 'idle')
    stream.destroy()
    t.same(retries, [])
  })
})
