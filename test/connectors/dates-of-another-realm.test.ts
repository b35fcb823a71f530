import { once } from 'node:events'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import { SentinelWritable } from '../../lib/connectors/sentinel/index.ts'
import { sentinelTemplate } from '../../lib/connectors/sentinel/template.ts'
import { startEmulators } from '../../lib/emulators/start.ts'
import { instantOf, keyText } from '../../lib/streaming/interval-counts.ts'
import { AzureTrial } from '../fixtures/azure-trial.ts'
import { deliver } from '../fixtures/sink-trial.ts'
import { splunkSink, startHec } from '../fixtures/splunk-trial.ts'

const iso = '2024-05-01T00:00:00.123Z'

/** As a test runner or a plugin host gives it: `instanceof Date` is false. */
const foreign = (text: string): Date => runInNewContext('new Date(text)', { text })
const at = foreign(iso)

t.test('a Date of another realm is a Date', async (t) => {
  t.notOk((at as unknown) instanceof Date)

  await t.test('Splunk: as a column, as the time, and a wrong one is refused', async (t) => {
    const hec = await startHec(t)
    const sink = splunkSink(hec, { time_column: 'at' })
    t.equal(await deliver([{ at, seen: at }], sink), undefined)
    t.match(hec.events, [{ time: Date.parse(iso) / 1000, event: { seen: iso } }])
    const wrong = await deliver([{ at, seen: foreign('never') }], splunkSink(hec))
    t.match(wrong, { code: 'ERR_ROW', message: /seen is an invalid Date/ })
  })

  await t.test('Sentinel: a time that the service replaces is noticed', async (t) => {
    const [dcr_id, dcs] = ['dcr-00000000000000000000000000000001', 'Custom-T_CL']
    const emulators = await startEmulators({ ingestion: { rules: { [dcr_id]: [dcs] } } })
    t.teardown(() => emulators.close())
    const { token, expiresAt } = emulators.entra.issueToken('https://monitor.azure.com')
    const sink = new SentinelWritable({
      dce: emulators.ingestion.url,
      dcr_id,
      dcs,
      ca: emulators.ca,
      credential: { getToken: async () => ({ token, expiresOnTimestamp: expiresAt }) },
    })
    const replaced = once(sink, 'time_replaced')
    t.equal(await deliver([{ TimeGenerated: at }], sink), undefined)
    t.match(await replaced, [{ rows: 1, time: iso }])
    t.match(emulators.ingestion.rows, [{ TimeGenerated: iso }])
  })

  await t.test('the template: its column is a datetime', async (t) => {
    const { columns } = await sentinelTemplate([{ TimeGenerated: at }], { table: 'T_CL' })
    t.match(columns, [{ name: 'TimeGenerated', type: 'datetime' }])
  })

  await t.test('Azure Monitor: as a bound of the range, and as a cell of a table', async (t) => {
    const trial = await AzureTrial.start(t)
    trial.service.addTable('T', [{ name: 'TimeGenerated', type: 'datetime' }], [[at]])
    const range = { start_time: foreign('2024-05-01T00:00:00Z'), end_time: foreign('2024-05-02T00:00:00Z') }
    t.same(await trial.read({ ...range, datetime: 'date' }), [{ TimeGenerated: new Date(iso) }])
    await t.rejects(async () => trial.source({ ...range, end_time: foreign('never') }), {
      code: 'ERR_OPTION',
      message: /end_time/,
    })
  })

  await t.test('counts of intervals and keys', async (t) => {
    t.equal(instantOf(at), instantOf(iso))
    t.equal(instantOf(foreign('never')), undefined)
    t.equal(keyText(at), iso)
  })
})
