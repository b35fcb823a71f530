import t from 'tap'
import { startEmulators } from '../../lib/emulators/index.ts'

t.test(
  'reset() between tests: what came in, what was registered, faults and settings are as at the start',
  async (t) => {
    await using emulators = await startEmulators({
      hec: { tls: false, ack: true },
      splunkSearch: { tls: false, maxSearches: 3 },
      rest: { tls: false, status: 201 },
      logAnalytics: { tls: false, bounds: 'exclusive' },
      ingestion: { tls: false, entra: { tokenValid: () => true } },
    })
    const { hec, splunkSearch, rest, logAnalytics, ingestion, entra, databricks } = emulators
    const post = (url: string, body: string, headers: Record<string, string>) =>
      fetch(url, { method: 'POST', body, headers }).then(async (response) => ({
        status: response.status,
        text: await response.text(),
      }))
    const logToken = entra.issueToken('https://api.loganalytics.io').token
    const channel = '0aeeac95-ac74-4aa9-b30d-6c4c0ac581ba'
    const send = () =>
      post(hec.endpoint, '{"event":"x"}', {
        authorization: `Splunk ${hec.token}`,
        'x-splunk-request-channel': channel,
      })
    const query = (text: string) =>
      post(`${logAnalytics.url}/v1/workspaces/w/query`, JSON.stringify({ query: text }), {
        authorization: `Bearer ${logToken}`,
      })
    const search = (text: string) =>
      post(
        `${splunkSearch.url}/services/search/v2/jobs/export`,
        new URLSearchParams({ search: text, output_mode: 'json' }).toString(),
        {
          authorization: `Bearer ${splunkSearch.token}`,
          'content-type': 'application/x-www-form-urlencoded',
        },
      )
    const before = {
      url: hec.url,
      token: hec.token,
      ca: emulators.ca,
      entraToken: entra.issueToken('a').token,
    }

    const use = async () => {
      t.match((await send()).text, /"ackId":0/)
      await post(rest.url, '{"a":1}', { 'content-type': 'application/json' })
      await post(`${ingestion.url}/dataCollectionRules/d/streams/s?api-version=1`, '[{"a":1}]', {
        authorization: 'Bearer x',
      })
      logAnalytics.addTable('T', [{ name: 'A', type: 'long' }], [[1]]).answer('U', [{ A: 1 }])
      splunkSearch.answer('| x', [{ a: 1 }])
      for (const { status } of [
        await query('T'),
        await query('U'),
        await search('| x'),
        await search('search x'),
      ]) {
        t.equal(status, 200)
      }
    }
    await use()
    hec.queuesFull = true
    hec.failRow(0, 9).answerCode(9).loseBatches().withholdAcks().refuse = () => 6
    hec.fail({ status: 500 })
    rest.status = 500
    rest.answer = () => ({ status: 500 })
    ingestion.roleMissing = true
    ingestion.rejectRow(() => true)
    logAnalytics.bounds = 'inclusive'
    logAnalytics.maxRows = 0
    logAnalytics.failPartly().fail({ status: 500 })
    splunkSearch.maxSearches = 0
    splunkSearch.v2 = false
    splunkSearch.failSearch({ noLastRow: true }).fail({ status: 500 })
    entra.expiresIn = 1
    entra.fail({ status: 500 })
    databricks.expiresIn = 1
    emulators.reset()

    const all = [hec, splunkSearch, rest, logAnalytics, ingestion, entra, databricks]
    t.same(
      all.map(({ count, requests }) => count + requests.length),
      all.map(() => 0),
    )
    t.same(
      [
        hec.events,
        hec.received,
        hec.bytes,
        hec.pendingAcks,
        rest.rows,
        rest.received,
        ingestion.rows,
        ingestion.bytes,
      ],
      [[], 0, 0, 0, [], 0, [], 0],
    )
    t.same(
      [
        rest.status,
        logAnalytics.bounds,
        logAnalytics.maxRows,
        splunkSearch.maxSearches,
        splunkSearch.eventCount,
        entra.expiresIn,
        databricks.expiresIn,
      ],
      [201, 'exclusive', 500_000, 3, 0, 3599, undefined],
    )
    t.same([logAnalytics.queries, splunkSearch.searches, entra.tokensIssued], [[], [], 0])
    t.equal((await query('T')).status, 400, 'tables are gone')
    t.equal((await query('U')).status, 400, 'answers are gone')
    t.equal((await search('| x')).status, 400)
    t.same({ url: hec.url, token: hec.token, ca: emulators.ca, entraToken: before.entraToken }, before)
    t.ok(entra.tokenValid(before.entraToken), 'tokens stay good')
    emulators.reset()
    await use()
  },
)
