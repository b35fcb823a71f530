// Kafka against a real broker, beside bare loops over the same client.
import '../../.dev/load-typescript.mjs'
import { alternate } from './harness.mjs'
import { goal, megabytes, ratio, round, table } from './report.mjs'
import { zeekRows } from './rows.mjs'

const perCpu = ({ rows, cpu }) => rows / cpu

const head = `### Kafka

A broker on this machine, without TLS; rows of about 470 bytes as JSON, in 4 partitions. The bare loops use the same client, \`JSON.parse\` and \`JSON.stringify\`, without offsets, retries or bounds on memory.`

export async function kafka({ quick, rounds }) {
  const { kafkaMissing, startKafka } = await import('../services/kafka.ts')
  if (kafkaMissing) return `${head}\n\nSkipped: ${kafkaMissing}.`
  const { Admin, Producer, ListOffsetTimestamps } = await import('@platformatic/kafka')
  const rows = quick ? 50_000 : 200_000
  const broker = await startKafka()
  const url = broker.bootstrap
  const admin = new Admin({ clientId: 'bench', bootstrapBrokers: [url] })
  const partitions = 4
  try {
    await admin.createTopics({ topics: ['in', 'out'], partitions, replicas: 1 })
    const producer = new Producer({ clientId: 'bench', bootstrapBrokers: [url], idempotent: true })
    const made = zeekRows(rows).map((row) => Buffer.from(JSON.stringify(row)))
    for (let at = 0; at < made.length; at += 500) {
      const messages = made
        .slice(at, at + 500)
        .map((value, n) => ({ topic: 'in', value, partition: n % partitions }))
      await producer.send({ acks: -1, messages })
    }
    await producer.close()
    let seen = 0
    const countOut = async () => {
      const asked = Array.from({ length: partitions }, (_, partitionIndex) => ({
        partitionIndex,
        timestamp: ListOffsetTimestamps.LATEST,
      }))
      const [topic] = await admin.listOffsets({ topics: [{ name: 'out', partitions: asked }] })
      return topic.partitions.reduce((sum, { offset }) => sum + Number(offset), 0)
    }
    const of = async (side, options) => {
      const contestants = {}
      for (const name of ['cyber-connectors', 'bare loop'])
        contestants[name] = {
          suite: 'kafka',
          contestant: `${side}: ${name}`,
          options: { url, rows, ...options },
        }
      return await alternate(contestants, {
        rounds,
        async check(label, { rows }) {
          if (side === 'source') return
          const count = await countOut()
          if (count - seen !== rows + options.warmUp)
            throw new Error(
              `${label}: ${count - seen} rows in the topic in place of ${rows + options.warmUp}`,
            )
          seen = count
        },
      })
    }
    const source = { cold: { topic: 'in' }, warm: { topic: 'in', warm: true } }
    const sink = {
      cold: { topic: 'out', batch: 500, warmUp: 0 },
      warm: { topic: 'out', batch: 500, warmUp: rows },
    }
    const sections = []
    const goals = []
    for (const [side, settings] of Object.entries({ source, sink })) {
      const lines = []
      for (const [state, options] of Object.entries(settings)) {
        const result = await of(side, options)
        const times = result.ratio('cyber-connectors', 'bare loop', perCpu)
        for (const label of result.labels)
          lines.push([
            `${label}, ${state}`,
            round(result.of(label, ({ rows, seconds }) => rows / seconds)),
            round(result.of(label, perCpu)),
            megabytes(result.of(label, 'peak')),
            label === 'bare loop' ? '' : ratio(times),
          ])
        goals.push(goal(`rows per CPU second to the bare loop, ${side}, ${state}`, times, 0.8))
      }
      const names = ['', 'rows/s', 'rows per CPU second', 'peak memory', 'ours to it, per CPU second']
      sections.push(
        `As a ${side}${side === 'sink' ? ', 500 rows a batch, acknowledged by all replicas' : ', into a Writable that counts'}:\n\n${table(names, lines)}`,
      )
    }
    return `${head} Cold: ${rows.toLocaleString('en-US')} rows, including what the process loads. Warm: as many again in the same process.

${sections.join('\n\n')}

${goals.join('\n')}`
  } finally {
    await admin.close()
    await broker.stop()
  }
}
