import type { Writable } from 'node:stream'
import { types } from 'node:util'
import type { CheckpointStore } from '../checkpoint/store.ts'
import {
  declareOptions,
  type nodeStreamSpecs,
  type OptionDeclaration,
  type OptionSpecs,
  type OptionValues,
  option,
  Refusal,
} from '../core/options.ts'
import { retrySpecs } from '../core/retry.ts'
import type { Offset, Slice } from '../core/slice.ts'
import type { OptionsOf } from '../core/spelling.ts'
import type { PlainWindow } from '../core/window.ts'
import type { SliceSource } from '../source/planner.ts'
import type { WindowOffset } from '../source/windows.ts'
import type { MakeTransform } from './run-window.ts'

/**
 * When a query looks for windows:
 * - `'available_now'`: all that is there at the start, then it ends;
 * - `'once'`: one window, then it ends;
 * - `{ interval_seconds }`: all that is there, again and again, as many seconds apart, until it is stopped.
 */
export type Trigger = 'available_now' | 'once' | { readonly interval_seconds: number }

function parseTrigger(value: unknown): Trigger | undefined {
  if (value === 'available_now' || value === 'availableNow') return 'available_now'
  if (value === 'once') return 'once'
  if (typeof value !== 'object' || value === null) return undefined
  const { interval_seconds: seconds, ...others } = value as Record<string, unknown>
  if (Object.keys(others).length > 0) return undefined
  const interval = option.amount().parse(seconds)
  if (interval === undefined) throw new Refusal('interval_seconds: expected a number greater than 0')
  return { interval_seconds: interval }
}

function isSource(value: unknown): value is SliceSource {
  const source = value as Partial<SliceSource> | null
  return (
    typeof source === 'object' &&
    typeof source?.readSlice === 'function' &&
    typeof source.planner?.latestOffset === 'function'
  )
}

function makes<T>(what: string) {
  return {
    form: `a function that makes ${what}`,
    parse(value: unknown): T | undefined {
      if (types.isGeneratorFunction(value)) {
        throw new Refusal(
          `expected a function that makes ${what}, so put "() =>" before the generator function`,
        )
      }
      return typeof value === 'function' ? (value as T) : undefined
    },
  }
}

function isStore(value: unknown): value is CheckpointStore {
  return typeof (value as Partial<CheckpointStore> | null)?.open === 'function'
}

/** How windows are run. */
export const windowSpecs = {
  /**
   * Whether to wait while another process has the checkpoint, and to continue in its place when it ends or dies. Without
   * it, a checkpoint that another process has is an error at once.
   * @default false
   */
  standby: option.flag({ default: false }),
  /**
   * Maximum windows delivered at a time. Above 1, windows are committed in any order, and rows of different windows reach
   * the destination in any order. The query reads or holds at most `windows_in_flight` + `read_ahead` windows.
   * @default 1
   */
  windows_in_flight: option.integer({ min: 1, default: 1 }),
  /**
   * Maximum windows requested ahead of those being delivered. Each holds its result, in memory up to a bound, else in a
   * temporary file.
   * @default as many as `windows_in_flight`
   */
  read_ahead: option.integer({ min: 0 }),
  /**
   * Maximum runs of a window after its first, when its source or sink failed in a transient way.
   * @default 5
   */
  max_retries: option.integer({ min: 0, default: 5 }),
  /**
   * First wait before a window runs again, in seconds; each further one is twice as long, with full jitter.
   * @default 1
   */
  initial_backoff: retrySpecs.initial_backoff,
  /**
   * Maximum wait before a window runs again, in seconds.
   * @default 30
   */
  max_backoff: retrySpecs.max_backoff,
} satisfies OptionSpecs

export type WindowSettings = OptionValues<typeof windowSpecs>

/** When windows are run. */
export const triggerSpecs = {
  /**
   * When the query looks for windows: `available_now` reads all that is there and ends, `once` reads one window and ends,
   * `{ interval_seconds }` reads all that is there, again and again.
   * @default by the source: `available_now` and `poll_interval_seconds`
   */
  trigger: option.custom<Trigger>({
    form: '"available_now", "once" or { interval_seconds: <number> }',
    schema: {
      anyOf: [
        { enum: ['available_now', 'once'] },
        {
          type: 'object',
          properties: { interval_seconds: { type: 'number', exclusiveMinimum: 0 } },
          required: ['interval_seconds'],
          additionalProperties: false,
        },
      ],
    },
    parse: parseTrigger,
  }),
} satisfies OptionSpecs

const placeSpecs = {
  /**
   * Directory of the offsets. Required here or in the source, unless there is a `checkpoint`.
   * @default that of the source
   */
  checkpointLocation: option.text(),
  /** Store of the offsets, in place of `checkpointLocation`: for hosts without a disk of their own. */
  checkpoint: option.custom<CheckpointStore>({
    form: 'a CheckpointStore; a directory is given as checkpointLocation',
    parse: (value) => (isStore(value) ? value : undefined),
  }),
} satisfies OptionSpecs

const partSpecs = {
  source: option.custom<SliceSource>(
    {
      form: 'a source that is read window by window, such as an AzureMonitorStreamReadable',
      parse: (value) => (isSource(value) ? value : undefined),
    },
    { required: true },
  ),
  transform: option.custom<MakeTransform<Slice>>(makes('the stages of a window')),
  sink: option.custom<(window: Slice) => Writable>(makes('the Writable of a window'), { required: true }),
} satisfies OptionSpecs

/** What a query connects. */
export interface QueryStages<S extends Slice = PlainWindow, O extends Offset = WindowOffset> {
  /** Source that is read window by window, such as an AzureMonitorStreamReadable. */
  source: SliceSource<S, O>
  /**
   * Makes the transforms of each window: a stream, an async generator function, or a list of these. A transform that
   * fails ends the query.
   *
   *     transform: () => async function* (rows) { for await (const row of rows) if (row.Level === 'Error') yield row }
   */
  transform?: MakeTransform<S> | undefined
  /** Makes the Writable for the rows of each window. Its `finish` must mean that all rows are safe. */
  sink: (window: S) => Writable
}

/** How a query runs. */
export type QueryRunOptions = OptionsOf<
  typeof placeSpecs & typeof triggerSpecs & typeof windowSpecs & Pick<typeof nodeStreamSpecs, 'signal'>
>

/** Options of `streamingQuery`. */
export type StreamingQueryOptions<
  S extends Slice = PlainWindow,
  O extends Offset = WindowOffset,
> = QueryStages<S, O> & QueryRunOptions

type QuerySpecs = typeof partSpecs & typeof placeSpecs & typeof triggerSpecs & typeof windowSpecs

export const queryOptions: OptionDeclaration<QuerySpecs> = declareOptions(
  'streaming query',
  { ...partSpecs, ...placeSpecs, ...triggerSpecs, ...windowSpecs },
  ({ source, checkpointLocation, checkpoint }, report) => {
    const own = source?.checkpoint ?? source?.checkpointLocation
    const given = [own, checkpointLocation, checkpoint].filter((each) => each !== undefined)
    if (source && given.length === 0) {
      report('checkpointLocation: is required, here or in the source (a directory), or a checkpoint')
    } else if (checkpoint !== undefined && given.length > 1) {
      report('checkpoint and checkpointLocation exclude each other')
    } else if (given.length > 1 && own !== checkpointLocation) {
      report('checkpointLocation: differs from that of the source; give it once')
    }
  },
)

export type QuerySettings = OptionValues<QuerySpecs>
