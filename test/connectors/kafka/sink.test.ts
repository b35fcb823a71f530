import { once } from 'node:events'
import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { runInNewContext } from 'node:vm'
import { AclOperations, AclPermissionTypes, ResourcePatternTypes, ResourceTypes } from '@platformatic/kafka'
import t from 'tap'
import { KafkaReadable, KafkaWritable } from '../../../lib/connectors/kafka/index.ts'
import { KafkaTopics } from '../../fixtures/kafka-topics.ts'
import { kafkaMissing, plainUsers, startKafka } from '../../services/kafka.ts'

type Numbered = { n: number }

t.test('Kafka as a sink', { skip: kafkaMissing }, async (t) => {
  const kafka = await startKafka()
  t.teardown(() => kafka.stop())
  const topics = new KafkaTopics(kafka)
  t.teardown(() => topics.close())
  const broker = kafka.brokers[0]!
  const bootstrap_servers = kafka.bootstrap

  const write = (options: object) =>
    new KafkaWritable({ bootstrap_servers, initial_backoff: 0.05, linger_ms: 20, ...options } as never)
  const read = async (subscribe: string, options: object = {}) =>
    (await new KafkaReadable({ bootstrap_servers, subscribe, ...options } as never).toArray()) as Record<
      string,
      unknown
    >[]
  const numbers = (rows: unknown[]) => (rows as Numbered[]).map(({ n }) => n)
  const rows = (count: number, row: (n: number) => object = () => ({})) =>
    Array.from({ length: count }, (_, n) => ({ n, ...row(n) }))
  const letters = () => {
    const taken: { row: Numbered; reason: object }[] = []
    const dead_letter = new Writable({
      objectMode: true,
      write: (letter, _encoding, callback) => {
        taken.push(letter)
        callback()
      },
    })
    return { taken, dead_letter }
  }

  // A broker that has just started has no producer ids for a moment: a retry, of which the tests below want none.
  await pipeline(Readable.from(rows(1)), write({ topic: await topics.make() }))

  for (const compression of ['none', 'gzip', 'snappy', 'lz4'] as const) {
    await t.test(`rows arrive once, in order by key, with compression ${compression}`, async (t) => {
      const topic = await topics.make(3)
      const sink = write({ topic, compression, key_column: 'k', batch_size: 50 })
      await pipeline(
        Readable.from(rows(1000, (n) => ({ k: `k${n % 10}`, text: 'é\n"'.repeat(n % 5) }))),
        sink,
      )
      t.match(sink.stats, { written: 1000, delivered: 1000, inFlight: 0, retries: 0 })
      const found = await read(topic, { key_column: 'key', partition_column: 'p' })
      t.same(
        numbers(found).toSorted((a, b) => a - b),
        numbers(rows(1000)),
      )
      for (let key = 0; key < 10; key++) {
        const own = found.filter((row) => row['key'] === `k${key}`)
        t.equal(new Set(own.map((row) => row['p'])).size, 1, 'one partition a key')
        t.same(
          numbers(own),
          numbers(own).toSorted((a, b) => a - b),
        )
      }
      t.match(
        found.find((row) => row['n'] === 4),
        { text: 'é\n"é\n"é\n"é\n"' },
      )
    })
  }

  await t.test('keys meet those of other producers', async (t) => {
    const topic = await topics.make(7)
    const keys = Array.from({ length: 50 }, (_, n) => `clé-${n}`)
    const sink = write({ topic, key_column: 'k' })
    await pipeline(Readable.from(keys.map((k, n) => ({ k, n }))), sink)
    // By Kafka's own partitioner: murmur2 of the key, its sign taken off.
    const { compatibilityPartitioner } = await import('@platformatic/kafka')
    for (const { key, p } of (await read(topic, { key_column: 'key', partition_column: 'p' })) as {
      key: string
      p: number
    }[])
      if (compatibilityPartitioner({} as never, Buffer.from(key)) % 7 !== p)
        t.fail(`${key} is in partition ${p}`)
  })

  await t.test('text and bytes, times, and a topic by column', async (t) => {
    const [one, two] = [await topics.make(), await topics.make(2)]
    const sink = write({ topic_column: 't', format: 'bytes', timestamp_column: 'at', key_column: 'k' })
    const at = new Date('2024-05-01T00:00:00.123Z')
    const foreign: Date = runInNewContext('new Date(time)', { time: at.getTime() })
    sink.write({ t: one, value: Buffer.from([0, 255, 10]), at: foreign, k: Buffer.from([1, 2]) })
    sink.write({ t: two, value: 'line\nline', at: at.toISOString() })
    sink.write({ t: one, value: null, at, k: 'gone' })
    await new Promise<void>((resolve) => sink.end(resolve))
    const found = await read(one, { format: 'bytes', key_column: 'k', timestamp_column: 'ts' })
    t.same(found, [
      { value: Buffer.from([0, 255, 10]), k: Buffer.from([1, 2]), ts: at },
      { value: null, k: Buffer.from('gone'), ts: at },
    ])
    t.same(await read(two, { format: 'text' }), [{ value: 'line\nline' }])
  })

  await t.test('a topic that came after the sink was opened', async (t) => {
    const sink = write({ topic_column: 't', key_column: 'k' })
    sink.write({ t: await topics.make(), n: 0 })
    await sink.flush()
    const topic = await topics.make(3)
    for (const row of rows(20, (n) => ({ t: topic, k: `k${n % 4}` }))) sink.write(row)
    await new Promise<void>((resolve) => sink.end(resolve))
    t.same(
      numbers(await read(topic)).toSorted((a, b) => a - b),
      numbers(rows(20)),
    )
  })

  await t.test('rows that can not be sent go to the dead letter, the others arrive once', async (t) => {
    const topic = await topics.make(2, { configs: { 'max.message.bytes': 20_000 } })
    const { taken, dead_letter } = letters()
    const sink = write({ topic_column: 't', key_column: 'k', dead_letter, batch_size: 100 })
    const given = rows(200, (n) => ({ t: topic, k: `k${n % 8}`, text: 'x'.repeat(n === 77 ? 50_000 : 300) })) as (Numbered & { t?: unknown })[] // biome-ignore format: a line
    given[5]!.t = 7
    given[6]!.t = 'not there'
    given[7]!.t = 'nowhere'
    await pipeline(Readable.from(given), sink)
    t.same(taken.map(({ row }) => row.n).sort(), [5, 6, 7, 77])
    t.match(
      taken.find(({ row }) => row.n === 77),
      { reason: { code: 'MESSAGE_TOO_LARGE' } },
    )
    t.match(
      taken.find(({ row }) => row.n === 7),
      { reason: { code: 'UNKNOWN_TOPIC_OR_PARTITION' } },
    )
    const found = numbers(await read(topic)).toSorted((a, b) => a - b)
    t.same(
      found,
      numbers(rows(200)).filter((n) => ![5, 6, 7, 77].includes(n)),
    )
  })

  await t.test('a fixed topic that is not there ends the sink', async (t) => {
    const sink = write({ topic: 'nowhere' })
    sink.write({ n: 1 })
    const [error] = await once(sink, 'error')
    t.match(error, { code: /ERR_DELIVERY|ERR_QUERY/, message: /"nowhere" is not there/ })
    t.same(error.rows, [{ n: 1 }])
  })

  await t.test('a user who may not write', async (t) => {
    const topic = await topics.make()
    await topics.admin.createAcls({
      creations: [
        {
          resourceType: ResourceTypes.TOPIC,
          resourceName: topic,
          resourcePatternType: ResourcePatternTypes.LITERAL,
          principal: 'User:bob',
          host: '*',
          operation: AclOperations.WRITE,
          permissionType: AclPermissionTypes.ALLOW,
        },
        {
          resourceType: ResourceTypes.TOPIC,
          resourceName: topic,
          resourcePatternType: ResourcePatternTypes.LITERAL,
          principal: 'User:alice',
          host: '*',
          operation: AclOperations.DESCRIBE,
          permissionType: AclPermissionTypes.ALLOW,
        },
      ],
    })
    const as = (username: 'alice' | 'bob') => ({
      bootstrap_servers: broker.sasl,
      username,
      password: plainUsers[username],
    })
    const bob = write({ topic, ...as('bob') })
    await pipeline(Readable.from(rows(3)), bob)
    const alice = write({ topic, ...as('alice') })
    alice.write({ n: 9 })
    const [error] = await once(alice, 'error')
    t.match(error, { code: 'ERR_AUTH', serviceCode: 'TOPIC_AUTHORIZATION_FAILED' })
    t.same(error.rows, [{ n: 9 }])
    t.equal((await read(topic)).length, 3)
  })

  await t.test('a quota holds the sink back, and nothing is lost', async (t) => {
    const topic = await topics.make()
    await topics.admin.alterClientQuotas({
      entries: [
        {
          entities: [{ entityType: 'user', entityName: 'bob' }],
          ops: [{ key: 'producer_byte_rate', value: 60_000, remove: false }],
        },
      ],
    })
    const sink = write({
      topic,
      bootstrap_servers: broker.sasl,
      username: 'bob',
      password: plainUsers.bob,
      batch_size: 100,
    })
    await pipeline(Readable.from(rows(1000, () => ({ text: 'x'.repeat(100) }))), sink)
    t.same(numbers(await read(topic)), numbers(rows(1000)))
  })

  await t.test('the broker is killed and comes back: every row arrives once, in order', async (t) => {
    const topic = await topics.make(2)
    const sink = write({ topic, key_column: 'k', batch_size: 20 })
    const retries: object[] = []
    sink.on('retry', (event) => retries.push(event))
    let n = 0
    for (; n < 500; n++) if (!sink.write({ n, k: `k${n % 6}` })) await once(sink, 'drain')
    await broker.kill()
    for (; n < 600; n++) sink.write({ n, k: `k${n % 6}` })
    const back = broker.start()
    await once(sink, 'retry')
    await back
    for (; n < 1000; n++) if (!sink.write({ n, k: `k${n % 6}` })) await once(sink, 'drain')
    await new Promise<void>((resolve, reject) => sink.on('error', reject).end(resolve))
    t.ok(retries.length > 0)
    const found = await read(topic, { key_column: 'key' })
    t.same(
      numbers(found).toSorted((a, b) => a - b),
      numbers(rows(1000)),
    )
    for (let key = 0; key < 6; key++) {
      const own = numbers(found.filter((row) => row['key'] === `k${key}`))
      t.same(
        own,
        own.toSorted((a, b) => a - b),
      )
    }
  })

  await t.test('destroyed while no broker answers', async (t) => {
    const sink = write({ topic: 'any', bootstrap_servers: '127.0.0.1:1', initial_backoff: 60 })
    sink.write({ n: 1 })
    await once(sink, 'retry')
    sink.destroy()
    const [error] = await once(sink, 'error')
    t.match(error, { code: 'ERR_ABORTED' })
    t.same(error.rows, [{ n: 1 }])
  })
})
