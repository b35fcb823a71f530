import { once } from 'node:events'
import { Writable } from 'node:stream'
import t from 'tap'
import { KafkaReadable, KafkaStreamReadable, KafkaWritable } from '../../../lib/connectors/kafka/index.ts'
import { streamingQuery } from '../../../lib/streaming/streaming-query.ts'
import { KafkaTopics } from '../../fixtures/kafka-topics.ts'
import { kafkaMissing, startKafka } from '../../services/kafka.ts'

t.test('two brokers, of which one dies', { skip: kafkaMissing }, async (t) => {
  const kafka = await startKafka({ brokers: 2 })
  t.teardown(() => kafka.stop())
  const topics = new KafkaTopics(kafka)
  t.teardown(() => topics.close())
  const topic = await topics.make(4, { replicas: 2 })
  // The broker that dies is the only one that is named: the other one is known from its answers.
  const bootstrap_servers = kafka.brokers[1]!.plaintext
  const backoff = { initial_backoff: 0.1, max_backoff: 1 }

  const sink = new KafkaWritable({ bootstrap_servers, topic, key_column: 'k', batch_size: 50, ...backoff })
  const source = new KafkaStreamReadable({
    bootstrap_servers,
    subscribe: topic,
    startingOffsets: 'earliest',
    group_id: 'survivors',
    session_timeout_seconds: 6,
    poll_interval_seconds: 0.1,
    maxOffsetsPerTrigger: 100,
    ...backoff,
  })
  const seen: number[] = []
  const collector = () =>
    new Writable({
      objectMode: true,
      write: ({ n }, _encoding, callback) => {
        seen.push(n)
        callback()
      },
    })
  const query = streamingQuery({ source, sink: collector })
  t.teardown(() => query.stop().catch(() => {}))

  const write = async (from: number, to: number) => {
    for (let n = from; n < to; n++) if (!sink.write({ n, k: `k${n % 16}` })) await once(sink, 'drain')
  }
  await write(0, 1000)
  await sink.flush()
  while (seen.length < 500) await once(query, 'progress')
  await kafka.brokers[1]!.kill()
  await write(1000, 2000)
  await new Promise<void>((resolve, reject) => sink.on('error', reject).end(resolve))
  while (new Set(seen).size < 2000) await once(query, 'progress')
  await query.stop()
  const rows = (await new KafkaReadable({
    bootstrap_servers: kafka.bootstrap,
    subscribe: topic,
    ...backoff,
  }).toArray()) as { n: number }[]
  t.equal(rows.length, 2000, 'each row is there once')
  t.equal(new Set(rows.map(({ n }) => n)).size, 2000)
  t.comment(`${seen.length - 2000} rows were delivered twice`)
  t.ok(seen.length - 2000 <= 4 * 100, 'at most the slices in flight')
})
