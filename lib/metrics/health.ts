import type { Activity } from './activity.ts'

/** Whether a process does what it should, and why not. */
export interface Standing {
  readonly ok: boolean
  readonly reasons: readonly string[]
}

/** Seconds of retries without any success after which a process is no longer ready. */
const patience = 60

/**
 * Whether the process is well: no query of it has failed. A destination that is away does not count, as a new process
 * would not bring it back.
 */
export function health({ queries }: Activity): Standing {
  const reasons = queries.flatMap(({ state, source, error }) =>
    state === 'failed' ? [`the query of ${source} has failed: ${error}`] : [],
  )
  return { ok: reasons.length === 0, reasons }
}

/** Whether rows move: every query is well and has its checkpoint, and not all is retries for a minute. */
export function readiness(activity: Activity): Standing {
  const reasons = [...health(activity).reasons]
  for (const { state, source } of activity.queries)
    if (state === 'waiting for its checkpoint')
      reasons.push(`the query of ${source} waits for its checkpoint`)
  const { troubledSince, troubles } = activity
  const seconds = troubledSince === undefined ? 0 : (Date.now() - troubledSince) / 1000
  if (seconds > patience) {
    const [latest] = troubles
    reasons.push(
      `nothing has gone through for ${Math.round(seconds)} s: ${latest?.connector}: ${latest?.text}`,
    )
  }
  return { ok: reasons.length === 0, reasons }
}
