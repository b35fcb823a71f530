import {
  floorDivide,
  formatSeconds,
  secondsToTicks,
  type Ticks,
  ticksPerMillisecond,
  ticksPerSecond,
} from '../../../core/time.ts'
import type { Window } from '../../../core/window.ts'

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
