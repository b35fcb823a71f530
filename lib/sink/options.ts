import { Writable } from 'node:stream'
import {
  type Numeric,
  type OptionSpec,
  type OptionSpecs,
  type OptionValues,
  option,
} from '../core/options.ts'
import { retrySpecs } from '../core/retry.ts'
import type { OptionsOf } from '../core/spelling.ts'

/** A number, or `auto`: the sink finds it by measuring. */
function orAuto(
  spec: OptionSpec<number, Numeric, false>,
): OptionSpec<number | 'auto', Numeric | 'auto', false> {
  return {
    ...spec,
    form: `${spec.form}, or "auto"`,
    parse: (value: unknown) => (value === 'auto' ? value : spec.parse(value)),
  }
}

const batchSpecs = {
  /**
   * Maximum rows of a request; `auto` finds the best number from 50 to 5,000. The stream buffers as many again (its
   * `highWaterMark`; 50 with `auto`).
   * @default 50
   */
  batch_size: orAuto(option.integer({ min: 1, default: 50 })),
  /**
   * Maximum request body before compression, in bytes. A larger row is sent alone.
   * @default 1000000
   */
  batch_bytes: option.integer({ min: 1, default: 1_000_000 }),
  /**
   * Maximum time that a partial batch waits for more rows, in milliseconds.
   * @default 1000
   */
  linger_ms: option.amount({ zero: true, default: 1000 }),
  /**
   * Maximum requests in flight; `auto` finds the best number from 1 to 64. The sink holds at most this many batches and
   * one more in memory.
   * @default 4
   */
  max_in_flight: orAuto(option.integer({ min: 1, default: 4 })),
  /**
   * Timeout of one attempt, in seconds.
   * @default 30
   */
  request_timeout: option.amount({ default: 30 }),
  /**
   * Object-mode Writable for refused rows, each as `{ row, connector, reason: { status, code, text }, at }`. Without it
   * a refused row ends the stream with an error that carries the row.
   */
  dead_letter: option.custom<Writable>(
    {
      form: 'a Writable in object mode',
      parse: (value) => (value instanceof Writable && value.writableObjectMode ? value : undefined),
    },
    { names: 'dead letter' },
  ),
} satisfies OptionSpecs

/** The options of every sink. A connector spreads them, and declares again those whose default differs. */
export const sinkSpecs: typeof batchSpecs & typeof retrySpecs = { ...batchSpecs, ...retrySpecs }

/** Options of every sink. */
export type SinkOptions = OptionsOf<typeof sinkSpecs>

export type SinkSettings = OptionValues<typeof sinkSpecs>

/** `batch_size` or `max_in_flight` with a default of the connector's own. */
export function numberOrAuto(fallback: number) {
  return orAuto(option.integer({ min: 1, default: fallback }))
}
