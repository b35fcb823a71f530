import { randomUUID } from 'node:crypto'
import { setImmediate as turn } from 'node:timers/promises'
import { blocksOf, joined } from '../../../core/blocks.ts'
import type { ConnectorError } from '../../../core/errors.ts'
import { parseElements } from '../../../core/json-bytes.ts'
import { type ArrayRange, JsonOutline, JsonScanner, MalformedJson } from '../../../core/json-scanner.ts'
import { onAbort } from '../../../core/on-abort.ts'
import type { SourceFailure, SourceVerdict } from '../../../core/verdict.ts'
import { headerOf } from '../../../http/response.ts'
import { HeldBody } from '../../../source/held-body.ts'
import { isGzip } from '../../../source/packed.ts'
import { batchBytes, longestResult } from './export.ts'
import { judged, messagesIn, type SplunkMessage } from './messages.ts'
import type { SplunkdClient } from './splunkd-client.ts'

/** Interval of polling a job, in milliseconds: first and longest. */
const [firstPoll, longestPoll] = [50, 5_000]

/** Maximum results of a job: the default of `max_count` in limits.conf, also requested. */
export const mostResults = 500_000

/** Seconds without a request after which splunkd cancels a job: after a crash it is not deleted. */
const autoCancel = 300

interface HeldPage {
  readonly offset: number
  readonly held: HeldBody
  /** URL of its results, and their number. */
  readonly range: ArrayRange
}

export interface JobSettings {
  readonly page_rows: number
  readonly max_in_flight: number
  readonly held_bytes: number
}

/** One search job: creates it, waits, holds its pages, deletes it. */
export class SearchJob {
  readonly #client: SplunkdClient
  readonly #settings: JobSettings
  readonly #parameters: Readonly<Record<string, string>>
  /** Chosen here, so that a job can be deleted even if the answer to its creation is lost. */
  #sid: string | undefined
  #made = false
  /** Jobs that failed, or that splunkd no longer knew. */
  #lost = 0
  /** Whether the last step ended because a session key expired. */
  #renewed = false
  #poll = firstPoll
  #total: number | undefined
  readonly #pages: HeldPage[] = []
  /** Parts of the results without a held page. */
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
   * Continues: creates the job, polls it, or reads pages. `accepted` after all results are held. A repeated step does not
   * repeat finished work.
   */
  async step(signal: AbortSignal): Promise<SourceVerdict<SearchJob>> {
    const step = await this.#next(signal)
    // The engine allows one `again` for a slice; a long job may need several new session keys.
    const renewed = step.kind === 'again' && this.#made && !this.#renewed
    this.#renewed = step.kind === 'again'
    return renewed ? { kind: 'wait', after: 0, page: this, isProgress: false } : step
  }

  async #next(signal: AbortSignal): Promise<SourceVerdict<SearchJob>> {
    if (!this.#made) return this.#create(signal)
    return this.#total === undefined ? this.#look(signal) : this.#read(signal)
  }

  /** The results of its pages, in order. @throws SyntaxError */
  async *results(): AsyncGenerator<Record<string, unknown>[]> {
    this.#pages.sort((a, b) => a.offset - b.offset)
    for (const { held, range } of this.#pages) {
      const text = held.text(range.start, range.end)
      const blocks = blocksOf(text, new JsonScanner(true), range.start, longestResult)
      for await (const block of joined(blocks, batchBytes)) {
        const results = parseElements(block.bytes) as Record<string, unknown>[]
        if (results.length > 0) yield results
        await turn()
      }
    }
  }

  release(): void {
    for (const { held } of this.#pages) held.release()
    this.#pages.length = 0
  }

  /** Deletes the job at splunkd. It never fails: splunkd cancels a job that is not deleted. */
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
      // With status buckets, splunkd may keep only a sample of the results.
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
    return judged(messagesIn(made.value), this.#client) ?? retry(error)
  }

  #wait(): SourceVerdict<SearchJob> {
    const after = this.#poll
    this.#poll = Math.min(longestPoll, after * 2)
    // A job that is created again is a retry: polling it must not reset the budget.
    return { kind: 'wait', after, page: this, isProgress: this.#lost === 0 }
  }

  async #look(signal: AbortSignal): Promise<SourceVerdict<SearchJob>> {
    const looked = await this.#client.ask({ method: 'GET', path: jobPath(this.#sid!), signal })
    if (looked.kind !== 'accepted') return this.#orGone(looked)
    const content = contentOf(looked.value)
    const messages = messagesIn(content)
    this.messages.splice(0, this.messages.length, ...messages)
    const verdict = judged(messages, this.#client)
    const state = String(content['dispatchState'] ?? '').toUpperCase()
    const failed = is(content['isFailed']) || state === 'FAILED' || is(content['isZombie'])
    if (failed || (verdict && verdict.kind !== 'retry')) {
      const said = messages.map(({ text }) => text).join('; ')
      const answer = verdict ?? retry(this.#client.error(`the job failed${said ? `: ${said}` : ''}`))
      await this.remove(signal)
      this.#lost++
      return answer
    }
    if (!is(content['isDone'])) return this.#wait()
    if (verdict) {
      await this.remove(signal)
      this.#lost++
      return verdict
    }
    const count = Number(content['resultCount'])
    if (is(content['isFinalized']))
      return this.#cut('the job was finalized before all its results were there')
    if (!Number.isSafeInteger(count) || count < 0) {
      return retry(
        this.#client.error(
          `the job does not say how many results it has (resultCount ${String(content['resultCount'])})`,
        ),
      )
    }
    if (count >= mostResults)
      return this.#cut(`the job has ${count} results, as many as splunkd keeps: results may be missing`)
    this.#total = count
    for (let offset = 0; offset < count; offset += this.#settings.page_rows) {
      this.#missing.push({ offset, count: Math.min(this.#settings.page_rows, count - offset) })
    }
    return this.#read(signal)
  }

  #cut(why: string): SourceVerdict<SearchJob> {
    return { kind: 'split', error: this.#client.error(why) }
  }

  /** A job that splunkd no longer knows is created again. */
  #orGone(answer: SourceFailure): SourceVerdict<SearchJob> {
    if (answer.kind !== 'fatal' || answer.error.status !== 404) return answer
    this.#sid = undefined
    this.#made = false
    this.#lost++
    this.#total = undefined
    this.#missing = []
    this.release()
    return retry(answer.error)
  }

  /** Reads the missing pages, several at once, until all are held or one fails. */
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
        if (page.range.count > part.count) {
          page.held.release()
          this.#missing.unshift(part)
          failed ??= retry(
            this.#client.error(
              `a page has ${page.range.count} results, of ${part.count} that were asked for`,
            ),
          )
          return
        }
        this.#pages.push(page)
        // The server limits pages to fewer rows (maxresultrows).
        const rest = part.count - page.range.count
        if (rest > 0) this.#missing.unshift({ offset: part.offset + page.range.count, count: rest })
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
    const opened = await this.#client.openLatest({ method: 'GET', path, parameters, signal })
    if (opened.kind !== 'accepted') return opened
    const response = opened.value
    const { body } = response
    const client = this.#client
    const held = new HeldBody({ memory: this.#settings.held_bytes / this.#settings.max_in_flight })
    const ignore = onAbort(signal, () => body.destroy(signal.reason))
    try {
      const isPacked = isGzip(headerOf(response, 'content-encoding'))
      const outline = new JsonOutline({ path: ['results'], elements: 'objects', limit: longestResult })
      for await (const chunk of held.receive(body, { isPacked })) outline.write(chunk)
      const { document, arrays } = outline.end()
      const [range] = arrays
      const wrong =
        judged(messagesIn(document), client) ??
        (document['preview'] === true ? retry(client.error('the results are a preview')) : undefined)
      if (!wrong && range?.count) return { offset, held, range }
      held.release()
      return wrong ?? retry(client.error(`a page of results is empty at ${offset}`))
    } catch (error) {
      held.release()
      signal.throwIfAborted()
      if (error instanceof MalformedJson)
        return retry(client.error(`a page of results can not be read: ${error.message}`))
      return client.fault(error)
    } finally {
      ignore()
      body.destroy()
    }
  }
}

function jobPath(sid: string, version?: 'v2'): string {
  return `search/${version ? 'v2/' : ''}jobs/${encodeURIComponent(sid)}`
}

function contentOf(document: unknown): Record<string, unknown> {
  const { entry } = document as { entry?: { content?: unknown }[] }
  const content = Array.isArray(entry) ? entry[0]?.content : undefined
  return typeof content === 'object' && content !== null ? (content as Record<string, unknown>) : {}
}

/** Splunk writes booleans also as 0 and 1. */
function is(value: unknown): boolean {
  return value === true || value === 1 || value === '1' || value === 'true'
}

function retry(error: ConnectorError): SourceFailure {
  return { kind: 'retry', error }
}
