import type { Duplex, Writable } from 'node:stream'
import { types } from 'node:util'
import { declareOptions, type OptionSpecs, type OptionValues, option, Refusal } from '../core/options.ts'
import { retrySpecs } from '../core/retry.ts'
import type { PlainWindow } from '../core/window.ts'
import type { WindowSource } from '../core/window-source.ts'

/** An async generator function from rows to rows, as `pipeline` takes it. */
export type RowGenerator = (rows: AsyncIterable<Record<string, unknown>>) => AsyncIterable<unknown>

/** What may stand between source and sink. */
export type TransformStage = Duplex | RowGenerator

/** Makes a window's stages afresh: one or several in order. */
export type MakeTransform = (window: PlainWindow) => TransformStage | readonly TransformStage[]

/**
 * When a query looks for windows:
 * - `'available_now'`: all that is there at the start, then it ends;
 * - `'once'`: one window, then it ends;
 * - `{ interval_seconds }`: all that is there, again and again, as many seconds apart, until it is stopped.
 */
export type Trigger = 'available_now' | 'once' | { readonly interval_seconds: number }

export interface StreamingQueryOptions {
  /** What is read, window by window, such as an AzureMonitorStreamReadable. */
  source: WindowSource
  /**
   * Makes what rows go through, afresh for each window: a stream, an async generator function, or a list of these.
   * A transform that fails ends the query.
   *
   *     transform: () => async function* (rows) { for await (const row of rows) if (row.Level === 'Error') yield row }
   */
  transform?: MakeTransform | undefined
  /** Makes the Writable that takes the rows, afresh for each window. Its `finish` must mean that all rows are safe. */
  sink: (window: PlainWindow) => Writable
  /** Directory where offsets are kept. Default: that of the source. Required in one of the two. */
  checkpointLocation?: string | undefined
  /** Same as `checkpointLocation`. */
  checkpoint_location?: string | undefined
  /** When it looks for windows. Default: by the source's `available_now` and `poll_interval_seconds`. */
  trigger?: Trigger | undefined
  /** Windows asked for while the one before them is delivered. Each holds its result in memory. Default: 1. */
  read_ahead?: number | string | undefined
  /** Same as `read_ahead`. */
  readAhead?: number | string | undefined
  /** How often a window is run again after its source or sink failed in a way that may pass. Default: 5. */
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
  /** Ends the query at once when it fires; the window under way is not committed. */
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

function isSource(value: unknown): value is WindowSource {
  const source = value as Partial<WindowSource> | null
  return (
    typeof source === 'object' &&
    typeof source?.readWindow === 'function' &&
    typeof source.latestOffset === 'function'
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

/** How windows are run. */
export const windowSpecs = {
  read_ahead: option.integer({
    min: 0,
    default: 1,
    doc: 'Windows asked for while the one before them is delivered. Each holds its result in memory.',
  }),
  max_retries: {
    ...retrySpecs.max_retries,
    doc: 'How often a window is run again after its source or sink failed in a way that may pass.',
  },
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
    source: option.custom<WindowSource, Required>(
      {
        form: 'a source that is read window by window, such as an AzureMonitorStreamReadable',
        type: 'WindowSource',
        parse: (value) => (isSource(value) ? value : undefined),
      },
      { required: true, doc: 'What is read, window by window.' },
    ),
    transform: option.custom<MakeTransform>(makes('the stages of a window'), {
      doc: 'Makes what rows go through, afresh for each window: a stream, an async generator function, or a list of these.',
    }),
    sink: option.custom<StreamingQueryOptions['sink'], Required>(makes('the Writable of a window'), {
      required: true,
      doc: 'Makes the Writable that takes the rows of a window.',
    }),
    checkpointLocation: option.text({
      defaultText: 'that of the source',
      doc: 'Directory where offsets are kept.',
    }),
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
  ({ source, checkpointLocation }, report) => {
    const own = source?.checkpointLocation
    if (source && own === undefined && checkpointLocation === undefined) {
      report('checkpointLocation: is required, here or in the source (a directory)')
    } else if (own !== undefined && checkpointLocation !== undefined && own !== checkpointLocation) {
      report('checkpointLocation: differs from that of the source; give it once')
    }
  },
)

export type QuerySettings = OptionValues<typeof queryOptions.specs>
