import type { SearchRequest } from './run-search.ts'

export interface SearchMessage {
  type: 'DEBUG' | 'INFO' | 'WARN' | 'ERROR' | 'FATAL'
  text: string
}

/** Something that goes wrong with a search that is answered with status 200. Fields combine. */
export interface SearchFault {
  /** Which searches: part of the SPL, or a test. Default: any. */
  match?: string | ((search: SearchRequest) => boolean)
  /** How many searches it hits. Default 1; `Infinity` for all. */
  times?: number
  /** Messages that come with the rows. */
  messages?: readonly SearchMessage[]
  /** Only so many rows come. */
  rows?: number
  /** Export: so many previews of the rows come before them, though `preview=false` was sent. */
  previews?: number
  /** Export: no row or line says `lastrow`. */
  noLastRow?: boolean
  /** Export: the body ends in the middle of its last line, and HTTP ends well. */
  cutLine?: boolean
  /** Job: it ends early, `isFinalized`. */
  finalized?: boolean
  /** Job: it ends as FAILED, with no rows. Export: no rows and no `lastrow` come. */
  failed?: boolean
}

const historical =
  'concurrency_category="historical", concurrency_context="instance-wide", current_concurrency=10, concurrency_limit=10'

/** What Splunk says and does on its known bad days, for `failSearch`. */
export const searchFaults = {
  /** Too many searches: a message with status 200. For status 503 see `maxSearches`. */
  quota: (): SearchFault => ({ messages: [quotaMessage('WARN')], rows: 0, noLastRow: true }),
  /** The user's disk quota is used up: the search ends early. @param rows how many come before */
  diskQuota: (rows = 1): SearchFault => ({
    messages: [{ type: 'WARN', text: 'Search auto-finalized after disk usage limit (100MB) reached.' }],
    rows,
    finalized: true,
  }),
  /** `srchMaxTime` is over: the search ends early. @param rows how many come before */
  timeLimit: (rows = 1): SearchFault => ({
    messages: [{ type: 'WARN', text: 'Search auto-finalized after time limit (100 seconds) reached.' }],
    rows,
    finalized: true,
  }),
  /** A peer fails in mid-search. @param rows how many come before */
  peerFailed: (rows = 1): SearchFault => ({
    messages: [
      {
        type: 'ERROR',
        text: 'Search results might be incomplete: the search process on peer emulator ended prematurely. Check the peer log, such as $SPLUNK_HOME/var/log/splunk/splunkd.log and as well as the search.log for the particular search.',
      },
    ],
    rows,
  }),
  /** A FATAL error after some rows. */
  fatal: (text = 'The search process with sid failed to run.', rows = 0): SearchFault => ({
    messages: [{ type: 'FATAL', text }],
    rows,
    failed: true,
  }),
} as const

export function quotaMessage(type: 'WARN' | 'FATAL'): SearchMessage {
  return {
    type,
    text: `Search not executed: The maximum number of concurrent historical searches on this instance has been reached., ${historical}`,
  }
}

/** The faults to come. Each search takes the first that matches it. */
export class SearchFaults {
  #queue: { fault: SearchFault; left: number }[] = []

  add(faults: readonly SearchFault[]): void {
    for (const fault of faults) this.#queue.push({ fault, left: fault.times ?? 1 })
  }

  clear(): void {
    this.#queue = []
  }

  take(search: SearchRequest): SearchFault | undefined {
    const found = this.#queue.find(({ fault: { match } }) =>
      typeof match === 'string' ? search.search.includes(match) : (match?.(search) ?? true),
    )
    if (found && --found.left <= 0) this.#queue = this.#queue.filter((one) => one !== found)
    return found?.fault
  }
}
