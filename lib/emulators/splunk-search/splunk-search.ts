import { Readable } from 'node:stream'
import type { Answer } from '../answer.ts'
import { Emulator, type EmulatorOptions } from '../emulator.ts'
import type { RecordedRequest } from '../fault.ts'
import type { HecEmulator } from '../hec.ts'
import type { HecEvent } from '../hec-body.ts'
import type { Kinds } from '../options.ts'
import { type QueryMatch, RegisteredAnswers } from '../registered-answers.ts'
import { type Entry, entryXml, exportBody, feedXml, responseXml, resultsBody } from './bodies.ts'
import { Credentials } from './credentials.ts'
import { type IndexedEvent, indexEvent } from './events.ts'
import { parametersOf, runSearch, type SearchRequest, type SplunkRows, timeBounds } from './run-search.ts'
import { quotaMessage, type SearchFault, SearchFaults, type SearchMessage } from './search-fault.ts'
import { SearchJob } from './search-job.ts'
import { SearchError } from './spl.ts'

export interface SplunkSearchEmulatorOptions extends EmulatorOptions {
  /** An authentication token, good for `Bearer` and `Splunk`. Default: random. */
  token?: string
  /** The user who may log in. Default `admin`. */
  username?: string
  /** Default: random. */
  password?: string
  /** A collector whose events are searched as well, from now on. */
  hec?: HecEmulator
  /** Most events that are kept: the oldest go first. Default: all. */
  maxEvents?: number
  /** Whether the paths `search/v2/...` are there. Releases before 9.0.1 answer 404. Default true. */
  v2?: boolean
  /** How `_time` reads in an export: `zone` as `2026-10-08 13:48:34.000 GMT`, `offset` as ISO 8601. Default `zone`. */
  timeForm?: 'zone' | 'offset'
  /** Whether an event right at `index_latest` is found: Splunk's reference says both. Default `exclusive`. */
  indexBounds?: 'inclusive' | 'exclusive'
  /** Where `lastrow` stands in an export: on the last row, on a line of its own, or on both. Default `both`. */
  lastRow?: 'row' | 'line' | 'both'
  /** Searches that may run at a time; more are refused. Default: any number. */
  maxSearches?: number
  /** How a search above `maxSearches` is refused: by status 503, or by a message with status 200. Default `status`. */
  quotaForm?: 'status' | 'message'
  /** How many asks for a job's state are answered as not done. Default 1. */
  jobPolls?: number
  /** Most rows in a page of results. Default 50,000 (`maxresultrows`). */
  maxResultRows?: number
  /** The service's clock. Default: the machine's. */
  now?: () => Date | number
}

const optionKinds: Kinds<Omit<SplunkSearchEmulatorOptions, keyof EmulatorOptions>> = {
  token: 'string',
  username: 'string',
  password: 'string',
  hec: 'object',
  maxEvents: 'number',
  v2: 'boolean',
  timeForm: ['zone', 'offset'],
  indexBounds: ['inclusive', 'exclusive'],
  lastRow: ['row', 'line', 'both'],
  maxSearches: 'number',
  quotaForm: ['status', 'message'],
  jobPolls: 'number',
  maxResultRows: 'number',
  now: 'function',
}

const pathForm = /^\/(?:services|servicesNS\/([^/]+)\/([^/]+))\/(.+?)\/?$/
const jobsForm = /^search\/(v2\/)?jobs(?:\/([^/]+)(?:\/([^/]+))?)?$/
/** Milliseconds that a job stays that nobody asks for. */
const jobLifetime = 600_000
/** Most rows that a job keeps (`max_count`). */
const maxCount = 500_000

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
  #events: IndexedEvent[] = []
  #indexed = 0

  constructor(options: SplunkSearchEmulatorOptions = {}) {
    super(options, 'splunk-search', optionKinds)
    this.#options = options
    this.#set()
    this.#credentials = new Credentials(options)
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
    indexedAt: Date | number | ((event: HecEvent) => Date | number) = this.#now(),
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
    if (path === 'server/info') return this.#entry(parameters, 'server-info', this.#serverInfo())
    if (path === 'authentication/current-context') {
      return this.#entry(parameters, 'context', this.#context())
    }
    if (jobs === undefined) return this.#say(404, parameters, 'ERROR', 'Not Found')
    try {
      if (sid === undefined) return this.#allJobs(asked)
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
    const { request, parameters } = asked
    if (request.method !== 'POST') return this.#say(405, parameters, 'ERROR', 'Method Not Allowed')
    if (parameters.get('output_mode') !== 'json') return this.#unknownMode(parameters)
    const search = this.#read(asked, 'export')
    const refusal = this.#overQuota(parameters)
    if (refusal) return refusal
    this.#exports.add(request)
    this.#notePeak()
    const fault = this.#faults.take(search)
    const { rows, transforming } = this.#run(search)
    const previewed = transforming && !/^(0|f|false|no)$/i.test(parameters.get('preview') ?? 'true')
    const previews = fault?.previews ?? (previewed ? 1 : 0)
    const lines = exportBody(rows, { timeForm: this.timeForm, lastRow: this.lastRow, fault, previews })
    return exported(Readable.from(lines, { objectMode: false }))
  }

  #allJobs(asked: Asked): Answer {
    const { request, parameters } = asked
    if (request.method === 'GET') {
      return this.#entries(
        parameters,
        'jobs',
        [...this.#jobs.values()].map((job) => this.#jobEntry(job)),
      )
    }
    if (request.method !== 'POST') return this.#say(405, parameters, 'ERROR', 'Method Not Allowed')
    const oneshot = parameters.get('exec_mode') === 'oneshot'
    const search = this.#read(asked, oneshot ? 'oneshot' : 'job')
    const refusal = this.#overQuota(parameters)
    if (refusal) return refusal
    const fault = this.#faults.take(search)
    const { rows, ...found } = this.#run(search)
    const most = Number(parameters.get('max_count') ?? maxCount)
    const now = this.#now()
    const sid = parameters.get('id') ?? `${Math.floor(now / 1000)}.${this.jobsCreated + 1}`
    this.jobsCreated++
    const polls = oneshot ? 0 : this.jobPolls
    const job = new SearchJob(sid, search, { ...found, rows: take(rows, most) }, { fault, polls, now })
    if (oneshot) return this.#page(job, parameters)
    for (const [old, { touched }] of this.#jobs) if (now - touched > jobLifetime) this.#jobs.delete(old)
    this.#jobs.set(sid, job)
    this.#notePeak()
    return parameters.get('output_mode') === 'json'
      ? { status: 201, body: { sid } }
      : xml(201, responseXml({ sid }))
  }

  #job({ request, parameters }: Asked, sid: string, part: string | undefined): Answer {
    const job = this.#jobs.get(sid)
    const now = this.#now()
    if (!job || now - job.touched > jobLifetime) {
      this.#jobs.delete(sid)
      return this.#say(404, parameters, 'FATAL', 'Unknown sid.')
    }
    job.touched = now
    const cancels = part === 'control' && request.method === 'POST' && parameters.get('action') === 'cancel'
    if (cancels || (part === undefined && request.method === 'DELETE')) return this.#cancel(job, parameters)
    if (part === undefined) return this.#entry(parameters, 'jobs', this.#jobEntry(job), true)
    if (part === 'results') return job.done ? this.#page(job, parameters) : { status: 204 }
    return this.#say(404, parameters, 'ERROR', 'Not Found')
  }

  #cancel(job: SearchJob, parameters: URLSearchParams): Answer {
    this.#jobs.delete(job.sid)
    this.jobsDeleted++
    return this.#say(200, parameters, 'INFO', 'Search job cancelled.')
  }

  #page(job: SearchJob, parameters: URLSearchParams): Answer {
    const mode = parameters.get('output_mode') ?? 'xml'
    if (mode !== 'json' && mode !== 'json_rows') return this.#unknownMode(parameters)
    const most = this.#options.maxResultRows ?? 50_000
    const count = Number(parameters.get('count') ?? 100)
    const offset = Number(parameters.get('offset') ?? 0)
    const rows = job.rows.slice(offset, offset + (count === 0 ? most : Math.min(count, most)))
    const { columns, messages } = job
    return { status: 200, body: resultsBody({ rows, columns, offset, messages }, mode) }
  }

  #unknownMode(parameters: URLSearchParams): Answer {
    const mode = parameters.get('output_mode') ?? 'xml'
    return this.#say(400, parameters, 'ERROR', `The emulator does not know output_mode=${mode}.`)
  }

  #read({ parameters, version, owner, app }: Asked, kind: SearchRequest['kind']): SearchRequest {
    const search = parameters.get('search')
    if (search === null || search.trim() === '') throw new SearchError('Empty search.')
    const bounds = timeBounds(parameters)
    const read = { search, ...bounds, kind, version, owner, app, parameters }
    if (this.#options.record !== false) this.searches.push(read)
    return read
  }

  #run(search: SearchRequest) {
    return runSearch(search, {
      events: this.#events,
      answers: this.#answers,
      indexLatestInclusive: this.#options.indexBounds === 'inclusive',
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
    }
    return { name: 'server-info', path: '/services/server/info/server-info', content }
  }

  get #version(): string {
    return this.v2 ? '10.0.0' : '8.2.0'
  }

  #context(): Entry {
    const content = { username: this.username, roles: ['admin', 'user'], capabilities: ['search'] }
    return { name: 'context', path: '/services/authentication/current-context/context', content }
  }

  /** @param standing in XML by itself, and not in a feed */
  #entry(parameters: URLSearchParams, title: string, entry: Entry, standing = false): Answer {
    if (parameters.get('output_mode') === 'json') return this.#entries(parameters, title, [entry])
    return xml(200, standing ? entryXml(this.url, entry) : feedXml(this.url, title, entry))
  }

  #entries(parameters: URLSearchParams, title: string, entries: readonly Entry[]): Answer {
    if (parameters.get('output_mode') !== 'json') return this.#unknownMode(parameters)
    return {
      status: 200,
      body: {
        origin: `${this.url}/services/${title}`,
        generator: { build: 'emulator', version: this.#version },
        entry: entries.map(({ name, path, content }) => ({
          name,
          id: `${this.url}${path}`,
          links: { alternate: path },
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

  /** Milliseconds since 1970. */
  #now(): number {
    return Number(this.#options.now?.() ?? Date.now())
  }
}

function* take<Item>(items: Iterable<Item>, most: number): Generator<Item> {
  let left = most
  for (const item of items) {
    if (left-- <= 0) return
    yield item
  }
}

function xml(status: number, body: string): Answer {
  return { status, headers: { 'content-type': 'text/xml; charset=UTF-8' }, body }
}

function exported(body: Buffer | Readable): Answer {
  return { status: 200, headers: { 'content-type': 'application/json; charset=UTF-8' }, body }
}
