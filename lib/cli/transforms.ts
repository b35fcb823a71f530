import type { Duplex } from 'node:stream'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { types } from 'node:util'
import type { Report } from '../core/options.ts'
import { RowBlock, rowsOfChunk } from '../core/row-block.ts'
import type { TransformStage } from '../streaming/run-window.ts'

/** Makes the stages of one run, or one window. */
export type MakeStages = () => TransformStage[]

/** Loads modules for their side effects. */
export async function loadModules(paths: readonly string[], report: Report): Promise<void> {
  for (const path of paths) await load(path, `imports: ${path}`, report)
}

/**
 * Loads the user's transforms.
 * @param paths absolute, with `#name` for an export other than the default
 */
export async function loadTransforms(paths: readonly string[], report: Report): Promise<MakeStages> {
  const makers: MakeStages[] = []
  for (const given of paths) {
    const [path = '', name = 'default'] = given.split('#')
    const module = await load(path, `transforms: ${path}`, report)
    if (!module) continue
    const transform = module[name]
    if (typeof transform === 'function') makers.push(() => stagesOf(transform as () => unknown, path))
    else
      report(
        `transforms: ${path}: its ${name === 'default' ? 'default export' : `export "${name}"`} is not a function`,
      )
  }
  return () => makers.flatMap((make) => make())
}

async function load(
  path: string,
  place: string,
  report: Report,
): Promise<Record<string, unknown> | undefined> {
  try {
    return (await import(pathToFileURL(path).href)) as Record<string, unknown>
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const problem =
      code === 'ERR_UNKNOWN_FILE_EXTENSION' && /\.m?ts$/.test(path)
        ? `this Node (${process.version}) loads no TypeScript; 22.18 and later do, or compile it first`
        : message
    report(`${place}: can't be loaded: ${problem}`)
    return undefined
  }
}

/** A function from row to row, maybe async; undefined drops the row. */
type RowFunction = (row: Record<string, unknown>) => unknown

/** Stages that take and give blocks of rows as well as rows. */
const ofBlocks = new WeakSet<TransformStage>()

/** Whether a stage may be given blocks of rows. */
export function takesBlocks(stage: TransformStage): boolean {
  return ofBlocks.has(stage)
}

function eachRow(change: RowFunction, path: string): TransformStage {
  const stage: TransformStage = async function* (chunks: AsyncIterable<unknown>) {
    for await (const chunk of chunks) {
      const rows: Record<string, unknown>[] = []
      try {
        for (const row of rowsOfChunk(chunk)) {
          const given = change(row as Record<string, unknown>)
          // Most are not async: to await them takes as long as a short transform.
          const changed = isThenable(given) ? await given : given
          if (changed === undefined || changed === null) continue
          if (typeof changed !== 'object') {
            throw new TypeError(
              `${path}: expected a row or undefined from the function, got a ${typeof changed}`,
            )
          }
          rows.push(changed as Record<string, unknown>)
        }
      } finally {
        // Those before a row whose transform throws go on, as they would alone.
        if (chunk instanceof RowBlock && rows.length > 0) yield new RowBlock(rows)
        else yield* rows
      }
    }
  }
  ofBlocks.add(stage)
  return stage
}

function isThenable(value: unknown): boolean {
  return typeof (value as { then?: unknown } | undefined | null)?.then === 'function'
}

function stagesOf(transform: (...given: never[]) => unknown, path: string): TransformStage[] {
  if (types.isGeneratorFunction(transform)) return [transform as unknown as TransformStage]
  if (transform.length > 0) return [eachRow(transform as unknown as RowFunction, path)]
  const made = transform()
  const stages = Array.isArray(made) ? made : [made]
  for (const stage of stages) {
    if (typeof stage !== 'function' && typeof (stage as Partial<Duplex> | undefined)?.pipe !== 'function') {
      throw new TypeError(
        `${path}: expected an async generator function, a function of one row, or a function that makes streams or such functions`,
      )
    }
  }
  return stages as TransformStage[]
}

/** A user's transform threw. The message says where. */
export class TransformFailure extends Error {
  override name = 'TransformFailure'
  constructor(cause: Error) {
    const place = placeOf(cause)
    super(`the transform failed${place === undefined ? '' : ` at ${place}`}: ${cause.message}`, { cause })
  }
}

/** File and line of the first stack frame outside this package and Node. */
function placeOf({ stack = '' }: Error): string | undefined {
  for (const line of stack.split('\n')) {
    // The message comes first, and may quote a long row: the pattern is quadratic.
    if (line.length > longestFrame) continue
    const [, file, number] = /(file:\/\/\/[^\s)]+?|\/[^\s)(]+?):(\d+):\d+\)?$/.exec(line) ?? []
    if (file === undefined || number === undefined) continue
    const path = file.startsWith('file:') ? fileURLToPath(file) : file
    if (!path.includes('/node_modules/') && !path.startsWith(ownFolder)) return `${path}:${number}`
  }
  return undefined
}

const longestFrame = 1000

const ownFolder = fileURLToPath(new URL('..', import.meta.url))
