import { randomUUID } from 'node:crypto'
import type { ConnectorError } from '../../../core/errors.ts'
import type { SourceFailure, SourceVerdict } from '../../../core/verdict.ts'
import { HeldBody } from '../../../source/held-body.ts'
import { isPacked, unpacked } from './body-bytes.ts'
import { decisive, messagesIn, type SplunkMessage } from './messages.ts'
import { BadPage, PageSurvey, pageResults } from './results-page.ts'
import type { SplunkdClient } from './splunkd-client.ts'

/** Milliseconds from one look at a job to the next: at first, and at most. */
const [firstPoll, longestPoll] = [50, 5_000]

/** Results that a job keeps: the default of `max_count` in limits.conf, and what is asked for. */
export const mostResults = 500_000

/** Seconds without a look after which splunkd cancels a job of ours: after a crash nobody deletes it. */
const autoCancel = 300

interface HeldPage {
  readonly offset: number
  readonly rows: number
  readonly held: HeldBody
  readonly packed: boolean
}

export interface JobSettings {
  readonly page_rows: number
  readonly max_in_flight: number
  readonly held_bytes: number
}

/** One search job: made, waited for, its pages held, deleted. */
export class SearchJob {
  readonly #client: SplunkdClient
  readonly #settings: JobSettings
  readonly #parameters: Readonly<Record<string, string>>
  /** Chosen by us: so that a job can be deleted though the answer to its making never came. */
  #sid: string | undefined
  #made = false
  /** Whether the last step ended for want of a session key. */
  #renewed = false
  #poll = firstPoll
  #total: number | undefined
  readonly #pages: HeldPage[] = []
  /** Parts of the results that no page is held of. */
  #missing: { offset: number; count: number }[] = []
  readonly messages: SplunkMessage[] = []

  constructor(client: SplunkdClient, settings: JobSettings, parameters: Readonly<Record<string, string>>) {
    this.#client = client
    this.#settings = settings
    this.#parameters = parameters
  }

  get sid(): string | undefined {
    return this.#sid
  }

  get bytes(): number {
    return this.#pages.reduce((sum, { held }) => sum + held.bytes, 0)
  }

  /**
   * Goes on from where it stands: makes the job, looks whether it is done, or reads pages. `accepted` once all results are held.
   * A step that is asked for again does not repeat what is done.
   */
  async step(signal: AbortSignal): Promise<SourceVerdict<SearchJob>> {
    const step = await this.#next(signal)
    // The engine asks again one time for all of a slice; a long job may need a new session key several times.
    const renewed = step.kind === 'again' && this.#made && !this.#renewed
    this.#renewed = step.kind === 'again'
    return renewed ? { kind: 'wait', after: 0, page: this } : step
  }

  async #next(signal: AbortSignal): Promise<SourceVerdict<SearchJob>> {
    if (!this.#made) return this.#create(signal)
    return this.#total === undefined ? this.#look(signal) : this.#read(signal)
  }

  /** The results of its pages, in order. @throws SyntaxError */
  async *results(): AsyncGenerator<Record<string, unknown>[]> {
    this.#pages.sort((a, b) => a.offset - b.offset)
    for (const { held, packed } of this.#pages) yield* pageResults(unpacked(held.chunks(), packed))
  }

  release(): void {
    for (const { held } of this.#pages) held.release()
    this.#pages.length = 0
  }

  /** Deletes the job at splunkd. It never fails: a job that is not deleted ends by itself. */
  async remove(signal: AbortSignal): Promise<void> {
    const sid = this.#sid
    this.#sid = undefined
    this.#made = false
    if (sid === undefined) return
    try {
      const answer = await this.#client.open({ method: 'DELETE', path: jobPath(sid), signal })
      if (answer.kind === 'accepted') answer.value.body.destroy()
    } catch {
      // The signal fired.
    }
  }

  /** https://docs.splunk.com/Documentation/Splunk/latest/RESTREF/RESTsearch#search.2Fjobs */
  async #create(signal: AbortSignal): Promise<SourceVerdict<SearchJob>> {
    const id = `cyber_connectors_${randomUUID()}`
    this.#sid = id
    const parameters = {
      ...this.#parameters,
      id,
      exec_mode: 'normal',
      // With buckets, the results that are kept may be a sample.
      status_buckets: '0',
      max_count: String(mostResults),
      auto_cancel: String(autoCancel),
    }
    const made = await this.#client.ask({ method: 'POST', path: 'search/jobs', parameters, signal })
    if (made.kind !== 'accepted') {
      const answered = !('error' in made) || made.error.status !== undefined
      if (answered) this.#sid = undefined
      else await this.remove(signal)
      return made
    }
    const { sid } = made.value as { sid?: unknown }
    if (typeof sid === 'string' && sid !== '') {
      this.#sid = sid
      this.#made = true
      this.#poll = firstPoll
      return this.#wait()
    }
    this.#sid = undefined
    const error = this.#client.error('the answer to a new job has no sid')
    return judged(this.#client, messagesIn(made.value)) ?? retry(error)
  }

  #wait(): SourceVerdict<SearchJob> {
    const after = this.#poll
    this.#poll = Math.min(longestPoll, after * 2)
    return { kind: 'wait', after, page: this }
  }

  async #look(signal: AbortSignal): Promise<SourceVerdict<SearchJob>> {
    const looked = await this.#client.ask({ method: 'GET', path: jobPath(this.#sid!), signal })
    if (looked.kind !== 'accepted') return this.#orGone(looked)
    const content = contentOf(looked.value)
    const messages = messagesIn(content)
    this.messages.splice(0, this.messages.length, ...messages)
    const verdict = judged(this.#client, messages)
    const state = String(content['dispatchState'] ?? '').toUpperCase()
    const failed = is(content['isFailed']) || state === 'FAILED' || is(content['isZombie'])
    if (failed || (verdict && verdict.kind !== 'retry')) {
      const said = messages.map(({ text }) => text).join('; ')
      const answer = verdict ?? retry(this.#client.error(`the job failed${said ? `: ${said}` : ''}`))
      await this.remove(signal)
      return answer
    }
    if (!is(content['isDone'])) return this.#wait()
    if (verdict) {
      await this.remove(signal)
      return verdict
    }
    const count = Number(content['resultCount'])
    if (is(content['isFinalized']))
      return this.#cut('the job was ended before all its results were there (it is finalized)')
    if (!Number.isSafeInteger(count) || count < 0) {
      return retry(
        this.#client.error(
          `the job does not say how many results it has (resultCount ${String(content['resultCount'])})`,
        ),
      )
    }
    if (count >= mostResults)
      return this.#cut(`the job has ${count} results, as many as are kept: it may lack the rest`)
    this.#total = count
    for (let offset = 0; offset < count; offset += this.#settings.page_rows) {
      this.#missing.push({ offset, count: Math.min(this.#settings.page_rows, count - offset) })
    }
    return this.#read(signal)
  }

  #cut(why: string): SourceVerdict<SearchJob> {
    return { kind: 'split', error: this.#client.error(why) }
  }

  /** A job that splunkd no longer knows is made anew. */
  #orGone(answer: SourceFailure): SourceVerdict<SearchJob> {
    if (answer.kind !== 'fatal' || answer.error.status !== 404) return answer
    this.#sid = undefined
    this.#made = false
    this.#total = undefined
    this.#missing = []
    this.release()
    return retry(answer.error)
  }

  /** Reads the pages that are missing, some at a time, until all are there or one fails. */
  async #read(signal: AbortSignal): Promise<SourceVerdict<SearchJob>> {
    let failed: SourceFailure | undefined
    const worker = async () => {
      for (let part = this.#missing.shift(); part && !failed; part = this.#missing.shift()) {
        const page = await this.#page(part.offset, part.count, signal)
        if ('kind' in page) {
          failed ??= page
          this.#missing.unshift(part)
          return
        }
        if (page.rows > part.count) {
          page.held.release()
          this.#missing.unshift(part)
          failed ??= retry(
            this.#client.error(`a page has ${page.rows} results, of ${part.count} that were asked for`),
          )
          return
        }
        this.#pages.push(page)
        // A server whose pages are shorter than that (maxresultrows).
        const rest = part.count - page.rows
        if (rest > 0) this.#missing.unshift({ offset: part.offset + page.rows, count: rest })
      }
    }
    const workers = Math.min(this.#settings.max_in_flight, this.#missing.length)
    await Promise.all(Array.from({ length: workers }, worker))
    if (failed) return this.#orGone(failed)
    await this.remove(signal)
    return { kind: 'accepted', value: this }
  }

  async #page(offset: number, count: number, signal: AbortSignal): Promise<HeldPage | SourceFailure> {
    const parameters = { offset: String(offset), count: String(count), segmentation: 'none' }
    const path = `${jobPath(this.#sid!, 'v2')}/results`
    const opened = await openWithFallback(this.#client, { path, parameters, signal })
    if (opened.kind !== 'accepted') return opened
    const response = opened.value
    const memory = this.#settings.held_bytes / this.#settings.max_in_flight
    const held = new HeldBody({ memory })
    try {
      const packed = isPacked(response)
      const survey = new PageSurvey()
      const client = this.#client
      const keeping = async function* () {
        for await (const chunk of response.body as AsyncIterable<Buffer>) {
          const kept = held.write(chunk)
          if (kept) await kept
          yield chunk
        }
      }
      for await (const chunk of unpacked(keeping(), packed)) survey.write(chunk)
      await held.end()
      const outline = survey.end()
      const wrong =
        judged(client, messagesIn(outline)) ??
        (outline['preview'] === true ? retry(client.error('the results are a preview')) : undefined) ??
        (survey.rows === 0 ? retry(client.error(`a page of results is empty at ${offset}`)) : undefined)
      if (wrong) {
        held.release()
        return wrong
      }
      return { offset, rows: survey.rows, held, packed }
    } catch (error) {
      held.release()
      signal.throwIfAborted()
      if (error instanceof BadPage)
        return retry(this.#client.error(`a page of results can not be read: ${error.message}`))
      return this.#client.fault(error)
    } finally {
      response.body.destroy()
    }
  }
}

/** Whether this splunkd has only the endpoints of version 1: found out once. */
const oldServers = new WeakSet<SplunkdClient>()

/** Asks the endpoint of version 2, and that of version 1 where there is none. */
export async function openWithFallback(
  client: SplunkdClient,
  request: { path: string; parameters: Record<string, string>; signal: AbortSignal; method?: 'GET' | 'POST' },
): ReturnType<SplunkdClient['open']> {
  const { method = 'GET', ...rest } = request
  const old = () => client.open({ ...rest, method, path: rest.path.replace('search/v2/', 'search/') })
  if (oldServers.has(client)) return old()
  const opened = await client.open({ ...rest, method })
  if (opened.kind !== 'fatal' || opened.error.status !== 404) return opened
  const answer = await old()
  if (answer.kind === 'accepted') oldServers.add(client)
  return answer
}

function jobPath(sid: string, version?: 'v2'): string {
  return `search/${version ? 'v2/' : ''}jobs/${encodeURIComponent(sid)}`
}

function contentOf(document: unknown): Record<string, unknown> {
  const { entry } = document as { entry?: { content?: unknown }[] }
  const content = Array.isArray(entry) ? entry[0]?.content : undefined
  return typeof content === 'object' && content !== null ? (content as Record<string, unknown>) : {}
}

/** Splunk writes booleans as such, and as 0 and 1. */
function is(value: unknown): boolean {
  return value === true || value === 1 || value === '1' || value === 'true'
}

function retry(error: ConnectorError): SourceFailure {
  return { kind: 'retry', error }
}

/** What messages make of an answer; undefined where it may be whole. */
export function judged(client: SplunkdClient, messages: readonly SplunkMessage[]): SourceFailure | undefined {
  const found = decisive(messages)
  if (!found) return undefined
  const { type, text } = found.message
  const said = client.redact(text)
  const details = { status: 200, serviceCode: type, serviceText: said }
  switch (found.meaning) {
    case 'busy':
      return {
        kind: 'retry',
        error: client.error(`too many searches run: ${said}`, details),
        holdAll: true,
      }
    case 'cut':
      return { kind: 'split', error: client.error(`the result is not whole: ${said}`, details) }
    case 'refused':
      return { kind: 'fatal', error: client.error(`the search was refused: ${said}`, details) }
    case 'timerange':
      return {
        kind: 'fatal',
        error: client.error(
          `the search has a time range of its own, in place of the window that was asked for: ${said}. Take earliest and latest out of the search and of its macros`,
          details,
        ),
      }
    default:
      return retry(client.error(`the search failed: ${said}`, details))
  }
}
