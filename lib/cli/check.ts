import { once } from 'node:events'
import type { Readable, Writable } from 'node:stream'
import { ConnectorError } from '../core/errors.ts'
import type { Health } from '../core/health.ts'
import { maker } from '../registry.ts'
import { exitCodeOf, exitCodes } from './exit-codes.ts'
import { openDeadLetter, type Plan } from './plan.ts'

/** What a look at one end of a job has found. */
interface Finding {
  readonly what: string
  readonly text: string
  readonly code: number
}

/**
 * Tries what a job needs without moving a row: the options are right already, since there is a plan; the source is asked
 * its query for no rows, which takes credentials and endpoint; the sink whether it would take rows. Prints a line each.
 * @returns the exit code
 */
export async function checkPlan(plan: Plan): Promise<number> {
  const findings = [
    { what: 'options', text: 'all are right', code: exitCodes.done },
    await checkSource(plan),
    await checkSink(plan),
  ]
  for (const { what, text, code } of findings) {
    process.stdout.write(`${code === exitCodes.done ? 'ok  ' : 'FAIL'}  ${what}: ${text}\n`)
  }
  return Math.max(...findings.map(({ code }) => code))
}

async function checkSource(plan: Plan): Promise<Finding> {
  const { connector, options } = plan.job.source
  const what = `source ${connector}`
  if (!plan.makeSource) return { what, text: 'standard input', code: exitCodes.done }
  try {
    const probe = emptyQuery(plan)
    if (!probe) return { what, text: 'there is nothing to try without reading rows', code: exitCodes.done }
    for await (const _ of probe);
    return {
      what,
      text: `signed in, and the query "${brief(options['query'])}" is good`,
      code: exitCodes.done,
    }
  } catch (error) {
    return failed(what, error)
  }
}

/** The source's own query over the shortest of times, told to give no rows. */
function emptyQuery({ job: { source } }: Plan): Readable | undefined {
  const { query } = source.options
  if (typeof query !== 'string') return undefined
  const bounded = maker(source.connector, 'readable', 'source')
  const known = Object.keys(bounded.declaration?.specs ?? {})
  const { num_partitions: _, numPartitions: __, ...options } = source.options
  const kept = Object.entries(options).filter(
    ([name]) => known.includes(name) && !['start_time', 'end_time', 'timespan', 'window'].includes(name),
  )
  return bounded.create({
    ...Object.fromEntries(kept),
    query: `${query.replace(/[;\s]+$/, '')}\n| take 0`,
    timespan: 'PT1M',
    max_retries: 0,
  })
}

async function checkSink(plan: Plan): Promise<Finding> {
  const what = `sink ${plan.job.sink.connector}`
  if (!plan.makeSink) return { what, text: 'standard output', code: exitCodes.done }
  try {
    const deadLetter = await openDeadLetter(plan)
    const sink = plan.makeSink(deadLetter) as Writable & { healthy?: () => Promise<Health> }
    try {
      const health = await sink.healthy?.()
      if (!health)
        return { what, text: 'there is nothing to try without sending a row', code: exitCodes.done }
      if (health.healthy) return { what, text: health.text, code: exitCodes.done }
      return {
        what,
        text: withAdvice(health.text, health),
        code: isAboutSecret(health) ? exitCodes.credentials : exitCodes.failed,
      }
    } finally {
      for (const stream of [sink, deadLetter]) {
        if (!stream) continue
        stream.destroy()
        if (!stream.closed) await once(stream, 'close')
      }
    }
  } catch (error) {
    return failed(what, error)
  }
}

/** HEC's health endpoint answers a bad token with 400. */
function isAboutSecret({
  text,
  status,
}: {
  readonly text: string
  readonly status?: number | undefined
}): boolean {
  return status === 401 || status === 403 || (status === 400 && /token/i.test(text))
}

function failed(what: string, error: unknown): Finding {
  const { message, status } = error as ConnectorError
  return { what, text: withAdvice(message, { status, error }), code: exitCodeOf(error) }
}

/** The text, and what to do about it. */
function withAdvice(text: string, about: { status?: number | undefined; error?: unknown }): string {
  const advice = adviceFor(text, about)
  return advice === undefined ? text : `${text}\n      ${advice}`
}

function adviceFor(
  text: string,
  { status, error }: { status?: number | undefined; error?: unknown },
): string | undefined {
  if (/self.signed|unable to (verify|get)|CERT_|certificate/i.test(text))
    return 'The certificate is not trusted: give the authority that issued it as "ca".'
  if (/ENOTFOUND|EAI_AGAIN/.test(text)) return 'The name of the host is not known: check the URL.'
  if (/ECONNREFUSED|ETIMEDOUT|EHOSTUNREACH|ECONNRESET|timeout/i.test(text))
    return 'Nothing answers there: check host and port, the proxy, and that a firewall lets it through.'
  if ((error instanceof ConnectorError && error.code === 'ERR_AUTH') || isAboutSecret({ text, status }))
    return 'Check the token or secret, that it is enabled and has not expired, and that its owner may do this.'
  if (status === 404) return 'The endpoint is not there: check the path of the URL, or the id.'
  return undefined
}

const brief = (text: unknown) => {
  const line = String(text).replace(/\s+/g, ' ')
  return line.length > 60 ? `${line.slice(0, 60)}…` : line
}
