import { inspect } from 'node:util'
import t from 'tap'
import { createCertificateAuthority } from '../../../../lib/emulators/index.ts'
import { SplunkReadable } from '../../../../lib/index.ts'
import { addEvents, at, reach, startSplunk } from '../../../fixtures/splunk-events.ts'

const range = { start_time: at(0), end_time: at(60), index: 'main' }
const upTo = (count: number) => Array.from({ length: count }, (_, n) => n)
const events = upTo(30).map((n) => ({ time: n, n }))

function signedIn(splunk: Awaited<ReturnType<typeof startSplunk>>) {
  const { splunkd_token, ...rest } = reach(splunk)
  return { token: splunkd_token, byUser: { ...rest, username: splunk.username, password: splunk.password } }
}

t.test('by token, by session key, by user and password', async (t) => {
  const splunk = await startSplunk(t)
  addEvents(splunk, events)
  const { byUser } = signedIn(splunk)
  const ways = [
    reach(splunk),
    { ...reach(splunk), auth_scheme: 'Bearer' },
    byUser,
    { ...byUser, auth_scheme: 'Splunk' },
    { ...byUser, auth_scheme: 'basic' },
  ]
  for (const way of ways) {
    const source = new SplunkReadable({ ...way, ...range } as never)
    t.equal((await source.toArray()).length, 30)
    t.match(await new SplunkReadable({ ...way, ...range } as never).healthy(), {
      healthy: true,
      text: 'Splunk 10.0.0',
    })
  }
})

t.test(
  'one session key for requests that come at once; a new one when it has ended, also in mid-query',
  async (t) => {
    const splunk = await startSplunk(t, { jobPolls: 6 })
    addEvents(splunk, events)
    const { byUser } = signedIn(splunk)
    const logins = () => splunk.requests.filter(({ path }) => path.endsWith('/auth/login')).length
    const source = new SplunkReadable({ ...byUser, ...range, num_partitions: 6 })
    let windows = 0
    source.on('window', () => {
      if (++windows === 2) splunk.expireSessions()
    })
    t.equal((await source.toArray()).length, 30)
    t.equal(logins(), 2)
    t.equal(source.stats.retries, 0, 'signing in anew is no retry')
    const job = new SplunkReadable({
      ...byUser,
      start_time: at(0),
      end_time: at(60),
      query: 'search index=main | stats count',
    })
    let polls = 0
    splunk.on('response', () => {
      if (++polls % 3 === 0 && polls < 12) splunk.expireSessions()
    })
    t.match(await job.toArray(), [{ count: '30' }])
    t.equal(splunk.jobsCreated, 1, 'it is the same job all along')
  },
)

t.test('a refused token or password is an error at once, without secrets', async (t) => {
  const splunk = await startSplunk(t)
  const { byUser } = signedIn(splunk)
  const wrong = [
    { ...reach(splunk), splunkd_token: 'eyJhbGciOi.s3cret.token' },
    { ...byUser, password: 's3cret!' },
    { ...byUser, password: 's3cret!', auth_scheme: 'Basic' as const },
  ]
  for (const way of wrong) {
    const source = new SplunkReadable({ ...way, ...range })
    const error = await source.toArray().then(
      () => t.fail('it was let in'),
      (error: unknown) => error,
    )
    t.match(error, { code: 'ERR_AUTH', status: 401 })
    t.notMatch(inspect(error, { depth: 9, showHidden: true }), /s3cret|czNjcmV0/)
    t.notMatch(inspect(source, { depth: 9, showHidden: false }), /s3cret/)
    t.equal(source.stats.retries, 0)
    t.match(await new SplunkReadable({ ...way, ...range }).healthy(), { healthy: false, status: 401 })
  }
})

t.test('the token of the environment', async (t) => {
  const splunk = await startSplunk(t)
  addEvents(splunk, events)
  const { splunkd_token, ...rest } = reach(splunk)
  process.env['SPLUNK_AUTH_TOKEN'] = splunkd_token
  t.teardown(() => delete process.env['SPLUNK_AUTH_TOKEN'])
  t.equal((await new SplunkReadable({ ...rest, ...range }).toArray()).length, 30)
  process.env['SPLUNK_AUTH_TOKEN'] = ''
  t.throws(() => new SplunkReadable({ ...rest, ...range }), { message: /SPLUNK_AUTH_TOKEN/ })
})

t.test('over TLS, with a CA of its own', async (t) => {
  const authority = await createCertificateAuthority()
  const splunk = await startSplunk(t, { tls: await authority.issue() })
  addEvents(splunk, events)
  const read = { ...reach(splunk), ...range, max_retries: 0 }
  t.equal((await new SplunkReadable({ ...read, ca: authority.ca }).toArray()).length, 30)
  t.equal((await new SplunkReadable({ ...read, verify_ssl: false }).toArray()).length, 30)
  await t.rejects(new SplunkReadable({ ...read, max_retries: 5 }).toArray(), {
    code: 'ERR_QUERY',
    message: /certificate/,
  })
})
