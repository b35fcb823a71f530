/** Codes of a 200: the data is in. */
const ACCEPTED = new Set([0, 24, 25])
/** Codes that name the event at fault. */
const NAMING = new Set([6, 7, 9, 12, 13, 15])

export interface PlannedCode {
  code: number
  /** Bodies left to hit. */
  left: number
  /** The object it strikes at, from 0. Undefined: the whole body. */
  row?: number
  retryAfter?: number | string | undefined
}

/** Codes that the collector was told to answer. A body takes the first that fits it. */
export class PlannedCodes {
  #queue: PlannedCode[] = []

  add(planned: PlannedCode): void {
    this.#queue.push(planned)
  }

  clear(): void {
    this.#queue = []
  }

  /** Uses up the next code for a whole body. */
  takeWhole(): PlannedCode | undefined {
    return this.take(this.#queue.find(({ row }) => row === undefined))
  }

  /** Whether any body's single row is to be struck: if not, nobody has to count rows. */
  get hasRows(): boolean {
    return this.#queue.some(({ row }) => row !== undefined)
  }

  /** The next code for a row of a body with `count` objects, not yet used up. */
  rowOf(count: number): (PlannedCode & { row: number }) | undefined {
    return this.#queue.find(
      (planned): planned is PlannedCode & { row: number } => (planned.row ?? count) < count,
    )
  }

  take<Planned extends PlannedCode | undefined>(planned: Planned): Planned {
    if (planned && --planned.left <= 0) this.#queue.splice(this.#queue.indexOf(planned), 1)
    return planned
  }
}

/** Whether data is taken in with this code. */
export function accepts(code: number): boolean {
  return ACCEPTED.has(code)
}

/**
 * The `invalid-event-number` for object `at`: one more for code 7, counted from `busyBase` for code 9, none for a code
 * that names no event.
 */
export function eventNumber(code: number, at: number | undefined, busyBase: number): number | undefined {
  if (at === undefined || !NAMING.has(code)) return undefined
  if (code === 7) return at + 1
  return code === 9 ? at + busyBase : at
}
