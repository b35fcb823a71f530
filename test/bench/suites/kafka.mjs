// Kafka as a source and as a sink, beside bare loops over the same client. Rows as JSON on both sides.
import { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { product } from '../product.mjs'
import { inBatches, sender, throughSink } from '../senders.mjs'

const client = () => import('@platformatic/kafka')

/** Sets up a reader: `read()` gives the number of rows of the topic. */
const reader = (make) => async (options) => {
  const read = await make(options)
  return {
    warmUp: options.warm ? read : undefined,
    async run() {
      const rows = await read()
      if (rows !== options.rows) throw new Error(`${rows} rows in place of ${options.rows}`)
      return { rows }
    },
  }
}

export const contestants = {
  'source: cyber-connectors': reader(async ({ url, topic }) => {
    const { KafkaReadable } = await product('connectors/kafka/index')
    return async () => {
      let rows = 0
      const count = new Writable({
        objectMode: true,
        write(_row, _encoding, callback) {
          rows++
          callback()
        },
      })
      await pipeline(new KafkaReadable({ bootstrap_servers: url, subscribe: topic }), count)
      return rows
    }
  }),

  'source: bare loop': reader(async ({ url, topic, rows: wanted }) => {
    const { Consumer, MessagesStreamModes } = await client()
    return async () => {
      const consumer = new Consumer({
        clientId: 'bench',
        groupId: `bench-${process.pid}-${Math.random()}`,
        bootstrapBrokers: [url],
        deserializers: { value: (bytes) => JSON.parse(bytes) },
      })
      const messages = await consumer.consume({
        topics: [topic],
        mode: MessagesStreamModes.EARLIEST,
        autocommit: false,
      })
      let rows = 0
      for await (const { value } of messages) if (value && ++rows === wanted) break
      await consumer.close(true)
      return rows
    }
  }),

  'sink: cyber-connectors': sender(async ({ url, topic, batch }) => {
    const { KafkaWritable } = await product('connectors/kafka/index')
    return throughSink(() => new KafkaWritable({ bootstrap_servers: url, topic, batch_size: batch }))
  }),

  'sink: bare loop': sender(async ({ url, topic, batch }) => {
    const { Producer } = await client()
    const producer = new Producer({ clientId: 'bench', bootstrapBrokers: [url], idempotent: true })
    return inBatches(batch, 1, (rows) =>
      producer.send({
        acks: -1,
        messages: rows.map((row) => ({ topic, value: Buffer.from(JSON.stringify(row)) })),
      }),
    )
  }),
}
