import t from 'tap'
import { restVerdict } from '../../lib/connectors/rest/protocol.ts'
import { ingestionVerdict } from '../../lib/connectors/sentinel/protocol.ts'
import { hecVerdict, readReply } from '../../lib/connectors/splunk/protocol.ts'
import type { SinkVerdict } from '../../lib/core/verdict.ts'
import type { HttpResponse } from '../../lib/http/response.ts'

const page = '<html><head><title>no</title></head><body>A page</body></html>'
const bodies = {
  nothing: '',
  'a page': page,
  'a HEC success': '{"text":"Success","code":0}',
  'HEC is busy': '{"text":"Server is busy","code":9}',
  'a HEC token refused': '{"text":"Invalid token","code":4}',
  'a HEC row refused': '{"text":"Invalid data format","code":6,"invalid-event-number":1}',
} as const
type BodyName = keyof typeof bodies

const redact = (text: string) => text
const context = { dce: 'https://dce.example', dcr_id: 'dcr-0', dcs: 'Custom-T', audience: 'a', redact }

/** What each connector makes of an answer to a request with three rows. */
const connectors: Record<string, (response: HttpResponse) => SinkVerdict> = {
  splunk: (response) => hecVerdict(response, readReply(response, redact), { rows: 3, size: 100 }),
  sentinel: (response) => ingestionVerdict(response, context),
  rest: (response) => restVerdict(response, 'https://rest.example/hook', redact),
}

/** RFC 9110: an unknown 5xx counts as 500. Final are those that say what the server never does. */
const isTransient = (status: number) =>
  [408, 425, 429].includes(status) || (status >= 500 && status !== 501 && status !== 505)
const isSuccess = (status: number) => status < 300

function expected(connector: string, status: number, body: BodyName): SinkVerdict['kind'] {
  if (connector === 'splunk') {
    // HEC's own code says more than the status.
    if (status === 413) return 'split'
    if (body === 'a HEC row refused') return 'partial'
    if (body === 'a HEC token refused') return 'fatal'
    if (body === 'HEC is busy') return 'retry'
    if (isSuccess(status)) return body === 'a page' ? 'fatal' : 'accepted'
    if ([401, 403].includes(status) && body !== 'a HEC success') return 'refused'
    return isTransient(status) ? 'retry' : 'fatal'
  }
  if (isTransient(status)) return 'retry'
  if (status === 413) return 'split'
  if (connector === 'sentinel') {
    if (status === 204) return 'accepted'
    if (status === 401) return 'again'
    if (status === 400 && body === 'a page') return 'fatal'
    return [400, 422].includes(status) ? 'refused' : 'fatal'
  }
  if (isSuccess(status)) return 'accepted'
  const endpoint = [404, 405, 406, 407, 410, 411, 415, 421, 426]
  return status >= 400 && status < 500 && !endpoint.includes(status) ? 'refused' : 'fatal'
}

t.test('every status from 200 to 599, with and without a body of HEC, for each sink', async (t) => {
  for (const [connector, verdict] of Object.entries(connectors)) {
    for (const [name, text] of Object.entries(bodies) as [BodyName, string][]) {
      const wrong: string[] = []
      for (let status = 200; status < 600; status++) {
        const { kind } = verdict({ status, headers: {}, text })
        const right = expected(connector, status, name)
        if (kind !== right) wrong.push(`${status}: ${kind}, not ${right}`)
      }
      t.same(wrong, [], `${connector}, ${name}`)
    }
  }
})
