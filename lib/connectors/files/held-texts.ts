/** So many texts wait at most: a stream plans no further ahead. */
const most = 4

/**
 * Texts that were read to plan a slice and wait to be parsed: so that what was planned is what is parsed, and a packed
 * file is not unpacked a second time. One that was dropped is read from the file again.
 */
export class HeldTexts {
  readonly #texts = new Map<string, readonly (readonly Buffer[])[]>()

  /** @param texts of each range of the slice */
  hold(id: string, texts: readonly (readonly Buffer[])[]): void {
    this.#texts.set(id, texts)
    for (const oldest of this.#texts.keys()) {
      if (this.#texts.size <= most) break
      this.#texts.delete(oldest)
    }
  }

  take(id: string): readonly (readonly Buffer[])[] | undefined {
    const texts = this.#texts.get(id)
    this.#texts.delete(id)
    return texts
  }

  clear(): void {
    this.#texts.clear()
  }
}
