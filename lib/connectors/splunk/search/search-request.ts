import {
  floorDivide,
  formatSeconds,
  secondsToTicks,
  type Ticks,
  ticksPerMillisecond,
  ticksPerSecond,
} from '../../../core/time.ts'
import type { Window } from '../../../core/window.ts'

/**
 * Fields appended to a search of events, which decide the window of a row. They are copies made by `eval`: an export
 * writes `_time` with an ambiguous zone name and three digits, and may leave out `_indextime`, `_bkt` and `_cd` unless
 * the search names them. The names sort last: Splunk writes fields in alphabetical order, and deleting the last
 * properties of an object does not make it slow.
 */
export const privateFields = {
  bucket: 'zz_connector_bkt',
  address: 'zz_connector_cd',
  indexed: 'zz_connector_indextime',
  time: 'zz_connector_time',
} as const

/** In order of deletion: the last one first. */
export const privateNames: readonly string[] = Object.values(privateFields).reverse()

/** The search with its private fields, and with all fields that an event has. */
export function withPrivateFields(search: string, identity: boolean): string {
  const { bucket, address, indexed, time } = privateFields
  const ids = identity ? `, ${bucket}=_bkt, ${address}=_cd` : ''
  // On its own line, so that a comment at the end of the search can't swallow it.
  return `${search}\n| eval ${time}=_time, ${indexed}=_indextime${ids}\n| fields *`
}

export interface WindowSettings {
  readonly window_by: 'event_time' | 'index_time'
  readonly look_back_seconds: number | 'all'
  readonly look_ahead_seconds: number | 'all'
}

/** The latest time that splunkd accepts. */
const endOfTime = '2147483647'

/**
 * The time bounds of a request.
 *
 * The range includes `earliest_time` and excludes `latest_time`. Splunk's reference says both of `index_latest`, so it
 * gets a second more. If rows are filtered by their own time, both sides get a millisecond more, so that no row is
 * missed however splunkd rounds.
 * @param widened whether rows are filtered by their own time
 */
export function timeBounds(
  window: Window,
  settings: WindowSettings,
  widened: boolean,
): Record<string, string> {
  const { start, end } = window
  const { window_by, look_back_seconds: back, look_ahead_seconds: ahead } = settings
  if (window_by === 'event_time') {
    if (!widened) return { earliest_time: notBefore1970(start), latest_time: notBefore1970(end) }
    const from = floor(start, ticksPerMillisecond) - ticksPerMillisecond
    const until = -floor(-end, ticksPerMillisecond) + ticksPerMillisecond
    return { earliest_time: notBefore1970(from), latest_time: notBefore1970(until) }
  }
  // With index time alone splunkd would open every bucket.
  const from = floor(start, ticksPerSecond)
  const until = -floor(-end, ticksPerSecond) + ticksPerSecond
  return {
    earliest_time: back === 'all' ? '0' : notBefore1970(from - secondsToTicks(back)),
    latest_time: ahead === 'all' ? endOfTime : notBefore1970(until + secondsToTicks(ahead)),
    index_earliest: notBefore1970(from),
    index_latest: notBefore1970(until),
  }
}

function floor(ticks: Ticks, by: Ticks): Ticks {
  return floorDivide(ticks, by)[0] * by
}

/** Splunk has no negative times. */
function notBefore1970(ticks: Ticks): string {
  return formatSeconds(ticks > 0n ? ticks : 0n)
}
