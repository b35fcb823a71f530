import { once } from 'node:events'
import type { Readable, Writable } from 'node:stream'
import { inspectCheckpoint } from '../checkpoint/checkpoint.ts'
import type { ConnectorError } from '../core/errors.ts'
import type { Health } from '../core/health.ts'
import { openStore } from '../stores/open-store.ts'
import { adviceFor, exitCodeOf, exitCodes, isAboutSecret, printable, type Trouble } from './failures.ts'
import { openDeadLetter, type Plan } from './plan.ts'
import { firstRows, previewOf } from './trial-rows.ts'

/** The result of checking one part of a job. */
interface Finding {
  readonly what: string
  readonly text: string
  readonly code: number
}

/**
 * Checks what a job needs without moving a row. The options are valid, since there is a plan. Source and sink report their
 * health, the checkpoint is read and compared. Prints a line for each.
 * @returns the exit code
 */
export async function checkPlan(plan: Plan): Promise<number> {
  const findings = [
    { what: 'options', text: 'all are right', code: exitCodes.done },
    await checkSource(plan),
    ...(await checkCheckpoint(plan)),
    await checkSink(plan),
  ]
  // A row can be tried only if both ends can.
  if (findings.every(({ code }) => code === exitCodes.done)) findings.push(...(await checkRow(plan)))
  for (const { what, text, code } of findings) {
    process.stdout.write(printable(`${code === exitCodes.done ? 'ok  ' : 'FAIL'}  ${what}: ${text}\n`))
  }
  return Math.max(...findings.map(({ code }) => code))
}

async function checkSource(plan: Plan): Promise<Finding> {
  const what = `source ${plan.job.source.connector}`
  const { input } = plan.job
  if (input) return { what, text: `the file ${input.path}`, code: exitCodes.done }
  const make = plan.makeStream ?? plan.makeSource
  if (!make) return { what, text: 'standard input', code: exitCodes.done }
  try {
    return await probe(what, make(), 'there is nothing to try without reading rows')
  } catch (error) {
    return failed(what, error)
  }
}

/** Reads the checkpoint of a streaming job without locking it: a running job may hold it. */
async function checkCheckpoint(plan: Plan): Promise<Finding[]> {
  if (!plan.makeStream) return []
  const what = 'checkpoint'
  try {
    const source = plan.makeStream()
    const place = source.checkpointLocation ?? plan.job.checkpoint
    source.destroy()
    if (place === undefined) return []
    const stored = await openStore(place).read!('')
    const offset = await inspectCheckpoint(stored, source.identity, source.planner)
    const text =
      offset === undefined
        ? `${stored.location} is new`
        : `${stored.location} is at ${JSON.stringify(offset)}`
    return [{ what, text, code: exitCodes.done }]
  } catch (error) {
    return [failed(what, error)]
  }
}

type Probed = (Readable | Writable) & { healthy?: () => Promise<Health> }

/** Checks the health of a stream, and closes it. */
async function probe(what: string, stream: Probed, silent: string): Promise<Finding> {
  try {
    const health = await stream.healthy?.()
    if (!health) return { what, text: silent, code: exitCodes.done }
    if (health.healthy) return { what, text: health.text, code: exitCodes.done }
    if (health.option !== undefined) return { what, text: health.text, code: exitCodes.usage }
    return {
      what,
      text: withAdvice(health.text, health),
      code: isAboutSecret(health) ? exitCodes.credentials : exitCodes.failed,
    }
  } finally {
    stream.destroy()
    if (!stream.closed) await once(stream, 'close')
  }
}

async function checkSink(plan: Plan): Promise<Finding> {
  const what = `sink ${plan.job.sink.connector}`
  if (!plan.makeSink) return { what, text: 'standard output', code: exitCodes.done }
  try {
    const deadLetter = await openDeadLetter(plan)
    try {
      return await probe(what, plan.makeSink(deadLetter), 'there is nothing to try without sending a row')
    } finally {
      deadLetter?.destroy()
      if (deadLetter && !deadLetter.closed) await once(deadLetter, 'close')
    }
  } catch (error) {
    return failed(what, error)
  }
}

/** Reads a row and encodes it, so that its time, its names and its fields are tried. */
async function checkRow(plan: Plan): Promise<Finding[]> {
  const what = 'row'
  // Standard input could not be read again; a stream with a checkpoint of its own would lock it.
  const own = plan.makeStream?.()
  const locks = own?.checkpointLocation !== undefined
  own?.destroy()
  if (locks || (!plan.makeSource && !plan.makeStream)) return []
  try {
    const [row] = await firstRows(plan, 1, rowPatience)
    if (row === undefined) return [{ what, text: 'the source has none to try', code: exitCodes.done }]
    const bytes = Buffer.byteLength(await previewOf(plan, [row]))
    return [{ what, text: `one was read and encoded, ${bytes} bytes; it was not sent`, code: exitCodes.done }]
  } catch (error) {
    return [failed(what, error)]
  }
}

/** Milliseconds that a check waits for a row. */
const rowPatience = 5_000

function failed(what: string, error: unknown): Finding {
  const { message, status } = error as ConnectorError
  return { what, text: withAdvice(message, { status, error }), code: exitCodeOf(error) }
}

/** The text, followed by advice if there is any. */
function withAdvice(text: string, about: Trouble): string {
  const advice = adviceFor(text, about)
  return advice === undefined ? text : `${text}\n      ${advice}`
}
