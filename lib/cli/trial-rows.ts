import { once } from 'node:events'
import { Readable, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { serialize } from '../core/json.ts'
import { counted } from '../core/quantities.ts'
import { exitCodes, writeOut } from './failures.ts'
import { fileInput, standardInput } from './ndjson.ts'
import type { Plan } from './plan.ts'

/** A sink that can say what it would send. */
type Previewing = Writable & { preview?: (rows: readonly unknown[]) => string }

/** The first rows of a job's source, through its transforms. @param milliseconds after which no row is waited for */
export async function firstRows(plan: Plan, count: number, milliseconds: number): Promise<unknown[]> {
  const { input } = plan.job
  const source = plan.makeSource?.() ?? plan.makeStream?.() ?? (input ? fileInput(input) : standardInput())
  const read: unknown[] = []
  let late = false
  const timer = setTimeout(() => {
    late = true
    source.destroy()
  }, milliseconds)
  try {
    for await (const row of source as AsyncIterable<unknown>) if (read.push(row) === count) break
  } catch (error) {
    if (!late) throw error
  } finally {
    clearTimeout(timer)
    source.destroy()
  }
  const rows: unknown[] = []
  const gather = async (made: AsyncIterable<unknown>) => {
    for await (const row of made) rows.push(row)
  }
  await pipeline([Readable.from(read), ...plan.makeStages(), gather] as never)
  return rows
}

/** The body of one request with these rows, as the sink would send it. @throws Error for a row that can't be sent */
export async function previewOf(plan: Plan, rows: readonly unknown[]): Promise<string> {
  const sink = plan.makeSink?.(undefined) as Previewing | undefined
  if (!sink?.preview) return rows.map((row) => `${serialize(row)}\n`).join('')
  try {
    return sink.preview(rows)
  } finally {
    // Nothing was written, so nothing is left over.
    sink.on('error', () => {}).destroy()
    if (!sink.closed) await once(sink, 'close')
  }
}

/** Most seconds that a dry run or a check waits for rows. */
export const patience = 30_000

/** Prints the body of the first request, and sends nothing. @param count rows in it @returns the exit code */
export async function dryRun(plan: Plan, count = 10): Promise<number> {
  const rows = await firstRows(plan, count, patience)
  const body = rows.length === 0 ? '' : await previewOf(plan, rows)
  writeOut(body.endsWith('\n') || body === '' ? body : `${body}\n`)
  const text = `${counted(rows.length, 'row')}, ${Buffer.byteLength(body)} bytes before compression: nothing was sent to ${plan.job.sink.connector}`
  process.stderr.write(`dry run: ${text}\n`)
  return exitCodes.done
}
