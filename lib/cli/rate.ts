/** Rows a second over the last few looks. */
export class Rate {
  readonly #looks: { at: number; rows: number }[] = [{ at: performance.now(), rows: 0 }]
  readonly #kept: number

  /** @param kept how many looks the rate is over */
  constructor(kept: number) {
    this.#kept = kept
  }

  /** @returns the rate up to now, whole */
  look(rows: number): number {
    const now = performance.now()
    this.#looks.push({ at: now, rows })
    if (this.#looks.length > this.#kept + 1) this.#looks.shift()
    const [first] = this.#looks
    return Math.round((rows - first!.rows) / Math.max((now - first!.at) / 1000, 0.001))
  }
}
