import type { SinkStats } from '../sink/events.ts'
import type { QueryNotice } from '../streaming/query-events.ts'
import { listenToAll, type Notices, reasonOf } from './notices.ts'

/** How far one query or worker is. Times are in milliseconds since 1970. */
export interface QueryState {
  readonly source: string
  state: 'waiting for its checkpoint' | 'reading' | 'trying again' | 'caught up' | 'ended' | 'failed'
  offset?: string
  windows: number
  /** All before this time is delivered. */
  committed?: number
  error?: string
}

/** A window that is done, or did not go through. */
export interface WindowState {
  readonly window: string
  readonly source: string
  state: 'done' | 'run again' | 'failed'
  at: number
  rowsIn: number
  rowsOut: number
  /** Seconds. */
  duration: number
  retries: number
  text?: string
  /** Grows with each change, so that a reader can ask for what is new. */
  change: number
}

/** Something that went wrong, and how often. */
export interface Trouble {
  readonly kind: 'retry' | 'window' | 'split' | 'error'
  readonly connector: string
  readonly text: string
  count: number
  at: number
}

/** Rows that were refused for good, by connector and reason. */
export interface Refusals {
  readonly connector: string
  readonly reason: string
  rows: number
}

export interface Totals {
  rowsIn: number
  rowsOut: number
  bytes: number
  batches: number
  retries: number
  rejected: number
}

/** The state of a second. */
export interface Sample extends Readonly<Totals> {
  readonly at: number
  /** Seconds; absent where no query knows it. */
  readonly lag: number | undefined
  readonly inFlight: number
}

/** How much is kept: a quarter of an hour of seconds, and what a page can show. */
const kept = { samples: 900, windows: 200, troubles: 50, refusals: 50, queries: 20 }
const longestText = 300

/** What the streams and queries of this process do, from the moment that this object is made. It keeps no row. */
export class Activity {
  readonly started = Date.now()
  readonly totals: Totals = { rowsIn: 0, rowsOut: 0, bytes: 0, batches: 0, retries: 0, rejected: 0 }
  readonly samples: Sample[] = []
  readonly windows: WindowState[] = []
  readonly troubles: Trouble[] = []
  readonly refusals: Refusals[] = []
  /** When something was last delivered or read to its end. */
  lastSuccess = 0
  /** Since when there are retries and no success. */
  troubledSince: number | undefined
  #change = 0
  readonly #queries = new Map<object, QueryState>()
  readonly #sinks = new Map<string, Set<{ readonly stats: Readonly<SinkStats> }>>()
  readonly #stop: () => void
  readonly #timer: NodeJS.Timeout

  constructor() {
    this.#stop = listenToAll({
      sink: ({ connector, sink }) => this.#watchSink(connector, sink),
      batch: (batch) => this.#delivered(batch),
      retry: ({ connector, status, code, text }) =>
        this.#retried(connector, status === undefined ? text : `${reasonOf({ status, code })}: ${text}`),
      rejected: (rejected) => this.#refused(rejected),
      'source-window': ({ rows }) => {
        this.totals.rowsIn += rows
        this.#succeeded()
      },
      'source-retry': ({ connector, text }) => this.#retried(connector, text),
      'source-split': ({ connector, text }) => this.#note('split', connector, text),
      query: (notice) => this.#query(notice),
    })
    this.#timer = setInterval(() => this.sample(), 1000).unref()
  }

  get queries(): readonly QueryState[] {
    return [...this.#queries.values()]
  }

  /** Requests under way, by connector. */
  get inFlight(): ReadonlyMap<string, number> {
    const counts = new Map<string, number>()
    for (const [connector, sinks] of this.#sinks) {
      let sum = 0
      for (const { stats } of sinks) sum += stats.inFlight
      counts.set(connector, sum)
    }
    return counts
  }

  /** Seconds that the query which is farthest behind lags; undefined where none knows. */
  get lag(): number | undefined {
    const behind = this.queries.flatMap(({ committed, state }) =>
      committed === undefined || state === 'ended' ? [] : [(Date.now() - committed) / 1000],
    )
    return behind.length === 0 ? undefined : Math.max(0, ...behind)
  }

  /** Notes the counts as they are now. Done by itself each second. */
  sample(): void {
    const inFlight = [...this.inFlight.values()].reduce((sum, count) => sum + count, 0)
    this.samples.push({ at: Date.now(), ...this.totals, lag: this.lag, inFlight })
    if (this.samples.length > kept.samples) this.samples.shift()
  }

  close(): void {
    clearInterval(this.#timer)
    this.#stop()
  }

  #watchSink(connector: string, sink: Notices['sink']['sink']): void {
    const sinks = this.#sinks.get(connector) ?? new Set()
    this.#sinks.set(connector, sinks.add(sink))
    ;(sink as Partial<NodeJS.EventEmitter>).once?.('close', () => sinks.delete(sink))
  }

  #delivered({ rows, bytes }: Notices['batch']): void {
    this.totals.rowsOut += rows
    this.totals.bytes += bytes
    this.totals.batches++
    this.#succeeded()
  }

  #succeeded(): void {
    this.lastSuccess = Date.now()
    this.troubledSince = undefined
  }

  #retried(connector: string, text: string): void {
    this.totals.retries++
    this.troubledSince ??= Date.now()
    this.#note('retry', connector, text)
  }

  #refused({ connector, status, code }: Notices['rejected']): void {
    this.totals.rejected++
    // The text may quote the row: status and code alone are shown.
    const reason = reasonOf({ status, code })
    const known = this.refusals.find((one) => one.connector === connector && one.reason === reason)
    if (known) known.rows++
    else if (this.refusals.length < kept.refusals) this.refusals.push({ connector, reason, rows: 1 })
  }

  #query(notice: QueryNotice): void {
    const query = this.#stateOf(notice)
    switch (notice.event) {
      case 'open':
        break
      case 'start':
        query.state = 'reading'
        if (notice.offset) query.offset = textOf(notice.offset)
        break
      case 'progress': {
        const { window, offset, rowsIn, rowsOut, duration, lag, retries } = notice
        query.state = 'reading'
        query.windows++
        if (offset) query.offset = textOf(offset)
        if (lag !== undefined) query.committed = Date.now() - lag
        this.totals.rowsIn += rowsIn
        this.#succeeded()
        this.#window(query, window, { state: 'done', rowsIn, rowsOut, duration: duration / 1000, retries })
        break
      }
      case 'retry':
      case 'failed': {
        const again = notice.event === 'retry'
        const text = cut(notice.error.message)
        if (again) query.state = 'trying again'
        this.troubledSince ??= Date.now()
        this.#note('window', query.source, text)
        this.#window(query, notice.window, { state: again ? 'run again' : 'failed', text })
        break
      }
      case 'idle':
        query.state = 'caught up'
        this.troubledSince = undefined
        break
      case 'end': {
        const { error } = notice
        query.state = error === undefined ? 'ended' : 'failed'
        if (error === undefined) break
        query.error = cut(error instanceof Error ? error.message : String(error))
        this.#note('error', query.source, query.error)
      }
    }
  }

  #stateOf({ query, source }: QueryNotice): QueryState {
    let state = this.#queries.get(query)
    if (state) return state
    state = { source: source ?? 'a source of its own', state: 'waiting for its checkpoint', windows: 0 }
    this.#queries.set(query, state)
    const over = [...this.#queries].find(([, one]) => one.state === 'ended' || one.state === 'failed')
    if (this.#queries.size > kept.queries && over) this.#queries.delete(over[0])
    return state
  }

  #window(
    { source }: QueryState,
    window: object,
    news: Partial<WindowState> & Pick<WindowState, 'state'>,
  ): void {
    const name = textOf(window)
    const change = ++this.#change
    const at = Date.now()
    const known = this.windows.find((one) => one.window === name && one.source === source)
    if (known) {
      Object.assign(known, { at, change }, news)
      return
    }
    this.windows.push({
      window: name,
      source,
      at,
      rowsIn: 0,
      rowsOut: 0,
      duration: 0,
      retries: 0,
      change,
      ...news,
    })
    if (this.windows.length > kept.windows) this.windows.shift()
  }

  #note(kind: Trouble['kind'], connector: string, text: string): void {
    const shown = cut(text)
    const at = this.troubles.findIndex(
      (one) => one.kind === kind && one.connector === connector && one.text === shown,
    )
    const [known] = at < 0 ? [] : this.troubles.splice(at, 1)
    const count = (known?.count ?? 0) + 1
    this.troubles.unshift({ kind, connector, text: shown, count, at: Date.now() })
    if (this.troubles.length > kept.troubles) this.troubles.pop()
  }
}

/** An offset or a window in few words: its times where it has them. */
function textOf(value: object): string {
  const { start, end, id } = value as Record<string, unknown>
  if (typeof start === 'string' && typeof end === 'string') return `${start} to ${end}`
  if (typeof id === 'string') return cut(id)
  const [first, ...others] = Object.values(value)
  return typeof first === 'string' && others.length === 0 ? first : cut(JSON.stringify(value))
}

function cut(text: string): string {
  return text.length > longestText ? `${text.slice(0, longestText)}…` : text
}
