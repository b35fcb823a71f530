import { type Emulators, type Fault, type SearchFault, searchFaults } from '../emulators/index.ts'

/** Names of the emulators on the command line. */
export const services = {
  entra: 'entra',
  'log-analytics': 'logAnalytics',
  ingestion: 'ingestion',
  hec: 'hec',
  'splunk-search': 'splunkSearch',
  rest: 'rest',
  databricks: 'databricks',
} as const satisfies Record<string, keyof Emulators>

export type ServiceName = keyof typeof services

export const faultHelp = `Faults, as in --fault "hec status=503 retry_after=2 times=3": the service, then settings:
  status=<n>            answers with this status instead
  retry_after=<n>       a Retry-After header, in seconds or as an HTTP date
  body=<text>           that answer's body
  header.<Name>=<text>  a header of the answer
  reset=before|within|after   cuts the connection: before the body is read, within the answer, or after the request
                        was accepted, without an answer
  delay=<ms>            waits before the answer
  stall=before|within   stops sending, before or within the answer
  truncate=true         ends the answer properly with half of its body missing
  slow_read=<bytes/s>   reads the request so slowly
  match=<text>          only requests with this in their path
  times=<n>|all         number of requests it affects (default 1)
  after=<n>             number of requests that succeed before it
HEC's own: code=<n> answers that HEC code, with row=<n> (from 0) at that event of the body, after accepting the events before it.
Log Analytics' own: partial=true cuts results (rows=<n> are left) with the error of a query that ran out of memory.
splunk-search's own: search=quota|disk-quota|time-limit|peer-failed|fatal says and does that with status 200 (rows=<n> come before).
Values with spaces go in quotes: body="out of order".`

/** A fault given on the command line. Call it to arm the fault in its service. */
export type PlannedFault = (emulators: Emulators) => void

/** @throws Error if the text is no fault */
export function parseFault(text: string): PlannedFault {
  const [name = '', ...words] = text.match(/(?:[^\s"]|"[^"]*")+/g) ?? []
  if (!Object.hasOwn(services, name)) {
    throw new Error(`there is no service "${name}"; there are ${Object.keys(services).join(', ')}`)
  }
  const service = name as ServiceName
  const settings = new Map<string, string>()
  for (const word of words) {
    const at = word.indexOf('=')
    if (at <= 0) throw new Error(`expected <setting>=<value>, got "${word}"`)
    settings.set(word.slice(0, at), word.slice(at + 1).replaceAll('"', ''))
  }
  if (settings.size === 0) throw new Error(`${name}: expected at least one setting`)
  return ownFault(service, settings) ?? commonFault(service, settings)
}

/** Faults that only one service has. */
function ownFault(service: ServiceName, settings: Map<string, string>): PlannedFault | undefined {
  const take = taker(settings)
  if (service === 'hec' && settings.has('code')) {
    const [code, row, times = 1] = [take.integer('code')!, take.integer('row'), take.times()]
    take.end()
    return ({ hec }) => (row === undefined ? hec.answerCode(code, { times }) : hec.failRow(row, code, times))
  }
  if (service === 'log-analytics' && settings.has('partial')) {
    take.choice('partial', ['true'])
    const [rows, times = 1] = [take.integer('rows'), take.times()]
    take.end()
    return ({ logAnalytics }) => logAnalytics.failPartly({ times, ...(rows !== undefined && { rows }) })
  }
  if (service === 'splunk-search' && settings.has('search')) {
    const name = take.choice('search', Object.keys(searches) as (keyof typeof searches)[])!
    const [rows, times = 1] = [take.integer('rows'), take.times()]
    take.end()
    const fault: SearchFault = { ...searches[name](), times, ...(rows !== undefined && { rows }) }
    return ({ splunkSearch }) => splunkSearch.failSearch(fault)
  }
  return undefined
}

const searches = {
  quota: searchFaults.quota,
  'disk-quota': searchFaults.diskQuota,
  'time-limit': searchFaults.timeLimit,
  'peer-failed': searchFaults.peerFailed,
  fatal: searchFaults.fatal,
} as const

function commonFault(service: ServiceName, settings: Map<string, string>): PlannedFault {
  const take = taker(settings)
  const headers: Record<string, string> = {}
  for (const [key, value] of settings) {
    if (!key.startsWith('header.')) continue
    headers[key.slice('header.'.length)] = value
    settings.delete(key)
  }
  const values: { [K in keyof Fault]: Fault[K] | undefined } = {
    status: take.integer('status'),
    retryAfter: take.text('retry_after'),
    body: take.text('body'),
    headers: Object.keys(headers).length > 0 ? headers : undefined,
    reset: take.choice('reset', ['before', 'within', 'after']),
    delay: take.integer('delay'),
    stall: take.choice('stall', ['before', 'within']),
    truncate: take.choice('truncate', ['true', 'false']) === 'true' || undefined,
    slowRead: take.integer('slow_read'),
    match: take.text('match'),
    times: take.times(),
    after: take.integer('after'),
  }
  take.end()
  const fault = Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Fault
  return (emulators) => {
    emulators[services[service]].fail(fault)
  }
}

/** Removes settings as they are read: those left at the end are unknown. */
function taker(settings: Map<string, string>) {
  const text = (key: string) => {
    const value = settings.get(key)
    settings.delete(key)
    return value
  }
  const integer = (key: string) => {
    const value = text(key)
    if (value !== undefined && !/^\d+$/.test(value))
      throw new Error(`${key}: expected an integer, got "${value}"`)
    return value === undefined ? undefined : Number(value)
  }
  return {
    text,
    integer,
    times: () => {
      if (settings.get('times') !== 'all') return integer('times')
      settings.delete('times')
      return Number.POSITIVE_INFINITY
    },
    choice: <const C extends string>(key: string, choices: readonly C[]): C | undefined => {
      const value = text(key)
      const found = choices.find((choice) => choice === value)
      if (value === undefined || found) return found
      throw new Error(`${key}: expected ${choices.join(' or ')}, got "${value}"`)
    },
    end: () => {
      const [unknown] = settings.keys()
      if (unknown !== undefined) throw new Error(`there is no setting "${unknown}" here; see emulate --help`)
    },
  }
}
