import t from 'tap'
import { statusFailure } from '../../lib/connectors/azure-monitor/query-failure.ts'
import { SplunkdClient } from '../../lib/connectors/splunk/search/splunkd-client.ts'
import { startSplunk } from '../fixtures/splunk-events.ts'

/** RFC 9110: an unknown 5xx counts as 500. Final are those that say what the server never does. */
const isTransient = (status: number) =>
  [408, 425, 429].includes(status) || (status >= 500 && status !== 501 && status !== 505)

const page = '<html><head><title>no</title></head><body>A page</body></html>'

t.test('every status from 201 to 599, with and without a body, for a KQL query', async (t) => {
  const bodies = {
    '': undefined,
    [page]: undefined,
    '{"error":{"code":"InsufficientAccessError","message":"No."}}': undefined,
    '{"error":{"code":"BadArgumentError","innererror":{"code":"QueryExecutionResultSizeLimitExceeded"}}}':
      'split',
    '{"error":{"code":"GatewayTimeout","message":"The query timed out."}}': undefined,
    '{"text":"Server is busy","code":9}': undefined,
  }
  for (const [text, marked] of Object.entries(bodies)) {
    const wrong: string[] = []
    for (let status = 201; status < 600; status++) {
      const { kind, error } = statusFailure(status, text, undefined, (said) => said, true)
      const right = marked ?? (status === 413 ? 'split' : status === 401 ? 'again' : status === 504 && /timed out/.test(text) ? 'split' : isTransient(status) ? 'retry' : 'fatal') // biome-ignore format: a line
      if (kind !== right) wrong.push(`${status}: ${kind}, not ${right}`)
      if (error.status !== status) wrong.push(`${status} is told as ${error.status}`)
    }
    t.same(wrong, [], text)
  }
  const slow = '{"error":{"code":"GatewayTimeout","message":"The query timed out."}}'
  const { kind } = statusFailure(504, slow, undefined, (said) => said, false)
  t.equal(kind, 'retry', 'a query that took too long is asked again if halves can not be asked for')
})

t.test('every status from 201 to 599, with and without a body, for splunkd', async (t) => {
  const splunk = await startSplunk(t)
  const busy = 'The maximum number of concurrent historical searches on this instance has been reached.'
  const bodies = [
    [undefined, undefined],
    [page, undefined],
    [{ messages: [{ type: 'FATAL', text: 'Something is wrong.' }] }, undefined],
    [{ messages: [{ type: 'WARN', text: busy }] }, 'retry'],
  ] as const
  const values = { splunkd_url: splunk.url, splunkd_token: splunk.token, username: undefined, password: undefined, auth_scheme: 'Bearer', verify_ssl: true, compression: 'gzip', read_timeout: 10, connect_timeout: 10, max_connection_seconds: 300 } as const // biome-ignore format: a line
  const { signal } = new AbortController()
  for (const [body, marked] of bodies) {
    const wrong: string[] = []
    const client = new SplunkdClient(values, { request() {}, answered() {} })
    for (let status = 202; status < 600; status++) {
      splunk.fail({ status, ...(body === undefined ? {} : { body }) })
      const { kind } = await client.ask({ method: 'GET', path: 'server/info', signal })
      const right = (status === 304 ? undefined : marked) ?? (status < 300 || isTransient(status) ? 'retry' : 'fatal') // biome-ignore format: a line
      if (kind !== right) wrong.push(`${status}: ${kind}, not ${right}`)
    }
    t.same(wrong, [], JSON.stringify(body))
    client.close()
  }
})
