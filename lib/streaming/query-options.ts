import type { Writable } from 'node:stream'
import { types } from 'node:util'
import type { CheckpointStore } from '../checkpoint/store.ts'
import { declareOptions, type OptionSpecs, type OptionValues, option, Refusal } from '../core/options.ts'
import { retrySpecs } from '../core/retry.ts'
import type { Offset, Slice } from '../core/slice.ts'
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

export interface StreamingQueryOptions<S extends Slice = PlainWindow, O extends Offset = WindowOffset> {
  /** What is read, window by window, such as an AzureMonitorStreamReadable. */
  source: SliceSource<S, O>
  /**
   * Makes what rows go through, afresh for each window: a stream, an async generator function, or a list of these.
   * A transform that fails ends the query.
   *
   *     transform: () => async function* (rows) { for await (const row of rows) if (row.Level === 'Error') yield row }
   */
  transform?: MakeTransform<S> | undefined
  /** Makes the Writable that takes the rows, afresh for each window. Its `finish` must mean that all rows are safe. */
  sink: (window: S) => Writable
  /** Directory where offsets are kept. Default: that of the source. Required, unless there is a `checkpoint`. */
  checkpointLocation?: string | undefined
  /** Same as `checkpointLocation`. */
  checkpoint_location?: string | undefined
  /** Store where offsets are kept, for hosts without a disk of their own. In place of `checkpointLocation`. */
  checkpoint?: CheckpointStore | undefined
  /**
   * Waits while another process has the checkpoint, and goes on in its place when it ends or dies, as a standby. Default:
   * false, where a checkpoint that another process has is an error at once.
   */
  standby?: boolean | string | undefined
  /** When it looks for windows. Default: by the source's `available_now` and `poll_interval_seconds`. */
  trigger?: Trigger | undefined
  /**
   * Windows delivered at a time. Above 1 they are committed in any order, and rows of different windows reach the
   * destination in any order. At most `windows_in_flight` + `read_ahead` windows are read or held at a time. Default: 1.
   */
  windows_in_flight?: number | string | undefined
  /** Same as `windows_in_flight`. */
  windowsInFlight?: number | string | undefined
  /**
   * Windows asked for ahead of those that are delivered. Each holds its result, in memory up to a bound, else in a
   * temporary file. Default: as many as `windows_in_flight`.
   */
  read_ahead?: number | string | undefined
  /** Same as `read_ahead`. */
  readAhead?: number | string | undefined
  /** How often a window is run again after its source or sink failed in a transient way. Default: 5. */
  max_retries?: number | string | undefined
  /** Same as `max_retries`. */
  maxRetries?: number | string | undefined
  /** Seconds of the first wait before a window is run again, doubled each time, with full jitter. Default: 1. */
  initial_backoff?: number | string | undefined
  /** Same as `initial_backoff`. */
  initialBackoff?: number | string | undefined
  /** Seconds that such a wait never passes. Default: 30. */
  max_backoff?: number | string | undefined
  /** Same as `max_backoff`. */
  maxBackoff?: number | string | undefined
  /** Ends the query at once when it fires; windows under way are not committed. */
  signal?: AbortSignal | undefined
}

function parseTrigger(value: unknown): Trigger | undefined {
  if (value === 'available_now' || value === 'availableNow') return 'available_now'
  if (value === 'once') return 'once'
  if (typeof value !== 'object' || value === null) return undefined
  const { interval_seconds: seconds, ...others } = value as Record<string, unknown>
  if (Object.keys(others).length > 0) return undefined
  const interval = option.amount({ doc: '' }).parse(seconds)
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
    type: 'function',
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
  standby: option.flag({
    default: false,
    doc: 'Waits while another process has the checkpoint, and goes on in its place when it ends or dies. Without it, a checkpoint that another process has is an error at once.',
  }),
  windows_in_flight: option.integer({
    min: 1,
    default: 1,
    doc: 'Windows delivered at a time. Above 1 they are committed in any order, and the order between rows of different windows is not kept. At most `windows_in_flight` + `read_ahead` windows are read or held at a time.',
  }),
  read_ahead: option.integer({
    min: 0,
    defaultText: 'as many as `windows_in_flight`',
    doc: 'Windows asked for ahead of those that are delivered. Each holds its result, in memory up to a bound, else in a temporary file.',
  }),
  max_retries: option.integer({
    min: 0,
    default: 5,
    doc: 'How often a window is run again after its source or sink failed in a transient way.',
  }),
  initial_backoff: {
    ...retrySpecs.initial_backoff,
    doc: 'Seconds of the first wait before a window is run again, doubled each time, with full jitter.',
  },
  max_backoff: { ...retrySpecs.max_backoff, doc: 'Seconds that such a wait never passes.' },
} satisfies OptionSpecs

export type WindowSettings = OptionValues<typeof windowSpecs>

/** How an option is declared that must be given. */
type Required = { readonly doc: string; readonly required: true }

export const queryOptions = declareOptions(
  'streaming query',
  {
    source: option.custom<SliceSource, Required>(
      {
        form: 'a source that is read window by window, such as an AzureMonitorStreamReadable',
        type: 'SliceSource',
        parse: (value) => (isSource(value) ? value : undefined),
      },
      { required: true, doc: 'What is read, window by window.' },
    ),
    transform: option.custom<MakeTransform<Slice>>(makes('the stages of a window'), {
      doc: 'Makes what rows go through, afresh for each window: a stream, an async generator function, or a list of these.',
    }),
    sink: option.custom<(window: Slice) => Writable, Required>(makes('the Writable of a window'), {
      required: true,
      doc: 'Makes the Writable that takes the rows of a window.',
    }),
    checkpointLocation: option.text({
      defaultText: 'that of the source',
      doc: 'Directory where offsets are kept.',
    }),
    checkpoint: option.custom<CheckpointStore>(
      {
        form: 'a CheckpointStore; a directory is given as checkpointLocation',
        type: 'CheckpointStore',
        parse: (value) => (isStore(value) ? value : undefined),
      },
      { doc: 'Store where offsets are kept, in place of `checkpointLocation`.' },
    ),
    trigger: option.custom<Trigger>(
      {
        form: '"available_now", "once" or { interval_seconds: <number> }',
        type: "'available_now' | 'once' | { interval_seconds: number }",
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
      },
      {
        defaultText: 'by the source: `available_now` and `poll_interval_seconds`',
        doc: 'When the query looks for windows: all that is there and then end, one window and then end, or again and again.',
      },
    ),
    ...windowSpecs,
  },
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

export type QuerySettings = OptionValues<typeof queryOptions.specs>
