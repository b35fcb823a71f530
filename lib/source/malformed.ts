import { Writable } from 'node:stream'
import { type OptionSpecs, option, Refusal, type Report } from '../core/options.ts'
import type { Row } from './protocol.ts'

const modes = ['failfast', 'dropmalformed', 'permissive'] as const

/** What becomes of a record that can't be read. */
export type Mode = (typeof modes)[number]

/** Options of sources whose records may be unreadable. */
export const malformedSpecs = {
  /**
   * Treatment of an unreadable record: `failfast` is an error that names its place, `dropmalformed` leaves it out,
   * `permissive` puts its text in the column `_corrupt_record`. The event `malformed` reports the last two.
   * @default "failfast"
   */
  mode: option.oneOf(modes, { default: 'failfast' }),
  /**
   * Column for the text of an unreadable record, with `permissive`.
   * @default "_corrupt_record"
   */
  columnNameOfCorruptRecord: option.text({ default: '_corrupt_record' }),
  /** Object-mode Writable for unreadable records, each with the reason. The stream goes on, whatever `mode` says. */
  dead_letter: option.custom<Writable>(
    {
      form: 'an object-mode Writable',
      parse(value) {
        if (!(value instanceof Writable)) return undefined
        if (!value.writableObjectMode) throw new Refusal('expected an object-mode Writable, got one of bytes')
        return value
      },
    },
    { names: 'dead letter' },
  ),
} satisfies OptionSpecs

/** For streams: one malformed record must not end a stream that nobody watches. */
export const followedMalformedSpecs = {
  /**
   * Treatment of an unreadable record, by the same words as in a bounded read.
   * @default "permissive"
   */
  mode: option.oneOf(modes, { default: 'permissive' }),
} satisfies OptionSpecs

export interface MalformedSettings {
  readonly mode: Mode
  readonly columnNameOfCorruptRecord: string
  readonly dead_letter: Writable | undefined
}

export function checkMalformed(
  { mode }: Partial<MalformedSettings>,
  report: Report,
  given: ReadonlySet<string>,
): void {
  if (given.has('columnNameOfCorruptRecord') && mode !== 'permissive')
    report('columnNameOfCorruptRecord: needs mode "permissive"')
}

/** Accepts records with the reason: a `DeadLetterOffice`, which belongs to sinks. */
interface Office {
  take(letter: {
    readonly row: unknown
    readonly connector: string
    readonly reason: { readonly code: string; readonly text: string }
    readonly at: string
  }): Promise<void>
  close(): void
}

/** Deals with records that can't be read, as the options say. `Event` is the connector's event `malformed`. */
export class MalformedRecords<Event extends object> {
  readonly #connector: string
  readonly #settings: MalformedSettings
  readonly #office: Office | undefined
  readonly #report: (event: Event) => void

  /** @param office of `dead_letter`, if there is one */
  constructor(
    connector: string,
    settings: MalformedSettings,
    office: Office | undefined,
    report: (event: Event) => void,
  ) {
    this.#connector = connector
    this.#settings = settings
    this.#office = office
    this.#report = report
  }

  /** Whether the caller has to throw an error. */
  get isFatal(): boolean {
    return this.#settings.mode === 'failfast' && !this.#office
  }

  /**
   * @param problem what is wrong, and where
   * @param row the record's columns that could be read, if there are any
   * @returns the row that is delivered in its place, if any
   */
  async replace(event: Event, text: string | null, problem: string, row: Row = {}): Promise<Row | undefined> {
    const { mode, columnNameOfCorruptRecord } = this.#settings
    this.#report(event)
    if (this.#office) {
      const reason = { code: 'ERR_RECORD', text: problem }
      const at = new Date().toISOString()
      await this.#office.take({ row: text, connector: this.#connector, reason, at })
      return undefined
    }
    return mode === 'permissive' ? { ...row, [columnNameOfCorruptRecord]: text } : undefined
  }

  close(): void {
    this.#office?.close()
  }
}
