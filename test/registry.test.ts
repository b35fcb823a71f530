import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { createReadable, createWritable, OptionError, register, registered } from 'cyber-connectors'
import t from 'tap'
import { LineWritable } from './fixtures/line-sink.ts'

t.test('a connector of one file, which has registered itself, is made by its name', async (t) => {
  const taken: unknown[] = []
  let busy = 2
  const server = createServer({ allowHalfOpen: true }, async (socket) => {
    const lines = (await text(socket.iterator({ destroyOnReturn: false })))
      .split('\n')
      .map((line) => JSON.parse(line) as { n: number })
    if (busy-- > 0) return socket.end('BUSY')
    const bad = lines.findIndex(({ n }) => n === 13)
    taken.push(...(bad < 0 ? lines : lines.slice(0, bad)))
    return socket.end(bad < 0 ? 'OK' : `BAD ${bad} unlucky`)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo

  const refused: unknown[] = []
  const { Writable } = await import('node:stream')
  const sink = createWritable('lines', {
    host: '127.0.0.1',
    port,
    batch_size: 10,
    ...{
      initial_backoff: 0.001,
      dead_letter: new Writable({
        objectMode: true,
        write(letter, _encoding, callback) {
          refused.push(letter)
          callback()
        },
      }),
    },
  })
  t.ok(sink instanceof LineWritable)
  const rows = Array.from({ length: 25 }, (_, n) => ({ n }))
  await pipeline(Readable.from(rows), sink)
  t.same(
    (taken as { n: number }[]).toSorted((a, b) => a.n - b.n),
    rows.filter(({ n }) => n !== 13),
  )
  t.match(refused, [{ row: { n: 13 }, connector: 'lines', reason: { code: 'BAD', text: 'unlucky' } }])
  t.equal(sink.stats.retries, 2)
})

t.test('names', async (t) => {
  for (const name of ['splunk', 'rest', 'azure-monitor', 'ms-sentinel', 'kafka', 'lines'])
    t.ok(registered().has(name), name)
  const unknown = (name: string) => () => createWritable(name as 'splunk', { url: 'https://x', token: 'y' })
  t.throws(unknown('splnk'), { name: 'OptionError', code: 'ERR_OPTION', message: /did you mean "splunk"/ })
  t.throws(unknown('syslog'), { message: /there are "splunk"/ })
  t.throws(() => createReadable('rest' as 'azure-monitor', {} as never), {
    message: /no source of this name/,
  })
  t.throws(() => register('splunk', {}), { code: 'ERR_OPTION', message: /already/ })
  t.throws(() => createWritable('splunk', {} as never), OptionError)
})
