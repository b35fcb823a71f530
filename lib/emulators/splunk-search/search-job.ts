import type { SearchRow } from './events.ts'
import type { Found, SearchRequest } from './run-search.ts'
import type { SearchFault, SearchMessage } from './search-fault.ts'

/** A search that runs by itself and keeps its rows. */
export class SearchJob {
  readonly sid: string
  readonly request: SearchRequest
  readonly rows: readonly SearchRow[]
  readonly columns: readonly string[] | undefined
  readonly messages: readonly SearchMessage[]
  /** When somebody asked for it last, in milliseconds since 1970. */
  touched: number
  readonly #fault: SearchFault | undefined
  /** How many asks for its state are answered as not done. */
  readonly #polls: number
  #asked = 0

  constructor(
    sid: string,
    request: SearchRequest,
    { rows, columns }: Found,
    { fault, polls, now }: { fault: SearchFault | undefined; polls: number; now: number },
  ) {
    this.sid = sid
    this.request = request
    this.rows = fault?.failed ? [] : [...rows].slice(0, fault?.rows)
    this.columns = columns
    this.messages = fault?.messages ?? []
    this.#fault = fault
    this.#polls = polls
    this.touched = now
  }

  get done(): boolean {
    return this.#asked >= this.#polls
  }

  /** Its state as splunkd tells it. Each ask brings it nearer to its end. */
  ask(): object {
    const done = this.done
    const state = done ? (this.#fault?.failed ? 'FAILED' : 'DONE') : this.#asked === 0 ? 'QUEUED' : 'RUNNING'
    const doneProgress = done ? 1 : this.#asked / this.#polls
    if (!done) this.#asked++
    const count = done ? this.rows.length : 0
    return {
      dispatchState: state,
      doneProgress,
      eventCount: count,
      isDone: done,
      isFailed: state === 'FAILED',
      isFinalized: done && (this.#fault?.finalized ?? false),
      isPaused: false,
      isPreviewEnabled: true,
      resultCount: count,
      runDuration: 0.014,
      scanCount: count,
      search: this.request.search,
      sid: this.sid,
      ttl: 600,
      messages: done ? this.messages : [],
      request: Object.fromEntries(this.request.parameters),
      // Splunk's Python client reads it.
      'eai:acl': { owner: 'admin', app: 'search', sharing: 'global' },
    }
  }
}
