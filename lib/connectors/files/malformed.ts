import type { Writable } from 'node:stream'
import { DeadLetterOffice } from '../../sink/dead-letter.ts'
import type { Row } from '../../source/protocol.ts'
import { connectorName } from './file-error.ts'

/** What becomes of a record that can't be read. */
export type Mode = 'failfast' | 'dropmalformed' | 'permissive'

/** Event `malformed`: a record that can't be read was dropped, kept aside or put into a column. */
export interface MalformedEvent {
  readonly path: string
  /** Byte of the record's begin in the file, decompressed. */
  readonly offset: number
  /** Character of the record where the fault is, from 1 on. */
  readonly column: number
  readonly problem: string
}

export interface MalformedSettings {
  readonly mode: Mode
  readonly columnNameOfCorruptRecord: string
  readonly dead_letter: Writable | undefined
}

/** A record that can't be read ends the reading; its line is still to be counted. */
export class FaultyRecord extends Error {
  override name = 'FaultyRecord'
  readonly offset: number
  readonly text: string
  /** Character of the text where the fault is. */
  readonly at: number
  readonly problem: string

  constructor(offset: number, text: string, at: number, problem: string) {
    super(problem)
    this.offset = offset
    this.text = text
    this.at = at
    this.problem = problem
  }
}

/** Deals with records that can't be read, as the options say. */
export class MalformedRecords {
  readonly #settings: MalformedSettings
  readonly #tell: (event: MalformedEvent) => void
  readonly #office: DeadLetterOffice | undefined

  constructor(settings: MalformedSettings, tell: (event: MalformedEvent) => void) {
    this.#settings = settings
    this.#tell = tell
    this.#office = settings.dead_letter && new DeadLetterOffice(settings.dead_letter)
  }

  /**
   * @param row the record's columns that could be read, where there are any
   * @returns the row that is given out in its place, if any. @throws FaultyRecord with `failfast`
   */
  async take(
    path: string,
    offset: number,
    text: string,
    at: number,
    problem: string,
    row: Row = {},
  ): Promise<Row | undefined> {
    const { mode, columnNameOfCorruptRecord } = this.#settings
    if (mode === 'failfast' && !this.#office) throw new FaultyRecord(offset, text, at, problem)
    this.#tell({ path, offset, column: at + 1, problem })
    if (this.#office) {
      const reason = { code: 'ERR_RECORD', text: `${path}, byte ${offset}, column ${at + 1}: ${problem}` }
      await this.#office.take({ row: text, connector: connectorName, reason, at: new Date().toISOString() })
      return undefined
    }
    return mode === 'permissive' ? { ...row, [columnNameOfCorruptRecord]: text } : undefined
  }

  close(): void {
    this.#office?.close()
  }
}
