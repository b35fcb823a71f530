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
 * Fields that a search of events gets at its end, by which its rows are told apart. They are copies made by `eval`: an
 * export writes `_time` with an ambiguous name of its zone and three digits, and `_indextime`, `_bkt` and `_cd` may be
 * left out unless a search names them. The names sort behind all others: Splunk writes fields in alphabetical order, and
 * the last properties of an object are the ones that can be deleted without making it slow.
 */
export const privateFields = {
  bucket: 'zz_connector_bkt',
  address: 'zz_connector_cd',
  indexed: 'zz_connector_indextime',
  time: 'zz_connector_time',
} as const

/** In the order in which they are deleted: the last one first. */
export const privateNames: readonly string[] = Object.values(privateFields).reverse()

/** The search with its private fields, and with all fields that an event has. */
export function withPrivateFields(search: string, identity: boolean): string {
  const { bucket, address, indexed, time } = privateFields
  const ids = identity ? `, ${bucket}=_bkt, ${address}=_cd` : ''
  // On a line of its own: nothing that the search ends with can swallow it.
  return `${search}\n| eval ${time}=_time, ${indexed}=_indextime${ids}\n| fields *`
}

export interface WindowSettings {
  readonly window_by: 'event_time' | 'index_time'
  readonly look_back_seconds: number | 'all'
  readonly look_ahead_seconds: number | 'all'
}

/** What splunkd takes for the end of time. */
const endOfTime = '2147483647'

/**
 * The time bounds of a request.
 *
 * `earliest_time` belongs to the range, `latest_time` does not. Of `index_latest` Splunk says both, so a second more is
 * asked for. Where rows are kept by their own time, a millisecond more is asked for on both sides: whatever splunkd
 * makes of the digits, no row of the window is missed.
 * @param widened whether rows are kept by their own time
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
  // Index time alone would have splunkd look into every bucket.
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
