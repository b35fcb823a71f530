import type { SinkStats } from '../sink/events.ts'
import type { QueryNotice } from '../streaming/query-events.ts'
import { listenToAll, type Notices, ReadRows, Reasons, reasonOf } from './notices.ts'

export const queryStates = [
  'waiting for its checkpoint',
  'delivering',
  'retrying',
  'caught up',
  'ended',
  'failed',
] as const

/** Progress of one query or worker. Times are in milliseconds since 1970. */
export interface QueryState {
  readonly source: string
  state: (typeof queryStates)[number]
  /** Its offset: a time, or a number of the source. */
  offset?: string
  windows: number
  /** Rows before this time are delivered, by `performance.now()`: what follows is a duration. */
  committed?: number
  error?: string
  /** Whether its windows are times: then it lags behind the clock even without new rows. */
  isTimed: boolean
}

/** A window that was delivered, or failed. */
export interface WindowState {
  readonly window: string
  readonly source: string
  state: 'done' | 'retried' | 'failed'
  at: number
  rowsIn: number
  rowsOut: number
  /** Seconds. */
  duration: number
  retries: number
  text?: string
  /** Grows with each change, so that a page asks for what is new. */
  change: number
}

/** A kind of failure, and how often it happened. */
export interface Trouble {
  readonly kind: 'retry' | 'window' | 'split' | 'error'
  readonly connector: string
  readonly text: string
  count: number
  at: number
}

/** Rows that were rejected, by connector and reason. */
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

/** The counts at one second. */
export interface Sample extends Readonly<Totals> {
  readonly at: number
  /** Seconds; undefined if no query knows it. */
  readonly lag: number | undefined
  readonly inFlight: number
}

/** The state of the process in one word, the sentence to it, and what probes answer. */
export interface Standing {
  readonly state: (typeof queryStates)[number] | 'running'
  readonly text: string
  /** Why the process should be restarted. A destination that is down is no reason: a new process would not help. */
  readonly unhealthy: readonly string[]
  /** Why rows do not move. */
  readonly unready: readonly string[]
}

/** How much is kept: a quarter of an hour of seconds, and what a page can show. */
const kept = { samples: 900, windows: 200, troubles: 50, refusals: 50, queries: 20 }
const longestText = 300

/** Seconds of retries without any success after which a process is no longer ready. */
const patience = 60

/** Collects what the streams and queries of this process do after its construction. It keeps no row. */
export class Activity {
  readonly started = Date.now()
  readonly totals: Totals = { rowsIn: 0, rowsOut: 0, bytes: 0, batches: 0, retries: 0, rejected: 0 }
  readonly samples: Sample[] = []
  readonly windows: WindowState[] = []
  readonly troubles: Trouble[] = []
  readonly refusals: Refusals[] = []
  /** Names of the connectors that were seen. */
  readonly connectors = { sources: new Set<string>(), sinks: new Set<string>() }
  /** The start of the retries since the last success, by `performance.now()`. */
  #troubledSince: number | undefined
  #change = 0
  readonly #reasons = new Reasons()
  readonly #queries = new Map<object, QueryState>()
  readonly #sinks = new Map<string, Set<{ readonly stats: Readonly<SinkStats> }>>()
  readonly #stop: () => void
  readonly #timer: NodeJS.Timeout

  constructor() {
    const read = new ReadRows()
    this.#stop = listenToAll({
      sink: ({ connector, sink }) => this.#watchSink(connector, sink),
      batch: (batch) => this.#delivered(batch),
      retry: ({ connector, status, code, text }) =>
        this.#retried(connector, status === undefined ? text : `${reasonOf({ status, code })}: ${text}`),
      rejected: (rejected) => this.#refused(rejected),
      'source-window': (window) => {
        this.connectors.sources.add(window.connector)
        this.totals.rowsIn += read.ofSource(window)
        this.#succeeded()
      },
      'source-retry': ({ connector, text }) => {
        this.connectors.sources.add(connector)
        this.#retried(connector, text)
      },
      'source-split': ({ connector, text }) => this.#note('split', connector, text),
      query: (notice) => {
        if (notice.event === 'progress') this.totals.rowsIn += read.ofQuery(notice)
        this.#query(notice)
      },
    })
    this.#timer = setInterval(() => this.sample(), 1000).unref()
  }

  get queries(): readonly QueryState[] {
    const isTroubled = this.#troubledSince !== undefined
    return [...this.#queries.values()].map((query) =>
      isTroubled && query.state === 'delivering' ? { ...query, state: 'retrying' } : query,
    )
  }

  /** Requests in flight, by connector. */
  get inFlight(): ReadonlyMap<string, number> {
    const counts = new Map<string, number>()
    for (const [connector, sinks] of this.#sinks) {
      let sum = 0
      for (const { stats } of sinks) sum += stats.inFlight
      counts.set(connector, sum)
    }
    return counts
  }

  /** Seconds that the slowest query lags; undefined if none knows. */
  get lag(): number | undefined {
    const lags = this.queries.flatMap((query) => lagOf(query) ?? [])
    return lags.length === 0 ? undefined : Math.max(...lags)
  }

  get standing(): Standing {
    const { queries, troubles } = this
    const unhealthy = queries.flatMap(({ state, source, error }) =>
      state === 'failed' ? [`the query of ${source} has failed: ${error}`] : [],
    )
    const waiting = queries.flatMap(({ state, source }) =>
      state === 'waiting for its checkpoint' ? [`the query of ${source} waits for its checkpoint`] : [],
    )
    const since = this.#troubledSince
    const seconds = since === undefined ? 0 : Math.round((performance.now() - since) / 1000)
    const latest = troubles.find(({ kind }) => kind === 'retry' || kind === 'window')
    const cause = latest ? `${latest.connector}: ${latest.text}` : 'a request failed'
    const stuck = seconds > patience ? [`nothing has been delivered for ${seconds} s: ${cause}`] : []
    const unready = [...unhealthy, ...waiting, ...stuck]
    const say = (state: Standing['state'], text: string): Standing => ({ state, text, unhealthy, unready })
    if (unhealthy.length > 0) return say('failed', unhealthy.join('; '))
    if (waiting.length > 0) return say('waiting for its checkpoint', waiting.join('; '))
    if (since !== undefined) return say('retrying', `for ${seconds} s: ${cause}`)
    const active = queries.filter(({ state }) => state !== 'ended')
    if (queries.length === 0) return say('running', '')
    if (active.length === 0) return say('ended', '')
    if (active.every(({ state }) => state === 'caught up')) return say('caught up', 'waiting for new rows')
    return say('delivering', '')
  }

  /** Adds a sample of the counts. Called every second. */
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
    this.connectors.sinks.add(connector)
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
    this.#troubledSince = undefined
  }

  #retried(connector: string, text: string): void {
    this.totals.retries++
    this.#troubled()
    this.#note('retry', connector, text)
  }

  /** Rows wait to be delivered: no query is caught up. */
  #troubled(): void {
    this.#troubledSince ??= performance.now()
    for (const query of this.#queries.values()) if (query.state === 'caught up') leaveIdle(query)
  }

  #refused({ connector, status, code }: Notices['rejected']): void {
    this.totals.rejected++
    // The text may quote the row, so only status and code are shown.
    const reason = this.#reasons.limited(connector, reasonOf({ status, code }))
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
        query.state = 'delivering'
        if (notice.offset) moveTo(query, notice.offset, notice.place)
        break
      case 'progress': {
        const { window, offset, rowsIn, rowsOut, duration, lag, retries } = notice
        if (query.state === 'caught up') leaveIdle(query)
        query.state = 'delivering'
        query.windows++
        if (isTimed(window)) query.isTimed = true
        if (offset) moveTo(query, offset, notice.place)
        if (lag !== undefined || !query.isTimed) query.committed = performance.now() - (lag ?? 0)
        this.#succeeded()
        const news = { state: 'done', rowsIn, rowsOut, duration: duration / 1000, retries } as const
        this.#window(query, notice.place ?? textOf(window), news)
        break
      }
      case 'retry':
      case 'failed': {
        const isRetry = notice.event === 'retry'
        const text = cut(notice.error.message)
        if (isRetry) this.#troubled()
        this.#note('window', query.source, text)
        const name = notice.place ?? textOf(notice.window)
        this.#window(query, name, { state: isRetry ? 'retried' : 'failed', text })
        break
      }
      case 'idle':
        query.state = 'caught up'
        this.#succeeded()
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
    if (source !== undefined) this.connectors.sources.add(source)
    state = {
      source: source ?? 'a function',
      state: 'waiting for its checkpoint',
      windows: 0,
      isTimed: false,
    }
    this.#queries.set(query, state)
    const over = [...this.#queries].find(([, one]) => one.state === 'ended' || one.state === 'failed')
    if (this.#queries.size > kept.queries && over) this.#queries.delete(over[0])
    return state
  }

  #window(
    { source }: QueryState,
    name: string,
    news: Partial<WindowState> & Pick<WindowState, 'state'>,
  ): void {
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

/** Seconds that a query lags; undefined if it does not know, or has ended. */
export function lagOf({ committed, state, isTimed }: QueryState): number | undefined {
  if (state === 'ended') return undefined
  if (state === 'caught up' && !isTimed) return 0
  return committed === undefined ? undefined : Math.max(0, performance.now() - committed) / 1000
}

/** A query has something to deliver again. Until now it was caught up, so its lag starts now. */
function leaveIdle(query: QueryState): void {
  query.state = 'delivering'
  if (!query.isTimed) query.committed = performance.now()
}

function isTimed(window: object): boolean {
  const { start, end } = window as { start?: unknown; end?: unknown }
  return typeof start === 'string' && typeof end === 'string'
}

function moveTo(query: QueryState, offset: object, place?: string): void {
  const { timestamp } = offset as { timestamp?: unknown }
  if (typeof timestamp === 'string') {
    query.isTimed = true
    query.offset = timestamp
  } else query.offset = place ?? textOf(offset)
}

/** An offset or a window in few words: its times if it has them. */
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
