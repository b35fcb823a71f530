import type { Identity } from '../../../checkpoint/state.ts'
import { type ConnectorError, QueryError } from '../../../core/errors.ts'
import type { Health } from '../../../core/health.ts'
import { fromDate, type Ticks, ticksPerSecond } from '../../../core/time.ts'
import type { SourceFailure, SourceVerdict } from '../../../core/verdict.ts'
import type { PlainWindow } from '../../../core/window.ts'
import type { Ask, Page, SourceObserver, SourceProtocol } from '../../../source/protocol.ts'
import type { Column } from '../../../source/row-schema.ts'
import { toOffset, type WindowOffset, windowOf } from '../../../source/windows.ts'
import { ExportAnswer } from './export.ts'
import { SearchJob } from './job.ts'
import { judged, type SplunkMessage } from './messages.ts'
import { OldEvents } from './old-events.ts'
import { type SearchValues, searchOf, searchParts } from './options.ts'
import { timeBounds, withPrivateFields } from './search-request.ts'
import { type KeptBy, SearchRows } from './search-rows.ts'
import { silentlyCut, transformingCommand, wholeRangeCommand } from './spl.ts'
import { SplunkdClient } from './splunkd-client.ts'
import { instantTicks, sampleRows } from './values.ts'

export type SearchSettings = SearchValues & { readonly window_by: 'event_time' | 'index_time' }

/** Event `search`: a search is sent. */
export interface SplunkSearchEvent {
  /** `export` streams results; `job` makes a search job and reads its pages. */
  readonly mode: 'export' | 'job'
  readonly window: PlainWindow
  /** The search as it is sent. */
  readonly search: string
}

/** Event `message`: a message of splunkd about a search that does not affect its result. */
export interface SplunkMessageEvent extends SplunkMessage {
  readonly window: PlainWindow
}

/** The events of a search besides those of every source, with their arguments. */
export interface SplunkSearchEvents {
  search: [event: SplunkSearchEvent]
  message: [event: SplunkMessageEvent]
  schema: [event: { readonly columns: readonly Column[] }]
}

/** How long `close` waits for jobs to be deleted, in milliseconds. */
const closeTimeout = 5_000

/** Identity that a checkpoint of this source must match. */
export function searchIdentity(values: SearchSettings): Identity {
  const { splunkd_url, app, owner, window_by } = values
  return {
    connector: 'splunk',
    splunkd_url: new URL(splunkd_url).origin,
    ...(app === undefined ? {} : { app }),
    ...(owner === undefined ? {} : { owner }),
    query: searchOf(values).text,
    window_by,
  }
}

/**
 * A search over windows of time, by splunkd's REST interface.
 * https://docs.splunk.com/Documentation/Splunk/latest/RESTREF/RESTsearch
 */
export class SearchProtocol implements SourceProtocol<PlainWindow, WindowOffset> {
  readonly connector = 'splunk'
  readonly host: string
  readonly #settings: SearchSettings
  readonly #observer: SourceObserver
  readonly #client: SplunkdClient
  readonly #search: string
  readonly #events: boolean
  /** Limits of commands that splunkd does not report; emitted once. */
  #silentLimits: readonly string[]
  /** The command that forbids reading windows in halves. */
  readonly #wholeRange: string | undefined
  readonly #mode: 'export' | 'job'
  readonly #rows: SearchRows
  /** Undefined if no event is too old for a window. */
  readonly #oldEvents: OldEvents | undefined
  /** Jobs that splunkd may still have. */
  readonly #jobs = new Set<SearchJob>()

  constructor(settings: SearchSettings, observer: SourceObserver) {
    this.#settings = settings
    this.host = new URL(settings.splunkd_url).host
    this.#observer = observer
    this.#client = new SplunkdClient(settings, observer)
    const { text, spl } = searchOf(settings)
    const unused = searchParts.filter((name) => settings[name] !== undefined)
    if (settings.query !== undefined && unused.length > 0) {
      process.emitWarning(`splunk: query is used; it replaces ${unused.join(', ')}`, {
        code: 'CYBER_CONNECTORS_OPTION_UNUSED',
      })
    }
    const transforming = transformingCommand(spl) !== undefined
    this.#events = !transforming
    this.#silentLimits = silentlyCut(spl)
    this.#wholeRange = settings.allow_transforming_queries ? undefined : wholeRangeCommand(spl)
    this.#search = transforming ? text : withPrivateFields(text, settings.event_id)
    const { search_mode, window_by, look_back_seconds } = settings
    if (window_by === 'index_time' && look_back_seconds !== 'all' && this.#events)
      this.#oldEvents = new OldEvents(text, look_back_seconds)
    this.#mode = search_mode === 'auto' ? (transforming ? 'job' : 'export') : search_mode
    this.#rows = new SearchRows(settings, (columns) => observer.emit('schema', { columns }))
  }

  async ask(ask: Ask<PlainWindow>, signal: AbortSignal): Promise<SourceVerdict<Page>> {
    if (ask.page === undefined) {
      const event: SplunkSearchEvent = { mode: this.#mode, window: ask.slice, search: this.#search }
      this.#observer.emit('search', event)
      this.#emitMessages(
        this.#silentLimits.map((text) => ({ type: 'WARN', text })),
        ask.slice,
      )
      this.#silentLimits = []
    }
    const answer = this.#mode === 'export' ? await this.#export(ask, signal) : await this.#job(ask, signal)
    return answer.kind === 'split' || answer.kind === 'retry' ? this.#keepWhole(answer) : answer
  }

  async earliest(signal: AbortSignal): Promise<SourceVerdict<WindowOffset | undefined>> {
    const field = this.#settings.window_by === 'index_time' ? '_indextime' : '_time'
    const { text } = searchOf(this.#settings)
    const found = await this.#exported(
      {
        search: `${text}\n| stats min(${field}) AS earliest`,
        earliest_time: '0',
        // Two days ahead: clocks of senders may be fast.
        latest_time: String(fromDate(Date.now()) / ticksPerSecond + 172_800n),
      },
      signal,
    )
    if (found.kind !== 'accepted')
      return found.kind === 'split' ? { kind: 'fatal', error: found.error } : found
    try {
      for await (const results of found.value.results()) {
        const ticks: Ticks | undefined = instantTicks(results[0]?.['earliest'])
        if (ticks !== undefined) return { kind: 'accepted', value: toOffset(ticks) }
      }
      return { kind: 'accepted', value: undefined }
    } finally {
      found.value.release()
    }
  }

  async health(signal: AbortSignal): Promise<SourceVerdict<Health>> {
    const answer = await this.#client.ask({ method: 'GET', path: 'server/info', signal })
    if (answer.kind !== 'accepted') return answer
    const { entry } = answer.value as { entry?: { content?: { version?: unknown } }[] }
    const version = entry?.[0]?.content?.version
    return {
      kind: 'accepted',
      value: {
        healthy: true,
        status: 200,
        text: `Splunk ${typeof version === 'string' ? version : ''}`.trim(),
      },
    }
  }

  close(): void {
    const left = [...this.#jobs].filter(({ sid }) => sid !== undefined)
    this.#jobs.clear()
    if (left.length === 0) {
      this.#client.close()
      return
    }
    const signal = AbortSignal.timeout(closeTimeout)
    Promise.all(left.map((job) => job.remove(signal))).finally(() => this.#client.close())
  }

  async #export(ask: Ask<PlainWindow>, signal: AbortSignal): Promise<SourceVerdict<Page>> {
    const answer = await this.#exported(this.#parameters(ask), signal)
    if (answer.kind !== 'accepted') return answer
    const { value } = answer
    this.#emitMessages(value.summary.messages, ask.slice)
    return {
      kind: 'accepted',
      value: {
        rows: this.#made(value.results(), ask, signal),
        bytes: value.bytes,
        release: () => value.release(),
      },
    }
  }

  /** A complete export answer. */
  async #exported(
    parameters: Record<string, string>,
    signal: AbortSignal,
  ): Promise<SourceVerdict<ExportAnswer>> {
    const request = {
      method: 'POST',
      path: 'search/v2/jobs/export',
      parameters: { ...common, ...parameters },
      signal,
    } as const
    const opened = await this.#client.openLatest(request)
    if (opened.kind !== 'accepted') return opened
    let answer: ExportAnswer
    try {
      answer = await ExportAnswer.receive(opened.value, this.#settings.held_bytes, signal)
    } catch (error) {
      signal.throwIfAborted()
      const failed = this.#client.fault(error)
      // Long streams break more often than short ones.
      return failed.kind === 'retry' ? { ...failed, divide: true } : failed
    }
    const failed = this.#incomplete(answer)
    if (!failed) return { kind: 'accepted', value: answer }
    answer.release()
    return failed
  }

  #incomplete({ summary: { messages, torn, garbled, ended } }: ExportAnswer): SourceFailure | undefined {
    const client = this.#client
    const verdict = judged(messages, client)
    if (verdict) return verdict
    if (garbled !== undefined)
      return {
        kind: 'retry',
        error: client.error(
          `the answer has a line that is not JSON: ${client.redact(garbled).slice(0, 200)}`,
        ),
      }
    if (torn !== undefined)
      return { kind: 'retry', error: client.error('the answer ends in mid-line'), divide: true }
    if (!ended)
      return {
        kind: 'retry',
        error: client.error('the answer ends without its last row (lastrow)'),
        divide: true,
      }
    return undefined
  }

  async #job(ask: Ask<PlainWindow>, signal: AbortSignal): Promise<SourceVerdict<Page>> {
    const job =
      ask.page instanceof SearchJob
        ? ask.page
        : new SearchJob(this.#client, this.#settings, { ...common, ...this.#parameters(ask) })
    this.#jobs.add(job)
    const step = await job.step(signal)
    if (step.kind === 'wait') return step
    if (step.kind === 'retry' || step.kind === 'again') {
      // A job that was not created is created again.
      if (ask.page === undefined) this.#jobs.delete(job)
      return step
    }
    if (step.kind !== 'accepted') {
      await job.remove(signal)
      job.release()
      this.#jobs.delete(job)
      return step
    }
    this.#jobs.delete(job)
    this.#emitMessages(job.messages, ask.slice)
    const { bytes } = job
    return {
      kind: 'accepted',
      value: { rows: this.#made(job.results(), ask, signal), bytes, release: () => job.release() },
    }
  }

  #parameters({ slice, exact }: Ask<PlainWindow>): Record<string, string> {
    const widened = this.#events && exact
    return { search: this.#search, ...timeBounds(windowOf(slice), this.#settings, widened) }
  }

  async *#made(
    results: AsyncGenerator<Record<string, unknown>[]>,
    ask: Ask<PlainWindow>,
    signal: AbortSignal,
  ): AsyncGenerator<readonly Record<string, unknown>[]> {
    let isEmpty = true
    const kept: KeptBy | undefined = this.#events
      ? { window: windowOf(ask.slice), exact: ask.exact }
      : undefined
    let sample: Record<string, unknown>[] | undefined
    try {
      for await (const batch of results) {
        isEmpty &&= batch.length === 0
        if (this.#rows.wantsSample) {
          sample = sample ? sample.concat(batch) : batch
          if (sample.length < sampleRows) continue
          this.#rows.infer(sample.slice(0, sampleRows))
        }
        const given: Record<string, unknown>[] = sample ?? batch
        sample = undefined
        yield await this.#rows.read(given, kept)
      }
      if (sample && sample.length > 0) {
        if (this.#rows.wantsSample) this.#rows.infer(sample)
        yield await this.#rows.read(sample, kept)
      }
      if (isEmpty)
        await this.#oldEvents?.look(windowOf(ask.slice), (search) => this.#exported(search, signal))
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error
      throw new QueryError('ERR_RESULT', 'splunk: the results are not JSON', {
        connector: 'splunk',
        cause: error,
      })
    }
  }

  /** A search whose result depends on its whole range is never read in halves. */
  #keepWhole(answer: Extract<SourceVerdict<Page>, { kind: 'split' | 'retry' }>): SourceVerdict<Page> {
    if (this.#wholeRange === undefined) return answer
    if (answer.kind === 'retry') return { ...answer, divide: false }
    return { kind: 'fatal', error: this.#tooLarge(answer.error, this.#wholeRange) }
  }

  #tooLarge(cause: ConnectorError, command: string): ConnectorError {
    const { status, serviceCode, serviceText } = cause
    const message = `${cause.message}. With "${command}" the search can not be read in halves: let it give fewer rows, read a shorter time range, or raise the limit`
    return new QueryError('ERR_RESULT_TOO_LARGE', message, {
      connector: 'splunk',
      status,
      serviceCode,
      serviceText,
      cause,
    })
  }

  #emitMessages(messages: readonly SplunkMessage[], window: PlainWindow): void {
    for (const { type, text } of messages) {
      this.#observer.emit('message', {
        type,
        text: this.#client.redact(text),
        window,
      } satisfies SplunkMessageEvent)
    }
  }
}

/** Parameters of every search. */
const common = {
  preview: 'false',
  // A failed peer fails the search.
  allow_partial_results: 'false',
  // Otherwise _raw may contain markup.
  segmentation: 'none',
}
