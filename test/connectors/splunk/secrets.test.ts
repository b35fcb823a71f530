import { Writable } from 'node:stream'
import t, { type Test } from 'tap'
import { type SplunkOptions, SplunkWritable } from '../../../lib/connectors/splunk/index.ts'
import { HecEmulator } from '../../../lib/emulators/index.ts'
import { LocalProxy } from '../../fixtures/proxy.ts'
import { deliver, everythingOf, LetterBox, onChannels, watch } from '../../fixtures/sink-trial.ts'
import { receivedIds, rowsOf, splunkSink, startHec } from '../../fixtures/splunk-trial.ts'

const token = 'tok3n-9f8e7d6c/"x"+very=secret'
const password = 'pr0xy-p@ss/w"rd'
const inUrl = encodeURIComponent(password)

/** Forms in which the secrets could come to light. */
const forms = [token, password].flatMap((secret) => [
  secret,
  encodeURIComponent(secret),
  JSON.stringify(secret).slice(1, -1),
  Buffer.from(secret).toString('base64').replace(/=+$/, ''),
])
const header = Buffer.from(`ann:${password}`).toString('base64')

function check(t: Test, name: string, ...values: unknown[]): void {
  const text = everythingOf(...values)
  for (const secret of [...forms, header])
    t.notOk(text.includes(secret), `${name}: no ${secret.slice(0, 5)}…`)
  t.ok(text.length > 20, 'and there is something to look at')
}

t.test(
  'no error, event, count, letter or view of the sink shows the token or the password of the proxy',
  async (t) => {
    const proxy = await new LocalProxy().start()
    t.teardown(() => proxy.close())
    const proxyUrl = `http://ann:${inUrl}@127.0.0.1:${proxy.port}`
    const gone = await new HecEmulator().start()
    const nowhere = gone.url
    await gone.close()
    const echo = (status: number, code?: number, number?: number) => ({
      status,
      body: {
        text: `you sent Authorization: Splunk ${token} `,
        code,
        'invalid-event-number': number,
      },
      times: 2,
    })
    const page = {
      status: 502,
      body: `<html><body>${token} ${encodeURIComponent(token)}</body></html>`,
      times: 2,
    }
    const controller = new AbortController()
    type Case = [string, (hec: HecEmulator) => void, Partial<SplunkOptions>]
    const cases: Case[] = [
    ['all well', () => {}, {}],
    ['through the proxy', () => {}, { proxy: proxyUrl }],
    ['a token refused', (hec) => (hec.token = 'another'), {}],
    ['a token echoed', (hec) => hec.fail(echo(403, 4)), {}],
    ['echoed by a gateway', (hec) => hec.fail(page), { max_retries: 1 }],
    ['echoed with a retry', (hec) => hec.fail(echo(503, 9)), {}],
    ['echoed for a row', (hec) => hec.fail(echo(400, 6, 1)), { dead_letter: new LetterBox() }],
    ['echoed for a row, with no dead letter', (hec) => hec.fail(echo(400, 6, 1)), {}],
    ['a password echoed through the proxy', (hec) => hec.fail({ status: 502, body: `${password} ${inUrl} ${proxyUrl}`, times: 3 }), { proxy: proxyUrl, max_retries: 1 }],
    ['echoed in a redirect', (hec) => hec.fail({ status: 302, body: token, headers: { location: `/x?${encodeURIComponent(token)}` } }), {}],
    ['nobody listens', () => {}, { url: nowhere, max_retries: 1 }],
    ['no such host', () => {}, { url: 'https://does-not-exist.invalid', max_retries: 0 }],
    ['no such proxy', () => {}, { proxy: `http://ann:${inUrl}@127.0.0.1:${new URL(nowhere).port}`, max_retries: 1 }],
    ['a time-out', (hec) => hec.fail({ stall: 'before', times: 9 }), { request_timeout: 0.05, max_retries: 1 }],
    ['a reset', (hec) => hec.fail({ reset: 'within', times: 9 }), { max_retries: 1 }],
    ['no HTTP at all', (hec) => hec.fail({ status: 200, body: `HTTP ${token}` }), {}],
    ['acknowledgement', () => {}, { ack: true }],
    ['acknowledgement refused', (hec) => hec.fail({ match: '/ack', ...echo(400, 14) }), { ack: true }],
    ['a dead letter that fails', (hec) => hec.failRow(0, 6), { dead_letter: new Writable({ objectMode: true, write: (_l, _e, callback) => callback(new Error('full')) }) }],
    ['a signal', (hec) => hec.on('request', ({ path }) => { if (path.endsWith('/event')) controller.abort() }), { signal: controller.signal }],
  ] // biome-ignore format: a list
    for (const [name, prepare, options] of cases) {
      await t.test(name, async (t) => {
        const hec = await startHec(t, { token, ack: options.ack === true && !name.includes('refused') })
        prepare(hec)
        const sink = splunkSink(hec, { token, batch_size: 3, ...options })
        const watched = watch(sink)
        check(t, 'new', sink)
        sink.once('batch', () => check(t, 'at work', sink))
        sink.once('retry', () => check(t, 'waiting', sink))
        let error: unknown
        const heard = await onChannels(async () => {
          const health = await sink.healthy()
          error = await deliver(rowsOf(4), sink)
          check(t, 'health', { health, padding: 'so that it is long enough' })
        })
        check(t, 'all', {
          error,
          watched,
          heard,
          stats: sink.stats,
          letters: options.dead_letter,
          padding: 'enough',
        })
        check(t, 'ended', sink)
      })
    }
  },
)

t.test('wrong options', async (t) => {
  const given: Record<string, unknown>[] = [
    { token, url: 'no url' },
    { token: [token] },
    { token: `${token}\n${token}`, url: 'https://splunk' },
    { token, url: `ftp://ann:${inUrl}@splunk` },
    { url: 'https://splunk', token, proxy: `ann:${inUrl}@proxy` },
    { url: 'https://splunk', token, proxy: { password } },
    { url: 'https://splunk', token, tokn: token },
    { url: 'https://splunk', token, verify_ssl: 'perhaps' },
  ]
  for (const options of given) {
    try {
      new SplunkWritable(options as unknown as SplunkOptions)
      t.fail('it should be refused')
    } catch (error) {
      check(t, Object.keys(options).join(), error)
    }
  }
})

t.test('a token that is part of what HEC answers takes nothing from its meaning', async (t) => {
  for (const token of ['0', 'e', 'code', 'text', 'Success', 'invalid-event-number', '{', '6']) {
    const hec = await startHec(t, { token })
    hec.failRow(1, 6)
    const box = new LetterBox()
    const sink = splunkSink(hec, { token, batch_size: 3, dead_letter: box })
    t.equal(await deliver(rowsOf(3), sink), undefined, token)
    t.same(receivedIds(hec), [0, 2])
    t.match(box.letters, [{ row: { id: 1 }, reason: { status: 400, code: 6 } }])
    t.notMatch(box.letters[0]?.reason.text, token)
  }
})
