import {
  declareOptions,
  type OptionSpecs,
  type OptionValues,
  option,
  otherSpelling,
} from '../core/options.ts'
import type { OptionsOf } from '../core/spelling.ts'
import type { WritableTypes } from '../registry.ts'

/** pino gives a transport ten seconds to end. The rest is written to the dead letter within that time too. */
const longestClose = 9

const pinoSpecs = {
  /** Name of the sink: `splunk`, `ms-sentinel`, `rest`, `kafka`. Its options stand beside this one. */
  connector: option.text({ required: true }),
  /**
   * Maximum log lines that wait in memory while the destination is slow or away, in bytes. Further lines go to the dead
   * letter; without one they are dropped and counted.
   * @default 67108864
   */
  max_waiting_bytes: option.integer({ min: 1, default: 67_108_864 }),
  /**
   * Maximum time to deliver what waits when the program exits, in seconds: 9 at most, as pino waits 10. What is left
   * then goes to the dead letter; without one it is dropped.
   * @default 5
   */
  close_seconds: option.custom<number, number>(
    {
      form: `a number from 0 to ${longestClose}`,
      schema: { type: 'number', minimum: 0, maximum: longestClose },
      parse: (value) =>
        typeof value === 'number' && value >= 0 && value <= longestClose ? value : undefined,
    },
    { default: 5 },
  ),
  /**
   * Path of a file for lines that were refused, that exceeded the memory limit, or that were left at exit, one JSON object
   * each. Without it they are dropped and counted.
   */
  dead_letter: option.text({ names: 'file' }),
  /**
   * Column for pino's `time`.
   * @default `TimeGenerated` for Sentinel, else `time`
   */
  time_key: option.text(),
  /**
   * Column for the name of pino's `level`, such as `info`.
   * @default `severity` for Splunk, `Level` for Sentinel, else `level`
   */
  level_key: option.text(),
  /**
   * Column for pino's `msg`.
   * @default `Message` for Sentinel, else `message`
   */
  message_key: option.text(),
} satisfies OptionSpecs

const pinoDeclaration = declareOptions('pino', pinoSpecs)

export type PinoSettings = OptionValues<typeof pinoSpecs>

/** Options of the transport alone, without those of the sink. */
export type PinoTransportOptions = OptionsOf<typeof pinoSpecs>

/** Options of the transport, and beside them those of the sink that `connector` names. */
export type PinoOptions = {
  [N in keyof WritableTypes]: Omit<PinoTransportOptions, 'connector'> &
    Omit<WritableTypes[N]['options'], 'dead_letter' | 'signal'> & { connector: N }
}[keyof WritableTypes]

/** Names of the transport's own options, in both spellings. */
const ownNames = new Set(Object.keys(pinoSpecs).flatMap((name) => [name, otherSpelling(name)]))

/** What pino adds to the options of a transport. */
const ofPino = new Set(['pinoWillSendConfig', '$context'])

/** Divides what was given into the transport's own options, checked, and those of the sink. @throws OptionError */
export function divided(given: object): { settings: PinoSettings; sinkOptions: Record<string, unknown> } {
  const entries = Object.entries(given).filter(([name]) => !ofPino.has(name))
  const own = entries.filter(([name]) => ownNames.has(name))
  const others = entries.filter(([name]) => !ownNames.has(name))
  return {
    settings: pinoDeclaration.resolve(Object.fromEntries(own)),
    sinkOptions: Object.fromEntries(others),
  }
}
