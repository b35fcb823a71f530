import { Writable } from 'node:stream'
import { type OptionSpec, type OptionValues, option } from '../core/options.ts'
import { retrySpecs } from '../core/retry.ts'

/** A number, or one that is found by trial. */
function orAuto(spec: OptionSpec<number>): OptionSpec<number | 'auto'> {
  return {
    ...spec,
    form: `${spec.form}, or "auto"`,
    parse: (value) => (value === 'auto' ? value : spec.parse(value)),
  }
}

/** The options that every sink has. The defaults that differ are the connector's. */
export function sinkSpecs(defaults: { batch_size: number; batch_bytes: number; max_in_flight: number }) {
  return {
    batch_size: orAuto(
      option.integer({
        min: 1,
        default: defaults.batch_size,
        doc: 'Rows a request. `auto`: found by trial, 50 to 5,000. The stream buffers as many more (its highWaterMark; 50 with `auto`) unless told otherwise.',
      }),
    ),
    batch_bytes: option.integer({
      min: 1,
      default: defaults.batch_bytes,
      doc: 'Bytes of JSON that the body of a request does not pass, counted before compression. A larger row goes alone.',
    }),
    linger_ms: option.amount({
      zero: true,
      default: 1000,
      doc: 'Maximum milliseconds that a partial batch waits.',
    }),
    max_in_flight: orAuto(
      option.integer({
        min: 1,
        default: defaults.max_in_flight,
        doc: 'Requests under way at once. `auto`: found by trial, 1 to 64. At most this many batches and one more are held in memory.',
      }),
    ),
    ...retrySpecs,
    request_timeout: option.amount({ default: 30, doc: 'Seconds that one attempt may take.' }),
    dead_letter: option.custom<Writable>(
      {
        form: 'a Writable in object mode',
        type: "import('node:stream').Writable",
        parse: (value) => (value instanceof Writable && value.writableObjectMode ? value : undefined),
      },
      {
        names: 'dead letter',
        doc: 'Takes the rows that are refused for good, as `{ row, connector, reason: { status, code, text }, at }`. Without it such a row ends the stream with an error that carries it.',
      },
    ),
  }
}

export type SinkSettings = OptionValues<ReturnType<typeof sinkSpecs>>
