import t from 'tap'
import { assignPartitions } from '../../../lib/connectors/kafka/group-messages.ts'
import { KafkaReadable, KafkaStreamReadable, KafkaWritable } from '../../../lib/connectors/kafka/index.ts'

const problems = (make: () => unknown): readonly string[] => {
  try {
    make()
  } catch (error) {
    return (error as { problems: string[] }).problems
  }
  return []
}

t.test('where to connect, and how to sign in', async (t) => {
  const reading = (options: object) =>
    problems(() => new KafkaReadable({ subscribe: 't', ...options } as never).destroy())
  const servers = { bootstrap_servers: 'a:9092, b,[::1]:9093' }
  t.same(reading(servers), [])
  t.same(reading({ 'kafka.bootstrap.servers': 'a:9092' }), [])
  t.match(reading({}), ['bootstrap_servers: is required'])
  t.match(reading({ bootstrap_servers: 'https://a:9092' }), [
    'bootstrap_servers: expected addresses of brokers',
  ])
  t.match(reading({ ...servers, 'kafka.bootstrap.servers': 'a:1' }), [/given twice/])
  t.match(
    reading({ ...servers, 'kafka.security.protocol': 'a' }),
    [/kafka.security.protocol: .*/, /is not an option here/].slice(0, 1),
  )
  t.match(reading({ ...servers, username: 'u' }), ['username: goes with password'])
  t.match(reading({ ...servers, sasl_mechanism: 'scram-sha-256' }), [/needs username and password/])
  t.match(reading({ ...servers, sasl_mechanism: 'oauthbearer' }), [/needs a credential/])
  t.match(reading({ ...servers, tls: false, ca: '-----BEGIN CERTIFICATE-----' }), [
    'ca: has no use with tls false',
  ])
  t.match(reading({ ...servers, federated_token_file: 'token' }), [
    'the service principal is incomplete: it lacks tenant_id and client_id',
  ])
  t.match(reading({ ...servers, username: 'u', password: 'p', azure_default_credential: true }), [
    /exclude each other/,
  ])
  t.match(reading({ connection_string: 'Endpoint=sb://h/;SharedAccessKeyName=n' }), [
    'connection_string: lacks',
  ])
  t.match(
    problems(() => new KafkaReadable({ ...servers })),
    ['subscribe: is required'],
  )
})

t.test('offsets', async (t) => {
  const at = (startingOffsets: unknown) =>
    problems(() =>
      new KafkaReadable({ bootstrap_servers: 'a', subscribe: 't', startingOffsets } as never).destroy(),
    )
  for (const right of ['earliest', 'latest', '{"t":{"0":5,"1":-2}}', { t: { 0: 5 } }]) t.same(at(right), [])
  t.match(at('oldest'), [/startingOffsets: expected "earliest", "latest"/])
  t.match(at('{"t":'), [/is not JSON/])
  t.match(at({ t: { 0: -3 } }), [/expected an offset/])
  t.match(at({ t: { a: 1 } }), [/is not the number of a partition/])
})

t.test('a group needs no checkpoint, and has none', async (t) => {
  const stream = (options: object) =>
    problems(() =>
      new KafkaStreamReadable({ bootstrap_servers: 'a', subscribe: 't', ...options } as never).destroy(),
    )
  t.same(stream({ group_id: 'g' }), [])
  t.match(stream({ group_id: 'g', checkpointLocation: 'x' }), [
    'group_id and checkpointLocation exclude each other',
  ])
  t.match(stream({ session_timeout_seconds: 9 }), [/needs group_id/])
})

t.test('what a sink needs', async (t) => {
  const writing = (options: object) =>
    problems(() => new KafkaWritable({ bootstrap_servers: 'a', ...options } as never).destroy())
  t.same(writing({ topic: 't' }), [])
  t.match(writing({}), ['topic: is required'])
  t.match(writing({ topic: 't', topic_column: 'c' }), ['topic and topic_column exclude each other'])
  t.match(writing({ topic: 't', value_column: 'v' }), [/value_column: is for/])
})

t.test('partitions are shared evenly, and stay where they are', async (t) => {
  const counts = new Map([['t', 8]])
  const alone = assignPartitions(new Map([['a', { topics: ['t'], owned: [] }]]), counts)
  t.same(alone.get('a'), [{ topic: 't', partitions: [0, 1, 2, 3, 4, 5, 6, 7] }])
  const shared = assignPartitions(
    new Map([
      ['a', { topics: ['t'], owned: alone.get('a')! }],
      ['b', { topics: ['t'], owned: [] }],
      ['c', { topics: ['t'], owned: [] }],
    ]),
    counts,
  )
  const all = [...shared.values()].flatMap((own) => own.flatMap(({ partitions }) => partitions))
  t.same([...all].sort(), [0, 1, 2, 3, 4, 5, 6, 7])
  t.same([...shared.values()].map((own) => own[0]!.partitions.length).sort(), [2, 3, 3])
  t.same(shared.get('a')![0]!.partitions, [0, 1, 2])
  // Two that say they have the same: one of them is wrong.
  const doubled = assignPartitions(
    new Map([
      ['a', { topics: ['t'], owned: shared.get('a')! }],
      ['b', { topics: ['t'], owned: shared.get('a')! }],
    ]),
    counts,
  )
  t.same([...doubled.values()].flatMap((own) => own.flatMap(({ partitions }) => partitions)).length, 8)
})
