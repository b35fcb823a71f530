import type { RecordedRequest } from '../fault.ts'
import { SearchError } from './search-row.ts'
import { type Nanoseconds, parseTimeModifier } from './time.ts'

/** A search as it was asked for. */
export interface SearchRequest {
  /** SPL, as sent. */
  search: string
  /** Event times: from here on, up to but without there. Undefined: open. */
  earliest: Nanoseconds | undefined
  latest: Nanoseconds | undefined
  /** Index times, the same. */
  indexEarliest: Nanoseconds | undefined
  indexLatest: Nanoseconds | undefined
  /** How it came. */
  kind: 'export' | 'job' | 'oneshot'
  /** Of the path: 1 or 2. */
  version: 1 | 2
  /** Of `servicesNS`. */
  owner: string | undefined
  app: string | undefined
  /** All that was sent with it. */
  parameters: URLSearchParams
}

/** The parameters of a request: of the query and of a form in the body. */
export function parametersOf(request: RecordedRequest): URLSearchParams {
  const parameters = new URLSearchParams(request.query)
  if (request.method !== 'GET') {
    for (const [name, value] of new URLSearchParams(request.body.toString())) parameters.append(name, value)
  }
  return parameters
}

/** The bounds that time parameters set. @throws SearchError for a time that can't be read */
export function timeBounds(
  read: (name: string) => string | null | undefined,
  now: Nanoseconds,
): Pick<SearchRequest, 'earliest' | 'latest' | 'indexEarliest' | 'indexLatest'> {
  const bound = (name: string): Nanoseconds | undefined => {
    const text = read(name)?.trim()
    if (!text) return undefined
    const time = parseTimeModifier(text, now)
    if (time === undefined) throw new SearchError(`Invalid ${name}.`)
    // Zero is the beginning of all.
    return time === 0n ? undefined : time
  }
  return {
    earliest: bound('earliest_time'),
    latest: bound('latest_time'),
    indexEarliest: bound('index_earliest'),
    indexLatest: bound('index_latest'),
  }
}
