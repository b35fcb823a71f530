import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { gzipSync } from 'node:zlib'
import * as client from '@platformatic/kafka'
import t from 'tap'
import { KafkaReadable, KafkaStreamReadable, KafkaWritable } from '../../../lib/connectors/kafka/index.ts'
import { OffsetPlanner, PartitionNotes } from '../../../lib/connectors/kafka/planner.ts'
import { RecordBatches } from '../../../lib/connectors/kafka/records.ts'
import { KafkaTopics } from '../../fixtures/kafka-topics.ts'
import { kafkaMissing, startKafka } from '../../services/kafka.ts'

const fixture = (name: string) =>
  readFileSync(new URL(`../../../fixtures/event-hubs/${name}`, import.meta.url))

t.test('a batch that unpacks without end is an error, and does not fill the memory', (t) => {
  const packed = gzipSync(Buffer.alloc(300_000_000))
  const batch = Buffer.concat([Buffer.alloc(61), packed])
  batch.writeInt32BE(batch.length - 12, 8)
  batch.writeInt8(2, 16)
  batch.writeInt16BE(1, 21)
  batch.writeInt32BE(1, 57)
  batch.writeUInt32BE(client.crc32c(batch.subarray(21)), 17)
  const fetched = { errorCode: 0, throttle: 0, logStart: 0, aborted: [], records: batch }
  const batches = new RecordBatches(client, fetched).batches(0, 1, false)
  t.throws(() => [...batches], { code: 'ERR_RESULT', message: /has more than 256000000 bytes unpacked/ })
  t.end()
})

t.test('a topic that was made anew is shorter than what was committed: a loss, then its start', (t) => {
  const losses: object[] = []
  const ask = async () => ({ cluster: 'c', offsets: {} })
  const settings = { startingOffsets: 'latest', maxOffsetsPerTrigger: 100, maxBytesPerTrigger: 1e6 } as const
  const planner = new OffsetPlanner(ask, settings, new PartitionNotes(), (loss) => losses.push(loss))
  const at = (offset: number) => ({ cluster: 'c', offsets: { t: { 0: offset } } })
  t.match([...planner.slices(at(10), at(4))], [{ topic: 't', partition: 0, start: 0, end: 4 }])
  t.same(losses, [{ topic: 't', partition: 0, offset: 10, continuesAt: 0 }])
  t.same([...planner.slices(at(4), at(4))], [])
  t.equal(losses.length, 1)
  t.end()
})

t.test('Kafka as a source', { skip: kafkaMissing }, async (t) => {
  const kafka = await startKafka()
  t.teardown(() => kafka.stop())
  const topics = new KafkaTopics(kafka)
  t.teardown(() => topics.close())
  const bootstrap_servers = kafka.bootstrap
  const read = (subscribe: string, options: object = {}) =>
    new KafkaReadable({ bootstrap_servers, subscribe, ...options })
  const numbers = (rows: unknown[]) => (rows as { n: number }[]).map(({ n }) => n)

  await t.test(
    'all of several topics, in the order of each partition, whatever the compression',
    async (t) => {
      const [one, two] = [await topics.make(3), await topics.make(1)]
      let n = 0
      for (const compression of [undefined, 'gzip', 'snappy', 'lz4'] as const) {
        const messages = Array.from({ length: 300 }, () => ({
          value: JSON.stringify({ n: n++ }),
          key: `k${n % 7}`,
        }))
        await topics.produce(one, messages, compression && { compression })
      }
      await topics.produceNumbers(two, 5, 10_000)
      const settings = {
        maxOffsetsPerTrigger: 100,
        fetch_bytes: 2000,
        partition_column: 'p',
        topic_column: 't',
        offset_column: 'o',
      }
      const source = read(`${one}, ${two}`, settings)
      const windows: object[] = []
      source.on('window', (event) => windows.push(event))
      const rows = (await source.toArray()) as { n: number; p: number; t: string; o: number }[]
      t.equal(rows.length, 1205)
      t.equal(new Set(numbers(rows)).size, 1205)
      for (const p of [0, 1, 2]) {
        const own = rows.filter((row) => row.t === one && row.p === p)
        t.same(
          own.map(({ o }) => o),
          own.map((_, index) => index),
        )
        t.same(
          numbers(own),
          numbers(own).toSorted((a, b) => a - b),
        )
      }
      t.ok(windows.length > 10)
      t.match(source.stats, { rows: 1205, retries: 0 })
    },
  )

  await t.test('from offsets up to others', async (t) => {
    const topic = await topics.make(2)
    for (const partition of [0, 1])
      await topics.produce(
        topic,
        Array.from({ length: 10 }, (_, n) => ({ value: `{"n":${partition * 100 + n}}`, partition })),
      )
    const startingOffsets = { [topic]: { 0: 4, 1: -2 } }
    const endingOffsets = JSON.stringify({ [topic]: { 0: 6, 1: -1 } })
    const rows = await read(topic, { startingOffsets, endingOffsets }).toArray()
    t.same(
      numbers(rows).sort((a, b) => a - b),
      [4, 5, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109],
    )
    t.same(await read(topic, { startingOffsets: 'latest' }).toArray(), [])
  })

  await t.test('rows as they stand: numbers and order arrive to the byte', async (t) => {
    const [from, to] = [await topics.make(), await topics.make()]
    const text = '{"b":1.0,"a":18446744073709551616,"a":"é"}'
    await topics.produce(from, [{ value: text }, { value: '[1]' }])
    const options = { rows: 'json', mode: 'dropmalformed' }
    await pipeline(read(from, options), new KafkaWritable({ bootstrap_servers, topic: to }))
    t.strictSame(await read(to, { format: 'text' }).toArray(), [{ value: text }])
    t.throws(() => read(from, { rows: 'json', key_column: 'k', records: true, format: 'text' }), {
      message: /records: needs rows "objects".*key_column: needs rows "objects"/,
    })
  })

  await t.test('columns, and messages as text and bytes', async (t) => {
    const topic = await topics.make()
    await topics.produce(topic, [
      { value: '{"__proto__":{"a":1},"big":9007199254740993}', key: 'clé', headers: { trace: 'é', b: '2' } },
    ])
    const columns = { key_column: 'k', topic_column: 't', partition_column: 'p', offset_column: 'o', timestamp_column: 'ts', headers_column: 'h' } // biome-ignore format: a line
    const [row] = (await read(topic, columns).toArray()) as Record<string, unknown>[]
    t.match(row, { big: 9007199254740993n, k: 'clé', t: topic, p: 0, o: 0, ts: Date })
    t.same(row!['h'], [
      { key: 'trace', value: 'é' },
      { key: 'b', value: '2' },
    ])
    t.ok(Object.hasOwn(row!, '__proto__'), 'is data')
    t.same(await read(topic, { format: 'text' }).toArray(), [
      { value: '{"__proto__":{"a":1},"big":9007199254740993}' },
    ])
    const [bytes] = (await read(topic, { format: 'bytes', key_column: 'k' }).toArray()) as {
      value: Buffer
      k: Buffer
    }[]
    t.ok(Buffer.isBuffer(bytes!.value))
    t.equal(bytes!.k.toString(), 'clé')
  })

  await t.test("Azure Monitor's documents are a row a record", async (t) => {
    const topic = await topics.make(1, { name: 'insights-logs' })
    await topics.produce(topic, [
      { value: fixture('diagnostic-signin.json') },
      { value: fixture('export-security-event.json') },
      { value: '{"one":"row"}' },
    ])
    const rows = (await read(topic, { records: true, offset_column: 'o' }).toArray()) as Record<
      string,
      unknown
    >[]
    t.equal(rows.length, 5)
    t.match(rows[0], { category: 'SignInLogs', identity: 'Élodie Durand', o: 0 })
    t.match(rows[2], { Type: 'SecurityEvent', EventID: 4625, o: 1 })
    t.match(rows[3], { Type: 'SigninLogs', SequenceNumber: 9007199254740993n, o: 1 })
    t.same(rows[4], { one: 'row', o: 2 })
    t.equal((await read(topic).toArray()).length, 3, 'documents as they are, unless it is Event Hubs')
  })

  await t.test('what can not be read follows mode and dead_letter', async (t) => {
    const topic = await topics.make()
    const bad = ['{"a":', '[1]', Buffer.from([0x7b, 0xff, 0x7d]), undefined]
    await topics.produce(topic, [
      { value: '{"n":1}' },
      ...bad.map((value) => ({ value })),
      { value: '{"n":2}' },
    ])
    const error = await read(topic).toArray().catch((error) => error) // biome-ignore format: a line
    t.match(error, { code: 'ERR_RECORD', message: new RegExp(`${topic}, partition 0, offset 1: .*column 6`) })
    const dropping = read(topic, { mode: 'dropmalformed' })
    const events: object[] = []
    dropping.on('malformed', (event) => events.push(event))
    t.same(numbers(await dropping.toArray()), [1, 2])
    t.equal(dropping.malformed, 4)
    t.match(events[0], { topic, partition: 0, offset: 1, problem: String })
    const kept = (await read(topic, { mode: 'permissive', columnNameOfCorruptRecord: 'bad', offset_column: 'o' }).toArray()) as object[] // biome-ignore format: a line
    t.match(kept[1], { bad: '{"a":', o: 1 })
    t.equal(kept.length, 6)
    const letters: object[] = []
    const dead_letter = new Writable({ objectMode: true, write: (letter, _encoding, callback) => { letters.push(letter); callback() } }) // biome-ignore format: a line
    t.same(numbers(await read(topic, { dead_letter }).toArray()), [1, 2])
    t.match(letters, [{ row: '{"a":', connector: 'kafka', reason: { code: 'ERR_RECORD', text: /offset 1/ } }, {}, {}, { row: null }]) // biome-ignore format: a line
  })

  await t.test('of transactions, what was committed', async (t) => {
    const topic = await topics.make()
    const producer = new client.Producer({
      clientId: 'test',
      bootstrapBrokers: [bootstrap_servers],
      idempotent: true,
      transactionalId: 'tx',
    })
    for (const [n, ending] of [
      [1, 'commit'],
      [2, 'abort'],
      [3, 'abort'],
      [4, 'commit'],
    ] as const) {
      const transaction = await producer.beginTransaction()
      for (let message = 0; message < 3; message++)
        await transaction.send({ messages: [{ topic, value: Buffer.from(JSON.stringify({ n })) }] } as never)
      await transaction[ending]()
    }
    const open = await producer.beginTransaction()
    await open.send({ messages: [{ topic, value: Buffer.from('{"n":5}') }] } as never)
    t.same(numbers(await read(topic).toArray()), [1, 1, 1, 4, 4, 4])
    // One fetch a batch: markers and what they end come in answers of their own.
    t.same(
      numbers(await read(topic, { fetch_bytes: 1, maxOffsetsPerTrigger: 2 }).toArray()),
      [1, 1, 1, 4, 4, 4],
    )
    await open.commit()
    await producer.close()
    t.same(numbers(await read(topic).toArray()), [1, 1, 1, 4, 4, 4, 5])
  })

  await t.test('a topic that is not there', async (t) => {
    const error = await read('nowhere').toArray().catch((error) => error) // biome-ignore format: a line
    t.match(error, {
      code: 'ERR_QUERY',
      serviceCode: 'UNKNOWN_TOPIC_OR_PARTITION',
      message: /"nowhere" is not there/,
    })
  })

  await t.test('no broker answers', async (t) => {
    const source = read('any', { bootstrap_servers: '127.0.0.1:1', max_retries: 1, initial_backoff: 0.01 })
    const retries: object[] = []
    source.on('retry', (event) => retries.push(event))
    t.match(await source.toArray().catch((error) => error), {
      code: 'ERR_DELIVERY',
      message: /127.0.0.1:1.*ECONNREFUSED/,
    })
    t.ok(retries.length >= 1)
    t.match(await read('any', { bootstrap_servers: '127.0.0.1:1' }).healthy(), {
      healthy: false,
      text: /ECONNREFUSED/,
    })
  })

  await t.test('health names what is read', async (t) => {
    const topic = await topics.make(2)
    await topics.produceNumbers(topic, 2)
    const source = read(topic)
    t.same(await source.healthy(), { healthy: true, text: `2 partitions of ${topic}` })
    source.destroy()
  })

  await t.test('offsets that have expired', async (t) => {
    const topic = await topics.make()
    await topics.produceNumbers(topic, 20)
    await topics.admin.deleteRecords({
      topics: [{ name: topic, partitions: [{ partition: 0, offset: 8n }] }],
    })
    const startingOffsets = { [topic]: { 0: 2 } }
    const error = await read(topic, { startingOffsets }).toArray().catch((error) => error) // biome-ignore format: a line
    t.match(error, {
      code: 'ERR_RESULT',
      message: new RegExp(`${topic}, partition 0: offset 2 has expired.* 8.*failOnDataLoss`),
      loss: { topic, partition: 0, offset: 2, continuesAt: 8 },
    })
    const source = read(topic, { startingOffsets, failOnDataLoss: false, maxOffsetsPerTrigger: 3 })
    const losses: object[] = []
    source.on('data_loss', (event) => losses.push(event))
    t.same(
      numbers(await source.toArray()),
      Array.from({ length: 12 }, (_, index) => 8 + index),
    )
    t.same(losses[0], { topic, partition: 0, offset: 2, continuesAt: 8 })
  })

  await t.test('a stream goes on where it was committed', async (t) => {
    const topic = await topics.make(2)
    const checkpointLocation = t.testdir()
    const open = () =>
      new KafkaStreamReadable({ bootstrap_servers, subscribe: topic, startingOffsets: 'earliest', checkpointLocation, maxOffsetsPerTrigger: 10, available_now: true }) // biome-ignore format: a line
    await topics.produceNumbers(topic, 50)
    const first = open()
    t.equal((await first.toArray()).length, 50)
    await first.commit()
    await topics.produceNumbers(topic, 5, 50)
    const second = open()
    t.same(
      numbers(await second.toArray()).sort((a, b) => a - b),
      [50, 51, 52, 53, 54],
    )
    // Not committed, so they come again.
    const third = open()
    t.equal((await third.toArray()).length, 5)
    await third.commit()
    t.match(third.offset, { offsets: { [topic]: {} } })
    const other = new KafkaStreamReadable({ bootstrap_servers, subscribe: 'other', checkpointLocation })
    t.match(await other.toArray().catch((error) => error), {
      code: 'ERR_CHECKPOINT',
      message: /belongs to another query.*: to go on from there, give startingOffsets as \{".*":\{"\d":\d+/,
    })
  })

  await t.test('a stream reads new messages and new partitions', async (t) => {
    const topic = await topics.make(1)
    const stream = new KafkaStreamReadable({
      bootstrap_servers,
      subscribe: topic,
      poll_interval_seconds: 0.1,
    })
    const rows: number[] = []
    stream.on('data', ({ n }: { n?: unknown }) => {
      rows.push(n as number)
      stream.emit('row')
    })
    await once(stream, 'idle')
    await topics.produceNumbers(topic, 1, 7)
    await once(stream, 'row')
    t.same(rows, [7])
    stream.destroy()
  })
})
