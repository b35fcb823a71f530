import type { EmulatorOptions } from '../emulator.ts'
import type { HecEmulator } from '../hec.ts'

export interface SplunkSearchEmulatorOptions extends EmulatorOptions {
  /** An authentication token, good for `Bearer` and `Splunk`. Default: a random one in the form of a JWT. */
  token?: string
  /** The user who may log in. Default `admin`. */
  username?: string
  /** Default: random. */
  password?: string
  /** Seconds that a session key lives without use. Default 3,600, as `sessionTimeout`. */
  sessionSeconds?: number
  /** A collector whose events are searched as well, from now on. */
  hec?: HecEmulator
  /** Most events that are kept: the oldest go first. Default: all. */
  maxEvents?: number
  /** Version in `server/info`. Default `10.0.0`; `8.2.0` without `v2`. */
  version?: string
  /** Whether the paths `search/v2/...` are there. Releases before 9.0.1 answer 404. Default true. */
  v2?: boolean
  /** How `_time` reads in an export: `zone` as `2026-10-08 13:48:34.000 GMT`, `offset` as ISO 8601. Default `zone`. */
  timeForm?: 'zone' | 'offset'
  /** The zone in which times are written: its abbreviation, and minutes east of Greenwich. Default `GMT` and 0. */
  timeZone?: { name: string; minutes: number }
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
  /** Most rows that a job keeps. Default 500,000 (`max_count`). */
  maxCount?: number
  /** The service's clock. Default: the machine's. */
  now?: () => Date | number
  /** Whether an export's bytes are kept and given again while events and answers stay as they are: for load tests. */
  cacheAnswers?: boolean
}
