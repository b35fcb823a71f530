// Answers of the query API, made up: sign-ins, ten columns, about 235 bytes a row, within the day of `answerSpan`.
import { numbers } from './rows.mjs'

const columns = [
  ['TimeGenerated', 'datetime'],
  ['CorrelationId', 'guid'],
  ['UserPrincipalName', 'string'],
  ['IPAddress', 'string'],
  ['AppDisplayName', 'string'],
  ['ResultType', 'int'],
  ['DurationMs', 'long'],
  ['RiskScore', 'real'],
  ['IsInteractive', 'bool'],
  ['LocationDetails', 'dynamic'],
].map(([name, type]) => ({ name, type }))

const apps = ['Azure Portal', 'Office 365 Exchange Online', 'Microsoft Teams', 'GitHub', 'Contoso VPN']
const cities = ['Berlin', 'Seattle', 'São Paulo', 'Lagos', '東京']

export const answerSpan = { start: '2026-03-01T00:00:00Z', end: '2026-03-02T00:00:00Z' }

const stockSize = 20_000
let stock

/** Rows without their time, made once. */
function tails() {
  if (stock) return stock
  const random = numbers(11)
  const below = (limit) => Math.floor(random() * limit)
  const hex = (digits) =>
    below(16 ** digits)
      .toString(16)
      .padStart(digits, '0')
  stock = Array.from({ length: stockSize }, () => {
    const cells = [
      `${hex(8)}-${hex(4)}-4${hex(3)}-a${hex(3)}-${hex(8)}${hex(4)}`,
      `user${below(5000)}@contoso.example`,
      `10.${below(256)}.${below(256)}.${below(256)}`,
      apps[below(apps.length)],
      random() < 0.9 ? 0 : 50_126,
      below(100_000),
      Math.round(random() * 1e4) / 1e4,
      random() < 0.5,
      JSON.stringify({
        city: cities[below(cities.length)],
        countryOrRegion: 'DE',
        geo: { lat: below(90), lon: below(180) },
      }),
    ]
    return JSON.stringify(cells).slice(1)
  })
  return stock
}

/**
 * Rows whose times are spread over a span, a second from its ends.
 * @returns pieces of the text of an answer, each of many rows
 */
export function* queryAnswer(rows, span = answerSpan) {
  const tail = tails()
  const start = Date.parse(span.start) + 1000
  const length = Date.parse(span.end) - 1000 - start
  yield `{"tables":[{"name":"PrimaryResult","columns":${JSON.stringify(columns)},"rows":[`
  let piece = []
  for (let index = 0; index < rows; index++) {
    const time = new Date(start + Math.floor((index * length) / rows)).toISOString()
    const ticks = String((index * 7919) % 10_000).padStart(4, '0')
    piece.push(`["${time.slice(0, -1)}${ticks}Z",${tail[index % stockSize]}`)
    if (piece.length === 500 || index === rows - 1) {
      yield `${piece.join(',')}${index === rows - 1 ? '' : ','}`
      piece = []
    }
  }
  yield ']}]}'
}
