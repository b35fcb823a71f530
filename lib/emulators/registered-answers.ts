/** Which queries: the text that a query begins with, a pattern that fits in it, or a test. */
export type QueryMatch<Query> = string | RegExp | ((query: Query) => boolean)

/** Answers that were registered for queries. The newest that matches is taken. */
export class RegisteredAnswers<Query, Answer> {
  #known: { match: QueryMatch<Query>; answer: Answer }[] = []

  add(match: QueryMatch<Query>, answer: Answer): void {
    this.#known.unshift({ match, answer })
  }

  clear(): void {
    this.#known = []
  }

  /**
   * The answer to a query, and what stands behind the text that was registered, such as `| take 5`. Behind a pattern
   * or a test stands nothing known: undefined.
   */
  find(text: string, query: Query): { answer: Answer; rest: string | undefined } | undefined {
    for (const { match, answer } of this.#known) {
      if (typeof match === 'string') {
        const rest = restBehind(text, match)
        if (rest !== undefined) return { answer, rest }
        // A pattern with the g flag has a memory; search() has none.
      } else if (match instanceof RegExp ? text.search(match) >= 0 : match(query)) {
        return { answer, rest: undefined }
      }
    }
    return undefined
  }
}

/** What follows `start` in the text, when it is a new command or nothing. White space counts once. */
function restBehind(text: string, start: string): string | undefined {
  const words = start.trim().split(/\s+/)
  const form = words.map((word) => word.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')).join('\\s+')
  return new RegExp(`^\\s*${form}\\s*(?=\\||;?\\s*$)([\\s\\S]*)$`).exec(text)?.[1]?.trim()
}
