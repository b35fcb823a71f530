import { DeadLetterOffice } from '../../sink/dead-letter.ts'
import { type MalformedSettings, MalformedRecords as SharedRecords } from '../../source/malformed.ts'
import type { Row } from '../../source/protocol.ts'
import { connectorName } from './file-error.ts'

/** Event `malformed`: a record that can't be read was dropped, kept aside or put into a column. */
export interface MalformedEvent {
  readonly path: string
  /** Byte of the record's start in the file, decompressed. */
  readonly offset: number
  /** Character of the record at which the fault is, from 1 on. */
  readonly column: number
  readonly problem: string
}

/** A record that can't be read ends the reading; its line is still to be counted. */
export class FaultyRecord extends Error {
  override name = 'FaultyRecord'
  readonly offset: number
  readonly text: string
  /** Character of the text at which the fault is. */
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

/** Deals with records of files that can't be read, as the options say. */
export class MalformedRecords extends SharedRecords<MalformedEvent> {
  constructor(settings: MalformedSettings, report: (event: MalformedEvent) => void) {
    const { dead_letter } = settings
    super(connectorName, settings, dead_letter && new DeadLetterOffice(dead_letter), report)
  }

  /**
   * @param row the record's columns that could be read, if there are any
   * @returns the row that is delivered in its place, if any. @throws FaultyRecord with `failfast`
   */
  async take(
    path: string,
    offset: number,
    text: string,
    at: number,
    problem: string,
    row: Row = {},
  ): Promise<Row | undefined> {
    if (this.isFatal) throw new FaultyRecord(offset, text, at, problem)
    const column = at + 1
    const where = `${path}, byte ${offset}, column ${column}`
    return this.replace({ path, offset, column, problem }, text, `${where}: ${problem}`, row)
  }
}
