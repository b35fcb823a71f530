// A program whose host name is wrong, or whose destination is away, hears of it at the first retry.
import { once } from 'node:events'
import { pipeline } from 'node:stream/promises'
import t, { type Test } from 'tap'
import { RestWritable } from '../../lib/connectors/rest/index.ts'
import { RetryBudget } from '../../lib/core/retry.ts'
import { RestEmulator } from '../../lib/emulators/index.ts'
import { SplunkReadable } from '../../lib/index.ts'
import { deliver } from '../fixtures/sink-trial.ts'

const quick = { initial_backoff: 0.001, max_backoff: 0.002, linger_ms: 1 }

/** The warnings of retries from now on. */
function warnings(t: Test): (Error & { code?: string })[] {
  const seen: (Error & { code?: string })[] = []
  const take = (warning: Error & { code?: string }) => {
    if (warning.code === 'CYBER_CONNECTORS_RETRY') seen.push(warning)
  }
  process.on('warning', take)
  t.teardown(() => process.off('warning', take))
  return seen
}

async function service(t: Test) {
  const rest = await new RestEmulator().start()
  t.teardown(() => rest.close())
  return rest
}

t.test('a sink warns once for a host, with the code and what it waits for', async (t) => {
  const rest = await service(t)
  const seen = warnings(t)
  for (let time = 0; time < 2; time++) {
    rest.fail({ status: 503, retryAfter: 0, times: 3 })
    t.equal(await deliver([{ id: 1 }], new RestWritable({ url: rest.url, ...quick })), undefined)
  }
  await new Promise(setImmediate)
  t.equal(seen.length, 1)
  const { host } = new URL(rest.url)
  t.match(
    seen[0]!.message,
    new RegExp(`^rest: a request to ${host} failed \\(.*503.*retried in \\d\\.\\d s.*up to 300 s`),
  )
})

t.test('an option turns it off; a refusal is no retry', async (t) => {
  const rest = await service(t)
  const seen = warnings(t)
  rest.fail({ status: 503, retryAfter: 0 })
  await deliver([{ id: 1 }], new RestWritable({ url: rest.url, ...quick, warn_on_retry: false }))
  rest.fail({ status: 404 })
  await deliver([{ id: 1 }], new RestWritable({ url: rest.url, ...quick }))
  await new Promise(setImmediate)
  t.same(seen, [])
})

t.test('a source warns too', async (t) => {
  const seen = warnings(t)
  const source = new SplunkReadable({
    splunkd_url: 'https://127.0.0.1:1',
    splunkd_token: 'secret-word',
    query: 'search index=main',
    ...{ timespan: 'PT1H', max_retries: 1, initial_backoff: 0.001, max_backoff: 0.002 },
  } as never)
  await t.rejects(
    pipeline(source, async (rows) => {
      for await (const _ of rows);
    }),
    { code: 'ERR_QUERY' },
  )
  if (seen.length === 0) await once(process, 'warning')
  t.match(seen, [{ message: /^splunk: a request to 127\.0\.0\.1:1 failed \(.*ECONNREFUSED/ }])
  t.notMatch(seen[0]!.message, 'secret-word')
})

t.test(
  'a host that never resolved ends the retries after 30 s; one that did has all of its time',
  async (t) => {
    let now = 0
    const ends = (unresolved: boolean) => {
      now = 0
      const budget = new RetryBudget(
        { max_retry_seconds: 300, initial_backoff: 1, max_backoff: 1 },
        () => now,
      )
      for (;;) {
        budget.begin()
        now += 1000
        if (budget.retryAfter(undefined, unresolved) === undefined) return [now, budget.endedText]
      }
    }
    t.same(ends(true), [32_000, 'the host name did not resolve for 30 s: check its spelling'])
    t.same(ends(false), [302_000, 'ended by max_retry_seconds: 300'])
  },
)

t.test('a wrong host name, for real', async (t) => {
  const seen = warnings(t)
  const url = 'https://no-such-host.invalid/hook'
  const error = await deliver([{ id: 1 }], new RestWritable({ url, ...quick, max_retries: 2 }))
  t.match(error, { code: 'ERR_DELIVERY', message: /ENOTFOUND|EAI_AGAIN/ })
  t.match(seen, [{ message: /^rest: a request to no-such-host\.invalid failed \(.*(ENOTFOUND|EAI_AGAIN)/ }])
})
