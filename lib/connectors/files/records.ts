import type { Row } from '../../source/protocol.ts'

/** Names and types of columns, as the header of a file says. */
export interface TextHeader {
  readonly columns: readonly { readonly name: string; readonly type: string }[]
  /** Of Zeek's format: separator of fields, of the members of a set, the text of an empty field, of an unset one. */
  readonly marks?: readonly string[] | undefined
}

/** Where records start and end in a block. */
export type Places = readonly (readonly [start: number, end: number])[]

/** The records of a block, as a format reads them. */
export class Records {
  /** In order; a record that could not be read is a {@link Fault}. */
  readonly entries: (Row | Fault)[] = []
  faults = 0
  readonly #keepsPlaces: boolean
  #places: [number, number][] = []
  #findPlaces: (() => Places) | undefined

  constructor(keepsPlaces: boolean) {
    this.#keepsPlaces = keepsPlaces
  }

  add(row: Row, start: number, end: number): void {
    this.entries.push(row)
    if (this.#keepsPlaces) this.#places.push([start, end])
  }

  addFault(fault: Fault, start: number, end: number): void {
    this.faults++
    this.entries.push(fault)
    if (this.#keepsPlaces) this.#places.push([start, end])
  }

  /** Adds all records of the block. @param places finds out where they are, if somebody asks */
  addAll(rows: readonly Row[], places: () => Places): void {
    for (const row of rows) this.entries.push(row)
    this.#findPlaces = places
  }

  /** Start and end of each record in the block. */
  place(index: number): readonly [start: number, end: number] {
    if (this.#findPlaces) {
      this.#places = this.#findPlaces() as [number, number][]
      this.#findPlaces = undefined
    }
    return this.#places[index] ?? [0, 0]
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

  /** The same with another problem. */
  with(problem: string): Fault {
    return new Fault(this.start, this.text, this.at, problem)
  }
}

/** Reads a block's records. */
export interface Format {
  /** @param offset where the block begins in the text */
  read(bytes: Buffer, offset: number, records: Records): void
  /** What is wrong with text that ends here, and belongs to no record. */
  end?(): string | undefined
}
