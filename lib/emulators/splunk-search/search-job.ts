import type { SearchFault, SearchMessage } from './search-fault.ts'
import type { SearchRequest } from './search-request.ts'
import type { SearchRow } from './search-row.ts'
import { formatEpoch, formatWithOffset, type Nanoseconds } from './time.ts'

const utc = { name: 'UTC', minutes: 0 }

/** A search that runs by itself and keeps its rows. */
export class SearchJob {
  readonly sid: string
  readonly request: SearchRequest
  readonly rows: readonly SearchRow[]
  readonly columns: readonly string[] | undefined
  readonly messages: readonly SearchMessage[]
  /** When somebody asked for it last, in milliseconds since 1970. */
  touched: number
  readonly #published: Nanoseconds
  readonly #transforming: boolean
  readonly #fault: SearchFault | undefined
  readonly #polls: number
  #asked = 0

  constructor(
    sid: string,
    request: SearchRequest,
    found: {
      rows: readonly SearchRow[]
      columns: readonly string[] | undefined
      transforming: boolean
      messages: readonly SearchMessage[]
    },
    { fault, polls, now }: { fault: SearchFault | undefined; polls: number; now: Nanoseconds },
  ) {
    this.sid = sid
    this.request = request
    this.rows = fault?.failed ? [] : found.rows.slice(0, fault?.rows)
    this.columns = found.columns
    this.messages = [...found.messages, ...(fault?.messages ?? [])]
    this.#transforming = found.transforming
    this.#fault = fault
    this.#polls = polls
    this.#published = now
    this.touched = Number(now / 1_000_000n)
  }

  get done(): boolean {
    return this.#asked >= this.#polls
  }

  /** Ends it at once. */
  finish(): void {
    this.#asked = this.#polls
  }

  /** Its state as splunkd tells it. Each ask brings it nearer to its end. */
  ask(): object {
    const done = this.done
    const progress = done ? 1 : this.#asked / this.#polls
    const state = done ? (this.#fault?.failed ? 'FAILED' : 'DONE') : this.#asked === 0 ? 'QUEUED' : 'RUNNING'
    if (!done) this.#asked++
    const count = done ? this.rows.length : 0
    const { search, earliest, latest, parameters } = this.request
    return {
      canSummarize: false,
      cursorTime: '1970-01-01T00:00:00.000+00:00',
      defaultSaveTTL: '604800',
      defaultTTL: '600',
      delegate: '',
      diskUsage: 65_536,
      dispatchState: state,
      doneProgress: progress,
      dropCount: 0,
      earliestTime: formatWithOffset(earliest ?? 0n, utc),
      eventAvailableCount: this.#transforming ? 0 : count,
      eventCount: count,
      eventFieldCount: 15,
      eventIsStreaming: true,
      eventIsTruncated: false,
      eventSearch: search,
      eventSorting: 'desc',
      isDone: done,
      isFailed: state === 'FAILED',
      isFinalized: done && (this.#fault?.finalized ?? false),
      isPaused: false,
      isPreviewEnabled: true,
      isRealTimeSearch: false,
      isSaved: false,
      isSavedSearch: false,
      isZombie: false,
      keywords: '',
      label: '',
      latestTime: formatWithOffset(latest ?? this.#published, utc),
      numPreviews: 0,
      priority: 5,
      provenance: 'rest:jobs',
      resultCount: count,
      resultIsStreaming: !this.#transforming,
      resultPreviewCount: count,
      runDuration: 0.014,
      scanCount: count,
      search,
      searchEarliestTime: Number(formatEpoch(earliest ?? 0n)),
      searchLatestTime: formatEpoch(latest ?? this.#published),
      sid: this.sid,
      statusBuckets: Number(parameters.get('status_buckets') ?? 0),
      ttl: 600,
      performance: {},
      messages: done ? this.messages : [],
      request: Object.fromEntries(parameters),
      runtime: { auto_cancel: '0', auto_pause: '0' },
      searchProviders: ['emulator'],
      'eai:acl': { owner: 'admin', app: 'search', sharing: 'global' },
    }
  }
}
