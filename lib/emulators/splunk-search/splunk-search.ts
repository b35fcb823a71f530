import { Readable } from 'node:stream'
import type { Answer } from '../answer.ts'
import { Emulator } from '../emulator.ts'
import type { RecordedRequest } from '../fault.ts'
import type { HecEmulator } from '../hec.ts'
import type { HecEvent } from '../hec-body.ts'
import { type QueryMatch, RegisteredAnswers } from '../registered-answers.ts'
import { Credentials } from './credentials.ts'
import { type IndexedEvent, indexEvent } from './indexed-event.ts'
import type { SplunkSearchEmulatorOptions } from './options.ts'
import type { SplunkRows } from './registered-rows.ts'
import { exportBody, type ResultsPage, resultsBody } from './result-bodies.ts'
import { type Found, runSearch } from './run-search.ts'
import { quotaMessage, type SearchFault, SearchFaults, type SearchMessage } from './search-fault.ts'
import { SearchJob } from './search-job.ts'
import { parametersOf, type SearchRequest, timeBounds } from './search-request.ts'
import { SearchError, type SearchRow } from './search-row.ts'
import type { Nanoseconds } from './time.ts'
import { type Entry, entryXml, feedXml, responseXml, resultsXml } from './xml.ts'

const pathForm = /^\/(?:services|servicesNS\/([^/]+)\/([^/]+))\/(.+?)\/?$/
const jobsForm = /^search\/(v2\/)?jobs(?:\/([^/]+)(?:\/([^/]+))?)?$/
const jobLifetime = 600_000

/** What a request asks for, once its path is read. */
interface Asked {
  request: RecordedRequest
  parameters: URLSearchParams
  version: 1 | 2
  owner: string | undefined
  app: string | undefined
}

/**
 * The search endpoints of splunkd: log in, export, jobs and their results, over the events of a collector or its own.
 * https://help.splunk.com/en/splunk-enterprise/rest-api-reference
 */
export class SplunkSearchEmulator extends Emulator {
  /** The searches so far, in the order in which they came. Empty with `record: false`. */
  readonly searches: SearchRequest[] = []
  /** The most searches that ran at a time. */
  peakSearches = 0
  /** Jobs that were made, and jobs that were deleted. */
  jobsCreated = 0
  jobsDeleted = 0
  /** Settable at any time. */
  v2!: boolean
  timeForm!: 'zone' | 'offset'
  lastRow!: 'row' | 'line' | 'both'
  jobPolls!: number
  maxSearches!: number
  quotaForm!: 'status' | 'message'
  readonly #options: SplunkSearchEmulatorOptions
  readonly #credentials: Credentials
  readonly #answers = new RegisteredAnswers<SearchRequest, SplunkRows>()
  readonly #faults = new SearchFaults()
  readonly #exports = new Set<RecordedRequest>()
  readonly #jobs = new Map<string, SearchJob>()
  readonly #bodies = new Map<string, Buffer>()
  #events: IndexedEvent[] = []
  #indexed = 0

  constructor(options: SplunkSearchEmulatorOptions = {}) {
    super(options)
    this.#options = options
    this.#set()
    this.#credentials = new Credentials(options, () => Number(this.#now() / 1_000_000n))
    const ended = (request: RecordedRequest) => this.#exports.delete(request)
    this.on('response', ended).on('abort', ended)
    if (options.hec) this.follow(options.hec)
  }

  /** An authentication token that is good. */
  get token(): string {
    return this.#credentials.token
  }

  /** Change it, and the old one is refused. */
  set token(token: string) {
    this.#credentials.token = token
  }

  get username(): string {
    return this.#credentials.username
  }

  get password(): string {
    return this.#credentials.password
  }

  /** Searches that run now. */
  get runningSearches(): number {
    let jobs = 0
    for (const job of this.#jobs.values()) if (!job.done) jobs++
    return this.#exports.size + jobs
  }

  /** Jobs that are there. */
  get jobCount(): number {
    return this.#jobs.size
  }

  /** How many events are in the indexes. */
  get eventCount(): number {
    return this.#events.length
  }

  /** From now on, what the collector takes in is found here. */
  follow(hec: HecEmulator): this {
    hec.on('taken', (events) => this.addEvents(events as HecEvent[]))
    return this
  }

  /**
   * Puts events into their indexes. @param events envelopes of the collector
   * @param indexedAt their index time, or a function that gives each its own; milliseconds or a Date. Default: now
   */
  addEvents(
    events: Iterable<HecEvent>,
    indexedAt: Date | number | ((event: HecEvent) => Date | number) = Number(this.#now() / 1_000_000n),
  ): this {
    for (const event of events) {
      const at = Number(typeof indexedAt === 'function' ? indexedAt(event) : indexedAt)
      this.#events.push(indexEvent(event, Math.floor(at / 1000), this.#indexed++))
    }
    const { maxEvents } = this.#options
    // A tenth at a time, or each event would move all others.
    if (maxEvents !== undefined && this.#events.length > maxEvents * 1.1) {
      this.#events = this.#events.slice(-maxEvents)
    }
    this.#bodies.clear()
    return this
  }

  /**
   * Answers searches that the emulator can't run.
   *
   * @param match how the search begins (what follows it, from its next `|` on, is run on the rows), a pattern or a
   *   test; behind these two only `eval` and `fields` at the end of the search are run
   * @param rows rows with any fields. `_time` is a Date, text or seconds since 1970; with it, and with `_indextime`,
   *   rows outside of the search's time range are left out. Or a function that gives the rows of a time range,
   *   whole
   */
  answer(match: QueryMatch<SearchRequest>, rows: SplunkRows): this {
    this.#answers.add(match, rows)
    this.#bodies.clear()
    return this
  }

  /** Queues faults of searches that are answered with status 200. For all others see `fail`. */
  failSearch(...faults: SearchFault[]): this {
    this.#faults.add(faults)
    return this
  }

  override reset(): this {
    this.searches.length = 0
    this.peakSearches = 0
    this.jobsCreated = 0
    this.jobsDeleted = 0
    this.#events = []
    this.#answers.clear()
    this.#jobs.clear()
    this.#bodies.clear()
    this.#set()
    return super.reset()
  }

  override clearFaults(): this {
    this.#faults.clear()
    return super.clearFaults()
  }

  /** Ends all sessions: their keys get 401. */
  expireSessions(): this {
    this.#credentials.expire()
    return this
  }

  protected serve(request: RecordedRequest): Answer {
    const [, owner, app, path = ''] = pathForm.exec(decodeURIComponent(request.path)) ?? []
    const parameters = parametersOf(request)
    if (path === 'auth/login') return this.#login(request, parameters)
    const [jobs, v2, sid, part] = jobsForm.exec(path) ?? []
    if (path === '' || (v2 && !this.v2)) return this.#say(404, parameters, 'ERROR', 'Not Found')
    if (!this.#credentials.admits(request)) {
      return this.#say(401, parameters, 'WARN', 'call not properly authenticated')
    }
    const asked: Asked = { request, parameters, version: v2 ? 2 : 1, owner, app }
    if (path === 'server/info') return this.#entries(parameters, 'server-info', [this.#serverInfo()])
    if (path === 'authentication/current-context') {
      return this.#entries(parameters, 'context', [this.#context()])
    }
    if (jobs === undefined) return this.#say(404, parameters, 'ERROR', 'Not Found')
    try {
      if (sid === undefined) return this.#makeJob(asked)
      return sid === 'export' ? this.#export(asked) : this.#job(asked, sid, part)
    } catch (error) {
      if (error instanceof SearchError) return this.#say(400, parameters, 'FATAL', error.message)
      throw error
    }
  }

  #login(request: RecordedRequest, parameters: URLSearchParams): Answer {
    if (request.method !== 'POST') return this.#say(405, parameters, 'ERROR', 'Method Not Allowed')
    const key = this.#credentials.login(parameters.get('username'), parameters.get('password'))
    const json = parameters.get('output_mode') === 'json'
    if (key === undefined) {
      const message = { type: 'WARN', code: 'incorrect_username_or_password', text: 'Login failed' } as const
      return json ? { status: 401, body: { messages: [message] } } : xml(401, responseXml({}, [message]))
    }
    if (json) return { status: 200, body: { sessionKey: key, message: '', code: '' } }
    return xml(200, responseXml({ sessionKey: key }))
  }

  #export(asked: Asked): Answer {
    const { request, parameters, version } = asked
    if (request.method !== 'POST' && (version === 2 || request.method !== 'GET')) {
      return this.#say(405, parameters, 'ERROR', 'Method Not Allowed')
    }
    const search = this.#read(asked, 'export')
    const refusal = this.#overQuota(parameters)
    if (refusal) return refusal
    this.#exports.add(request)
    this.#notePeak()
    const fault = this.#faults.take(search)
    const key = JSON.stringify([
      search.search,
      String(search.earliest),
      String(search.latest),
      String(search.indexEarliest),
      String(search.indexLatest),
      parameters.get('output_mode'),
      parameters.get('preview'),
      this.timeForm,
      this.lastRow,
    ])
    const known = fault ? undefined : this.#bodies.get(key)
    if (known) return exported(known)
    const found = this.#run(search)
    const mode = parameters.get('output_mode') ?? 'xml'
    if (mode !== 'json') {
      const rows = [...found.rows].slice(0, fault?.rows)
      return this.#results(
        {
          ...found,
          rows,
          messages: [...found.messages, ...(fault?.messages ?? [])],
          offset: 0,
          preview: false,
        },
        mode,
      )
    }
    const previewed = found.transforming && !/^(0|f|false|no)$/i.test(parameters.get('preview') ?? 'true')
    const lines = exportBody(found.rows, found.messages, {
      timeForm: this.timeForm,
      timeZone: this.#zone,
      lastRow: this.lastRow,
      fault,
      previews: fault?.previews ?? (previewed ? 1 : 0),
    })
    if (!this.#options.cacheAnswers || fault) return exported(Readable.from(lines, { objectMode: false }))
    const body = Buffer.concat(Array.from(lines, (text) => Buffer.from(text)))
    this.#bodies.set(key, body)
    return exported(body)
  }

  #makeJob(asked: Asked): Answer {
    const { request, parameters } = asked
    if (request.method === 'GET') {
      const entries = [...this.#jobs.values()].map((job) => this.#jobEntry(job))
      return this.#entries(parameters, 'jobs', entries)
    }
    if (request.method !== 'POST') return this.#say(405, parameters, 'ERROR', 'Method Not Allowed')
    const mode = parameters.get('exec_mode') ?? 'normal'
    const search = this.#read(asked, mode === 'oneshot' ? 'oneshot' : 'job')
    const refusal = this.#overQuota(parameters)
    if (refusal) return refusal
    const fault = this.#faults.take(search)
    const found = this.#run(search)
    const maxCount = Number(parameters.get('max_count') ?? this.#options.maxCount ?? 500_000)
    const rows: SearchRow[] = []
    for (const row of found.rows) if (rows.push(row) >= maxCount) break
    const sid =
      parameters.get('id') ?? `${Math.floor(Number(this.#now() / 1_000_000_000n))}.${++this.jobsCreated}`
    if (parameters.has('id')) this.jobsCreated++
    const job = new SearchJob(
      sid,
      search,
      { ...found, rows },
      { fault, polls: mode === 'normal' ? this.jobPolls : 0, now: this.#now() },
    )
    if (mode === 'oneshot') return this.#page(job, parameters, false)
    this.#jobs.set(sid, job)
    this.#notePeak()
    return parameters.get('output_mode') === 'json'
      ? { status: 201, body: { sid } }
      : xml(201, responseXml({ sid }))
  }

  #job({ request, parameters }: Asked, sid: string, part: string | undefined): Answer {
    const job = this.#jobs.get(sid)
    const now = Number(this.#now() / 1_000_000n)
    if (!job || now - job.touched > jobLifetime) {
      this.#jobs.delete(sid)
      return this.#say(404, parameters, 'FATAL', 'Unknown sid.')
    }
    job.touched = now
    if (part === undefined && request.method === 'DELETE') return this.#cancel(job, parameters)
    if (part === 'control' && request.method === 'POST') {
      const action = parameters.get('action')
      if (action === 'cancel') return this.#cancel(job, parameters)
      if (action === 'finalize') job.finish()
      return this.#say(200, parameters, 'INFO', 'Search job continued.')
    }
    if (part === undefined) {
      const entry = this.#jobEntry(job)
      if (parameters.get('output_mode') !== 'json') return xml(200, entryXml(this.url, entry))
      return this.#entries(parameters, 'jobs', [entry])
    }
    if (part === 'results' || part === 'events') {
      return job.done ? this.#page(job, parameters, false) : { status: 204 }
    }
    if (part === 'results_preview') return this.#page(job, parameters, !job.done)
    return this.#say(404, parameters, 'ERROR', 'Not Found')
  }

  #cancel(job: SearchJob, parameters: URLSearchParams): Answer {
    this.#jobs.delete(job.sid)
    this.jobsDeleted++
    return this.#say(200, parameters, 'INFO', 'Search job cancelled.')
  }

  #page(job: SearchJob, parameters: URLSearchParams, preview: boolean): Answer {
    const most = this.#options.maxResultRows ?? 50_000
    const count = Number(parameters.get('count') ?? 100)
    const given = Number(parameters.get('offset') ?? 0)
    const offset = given < 0 ? Math.max(0, job.rows.length + given) : given
    const rows = job.rows.slice(offset, offset + (count === 0 ? most : Math.min(count, most)))
    const page = { rows, columns: job.columns, offset, preview, messages: job.messages }
    return this.#results(page, parameters.get('output_mode') ?? 'xml')
  }

  #results(page: Omit<ResultsPage, 'timeZone'>, mode: string): Answer {
    const whole = { ...page, timeZone: this.#zone }
    if (mode === 'xml') return xml(200, resultsXml(whole))
    if (mode === 'json' || mode === 'json_rows') return { status: 200, body: resultsBody(whole, mode) }
    return this.#say(400, new URLSearchParams(), 'ERROR', `The emulator does not know output_mode=${mode}.`)
  }

  #read({ parameters, version, owner, app }: Asked, kind: SearchRequest['kind']): SearchRequest {
    const search = parameters.get('search')
    if (search === null || search.trim() === '') throw new SearchError('Empty search.')
    const bounds = timeBounds((name) => parameters.get(name), this.#now())
    const read = { search, ...bounds, kind, version, owner, app, parameters }
    if (this.#options.record !== false) this.searches.push(read)
    return read
  }

  #run(search: SearchRequest): Found {
    return runSearch(search, {
      events: this.#events,
      answers: this.#answers,
      indexLatestInclusive: this.#options.indexBounds === 'inclusive',
      now: this.#now(),
    })
  }

  #overQuota(parameters: URLSearchParams): Answer | undefined {
    if (this.runningSearches < this.maxSearches) return undefined
    if (this.quotaForm === 'message')
      return exported(Buffer.from(`${JSON.stringify({ messages: [quotaMessage('WARN')] })}\n`))
    const { type, text } = quotaMessage('FATAL')
    return this.#say(503, parameters, type, text)
  }

  #notePeak(): void {
    this.peakSearches = Math.max(this.peakSearches, this.runningSearches)
  }

  #jobEntry(job: SearchJob): Entry {
    const path = `/services/search/${this.v2 ? 'v2/' : ''}jobs/${job.sid}`
    return { name: job.request.search, path, content: job.ask() }
  }

  #serverInfo(): Entry {
    const content = {
      version: this.#version,
      build: 'emulator',
      serverName: 'emulator',
      product_type: 'enterprise',
      isFree: false,
      isTrial: false,
      instance_type: 'on-prem',
    }
    return { name: 'server-info', path: '/services/server/info/server-info', content }
  }

  get #version(): string {
    return this.#options.version ?? (this.v2 ? '10.0.0' : '8.2.0')
  }

  #context(): Entry {
    const content = { username: this.username, roles: ['admin', 'user'], capabilities: ['search'] }
    return { name: 'context', path: '/services/authentication/current-context/context', content }
  }

  #entries(parameters: URLSearchParams, title: string, entries: readonly Entry[]): Answer {
    if (parameters.get('output_mode') !== 'json') return xml(200, feedXml(this.url, title, entries))
    const updated = '1970-01-01T00:00:00+00:00'
    return {
      status: 200,
      body: {
        links: {},
        origin: `${this.url}/services/${title}`,
        updated,
        generator: { build: 'emulator', version: this.#version },
        entry: entries.map(({ name, path, content }) => ({
          name,
          id: `${this.url}${path}`,
          updated,
          links: { alternate: path, list: path },
          author: this.username,
          acl: { app: 'search', owner: this.username, sharing: 'global' },
          content,
        })),
        paging: { total: entries.length, perPage: 30, offset: 0 },
        messages: [],
      },
    }
  }

  /** What splunkd has to say, in the form that was asked for. */
  #say(status: number, parameters: URLSearchParams, type: SearchMessage['type'], text: string): Answer {
    const messages: SearchMessage[] = [{ type, text }]
    if (parameters.get('output_mode')?.startsWith('json')) return { status, body: { messages } }
    return xml(status, responseXml({}, messages))
  }

  #set(): void {
    const { v2, timeForm, lastRow, jobPolls, maxSearches, quotaForm } = this.#options
    this.v2 = v2 ?? true
    this.timeForm = timeForm ?? 'zone'
    this.lastRow = lastRow ?? 'both'
    this.jobPolls = jobPolls ?? 1
    this.maxSearches = maxSearches ?? Number.POSITIVE_INFINITY
    this.quotaForm = quotaForm ?? 'status'
  }

  get #zone(): { name: string; minutes: number } {
    return this.#options.timeZone ?? { name: 'GMT', minutes: 0 }
  }

  #now(): Nanoseconds {
    return BigInt(Math.trunc(Number(this.#options.now?.() ?? Date.now()))) * 1_000_000n
  }
}

function xml(status: number, body: string): Answer {
  return { status, headers: { 'content-type': 'text/xml; charset=UTF-8' }, body }
}

function exported(body: Buffer | Readable): Answer {
  return { status: 200, headers: { 'content-type': 'application/json; charset=UTF-8' }, body }
}
