import t from 'tap'
import { columnsOf, LogRows } from '../../lib/pino/log-rows.ts'

const text = (connector: string, line: string) => new LogRows(columnsOf(connector)).row(line).text

t.test('columns of each destination; the other members keep order and form to the byte', (t) => {
  const line =
    '{"level":30,"time":1764572400000,"pid":1,"n":2230.0,"long":1152921504606846977,"msg":"h\\u00e9"}'
  const rest = '"pid":1,"n":2230.0,"long":1152921504606846977'
  const at = '2025-12-01T07:00:00.000Z'
  t.equal(text('splunk', line), `{"severity":"info","time":"${at}",${rest},"message":"h\\u00e9"}`)
  t.equal(text('ms-sentinel', line), `{"Level":"info","TimeGenerated":"${at}",${rest},"Message":"h\\u00e9"}`)
  t.equal(text('rest', line), `{"level":"info","time":"${at}",${rest},"message":"h\\u00e9"}`)
  t.end()
})

t.test('times in every form of pino', (t) => {
  const at = '2025-12-01T07:00:00.000Z'
  for (const time of ['1764572400', '1764572400000', '1764572400000000', '1764572400000000000', `"${at}"`])
    t.equal(text('rest', `{"time":${time}}`), `{"time":"${at}"}`, time)
  t.match(text('rest', '{"a":1}'), /^\{"time":"\d{4}-.*Z","a":1\}$/, 'none')
  t.match(text('rest', '{"time":"noon"}'), /^\{"time":"\d{4}-.*Z","time_":"noon"\}$/, 'another one')
  t.end()
})

t.test('a line that is no JSON object is a message', (t) => {
  t.match(JSON.parse(text('splunk', 'plain [text')), {
    message: 'plain [text',
    severity: 'info',
    time: String,
  })
  t.match(JSON.parse(text('splunk', '[1]')), { message: '[1]' })
  t.end()
})
