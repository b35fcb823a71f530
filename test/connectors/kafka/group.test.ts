import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { Writable } from 'node:stream'
import t from 'tap'
import { KafkaStreamReadable } from '../../../lib/connectors/kafka/index.ts'
import { type StreamingQuery, streamingQuery } from '../../../lib/streaming/streaming-query.ts'
import { KafkaTopics } from '../../fixtures/kafka-topics.ts'
import { kafkaMissing, startKafka } from '../../services/kafka.ts'

t.test('a consumer group', { skip: kafkaMissing }, async (t) => {
  const kafka = await startKafka()
  t.teardown(() => kafka.stop())
  const topics = new KafkaTopics(kafka)
  t.teardown(() => topics.close())

  const member = (subscribe: string, group_id: string, options: object = {}) =>
    new KafkaStreamReadable({
      bootstrap_servers: kafka.bootstrap,
      subscribe,
      group_id,
      startingOffsets: 'earliest',
      session_timeout_seconds: 3,
      poll_interval_seconds: 0.1,
      maxOffsetsPerTrigger: 50,
      ...options,
    })
  /** Delivers into a list of numbers, which may be held up. */
  const collect = (
    source: KafkaStreamReadable,
    before: () => Promise<void> | undefined = () => undefined,
  ) => {
    const seen: number[] = []
    const sink = () =>
      new Writable({
        objectMode: true,
        write: ({ n }, _encoding, callback) => {
          seen.push(n)
          callback()
        },
        final: (callback) => {
          Promise.resolve(before()).then(() => callback(), callback)
        },
      })
    const query = streamingQuery({ source, sink, initial_backoff: 0.05 }) as unknown as StreamingQuery
    t.teardown(() => query.stop().catch(() => {}))
    return { seen, query }
  }
  const committed = async (group: string, topic: string, partitions: number) => {
    const [found] = await topics.admin.listConsumerGroupOffsets({
      groups: [
        {
          groupId: group,
          topics: [{ name: topic, partitionIndexes: Array.from({ length: partitions }, (_, p) => p) }],
        },
      ],
    })
    return found!.topics[0]!.partitions.map(({ committedOffset }) => Number(committedOffset))
  }
  const until = async (query: StreamingQuery, done: () => boolean) => {
    while (!done()) await once(query, 'progress')
  }

  await t.test('commits to Kafka once the sink has settled, and goes on there', async (t) => {
    const topic = await topics.make(2)
    await topics.produceNumbers(topic, 120)
    const first = collect(member(topic, 'alone', { available_now: true }))
    await first.query.done
    const lags: object[] = []
    const listen = (notice: unknown) => lags.push(notice as object)
    subscribe('cyber-connectors:source-lag', listen)
    t.teardown(() => unsubscribe('cyber-connectors:source-lag', listen))
    t.equal(new Set(first.seen).size, 120)
    t.equal(first.seen.length, 120)
    t.equal(
      (await committed('alone', topic, 2)).reduce((sum, offset) => sum + offset),
      120,
    )
    await topics.produceNumbers(topic, 3, 120)
    const second = collect(member(topic, 'alone', { available_now: true }))
    await second.query.done
    t.same(second.seen.sort(), [120, 121, 122])
    const third = collect(member(topic, 'alone'))
    await once(third.query, 'idle')
    await topics.produceNumbers(topic, 1, 123)
    await until(third.query, () => third.seen.length === 1)
    while (!lags.some((lag) => 'messages' in lag && lag.messages === 1)) await once(third.query, 'idle')
    await third.query.stop()
    t.match(lags.at(-1), { connector: 'kafka', topic, partition: Number, messages: Number, seconds: Number })
  })

  await t.test('what the sink has not settled is not committed', async (t) => {
    const topic = await topics.make(1)
    await topics.produceNumbers(topic, 10)
    const failing = collect(member(topic, 'failing'), async () => Promise.reject(new Error('full')))
    await t.rejects(failing.query.done)
    t.same(await committed('failing', topic, 1), [0], 'where it started')
    const again = collect(member(topic, 'failing', { available_now: true }))
    await again.query.done
    t.equal(again.seen.length, 10)
  })

  await t.test('"latest" does not move on while nothing is read', async (t) => {
    const topic = await topics.make(1)
    await topics.produceNumbers(topic, 5)
    const source = member(topic, 'latest', { startingOffsets: 'latest' })
    const idle = once(source, 'rebalance')
    const first = collect(source)
    await idle
    await once(first.query, 'idle')
    await first.query.stop()
    await topics.produceNumbers(topic, 2, 5)
    const second = collect(member(topic, 'latest', { startingOffsets: 'latest', available_now: true }))
    await second.query.done
    t.same(second.seen, [5, 6])
  })

  await t.test('two share the partitions; one that leaves gives them back', async (t) => {
    const topic = await topics.make(4)
    const [one, two] = [member(topic, 'shared'), member(topic, 'shared')]
    const first = collect(one)
    t.match(await once(one, 'rebalance'), [{ group: 'shared', partitions: { [topic]: [0, 1, 2, 3] } }])
    const [both, second] = [once(one, 'rebalance'), collect(two)]
    const [{ partitions }] = await once(two, 'rebalance')
    t.equal(partitions[topic].length, 2)
    t.match(await both, [{ partitions: { [topic]: [Number, Number] } }])
    await topics.produce(
      topic,
      Array.from({ length: 400 }, (_, n) => ({ value: `{"n":${n}}`, partition: n % 4 })),
    )
    await Promise.all([
      until(first.query, () => first.seen.length === 200),
      until(second.query, () => second.seen.length === 200),
    ])
    t.equal(new Set([...first.seen, ...second.seen]).size, 400)
    const back = once(one, 'rebalance')
    await second.query.stop()
    t.match(await back, [{ partitions: { [topic]: [0, 1, 2, 3] } }])
    await topics.produceNumbers(topic, 20, 400)
    await until(first.query, () => first.seen.length === 220)
    await first.query.stop()
    t.same(
      (await committed('shared', topic, 4)).reduce((sum, offset) => sum + offset),
      420,
    )
  })

  await t.test('what is in flight of a partition that is taken away is not committed', async (t) => {
    const topic = await topics.make(2)
    await topics.produce(
      topic,
      Array.from({ length: 40 }, (_, n) => ({ value: `{"n":${n}}`, partition: n % 2 })),
    )
    let release = () => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    const one = member(topic, 'moved', { maxOffsetsPerTrigger: 20 })
    const first = collect(one, () => held)
    // All rows of a slice are with the sink, which does not settle them.
    while (first.seen.length < 20) await new Promise((resolve) => setImmediate(resolve))
    const two = member(topic, 'moved', { available_now: true })
    const second = collect(two)
    await second.query.done
    const [moved] = Object.values(
      (await once(one, 'rebalance').catch(() => [{ partitions: {} }]))[0]?.partitions ?? {},
    )
    t.ok(moved)
    release()
    await until(first.query, () => new Set([...first.seen, ...second.seen]).size === 40)
    await first.query.stop()
    t.same(
      (await committed('moved', topic, 2)).reduce((sum, offset) => sum + offset),
      40,
    )
    t.ok(first.seen.length + second.seen.length <= 80)
  })
})
