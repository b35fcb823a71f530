import type { Row } from '../../source/protocol.ts'

/** The records of a block, as a format reads them. */
export class Records {
  /** In order; a record that could not be read is a {@link Fault}. */
  readonly entries: (Row | Fault)[] = []
  /** Where each begins in the block, and ends. Only where they are asked for. */
  readonly starts: number[] = []
  readonly ends: number[] = []
  faults = 0
  readonly #keepsPlaces: boolean

  constructor(keepsPlaces: boolean) {
    this.#keepsPlaces = keepsPlaces
  }

  add(row: Row, start: number, end: number): void {
    this.entries.push(row)
    if (this.#keepsPlaces) {
      this.starts.push(start)
      this.ends.push(end)
    }
  }

  addFault(fault: Fault, start: number, end: number): void {
    this.faults++
    this.entries.push(fault)
    if (this.#keepsPlaces) {
      this.starts.push(start)
      this.ends.push(end)
    }
  }
}

/** A record that can't be read. */
export class Fault {
  /** Byte of its begin in the block. */
  readonly start: number
  /** Its text, without its end. */
  readonly text: string
  /** Character of the text where the fault is. */
  readonly at: number
  readonly problem: string

  constructor(start: number, text: string, at: number, problem: string) {
    this.start = start
    this.text = text
    this.at = at
    this.problem = problem
  }
}

/** Reads a block's records. */
export interface Format {
  /** @param offset where the block begins in the text */
  read(bytes: Buffer, offset: number, records: Records): void
  /** What is wrong with a text that ends here, and belongs to no record. */
  end?(): string | undefined
}
