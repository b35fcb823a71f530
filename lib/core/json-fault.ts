/** Where input stops being JSON. */
export interface JsonFault {
  /** Index of the character. */
  readonly at: number
  readonly problem: string
}

const blank = /[ \t\r\n]*/y
const number = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const word = /true|false|null/y
const plain = /[^"\\\p{Cc}]*/uy
const escaped = /\\(?:["\\/bfnrt]|u[\da-fA-F]{4})/y

/**
 * Finds the fault of input that JSON.parse rejects. JSON.parse names the position only sometimes, in words that differ
 * between versions of Node, and quotes the input.
 *
 * @returns undefined if the input is JSON
 */
export function findJsonFault(text: string): JsonFault | undefined {
  const open: ('{' | '[')[] = []
  let at = 0
  const take = (form: RegExp) => {
    form.lastIndex = at
    const found = form.exec(text)
    if (found) at = form.lastIndex
    return found !== null
  }
  const fault = (expected: string): JsonFault => {
    if (at < text.length) return { at, problem: `is not JSON: expected ${expected}` }
    const inside = open.at(-1)
    const where = inside === undefined ? '' : ` in the middle of an ${inside === '{' ? 'object' : 'array'}`
    return { at, problem: `is not JSON: it ends${where}` }
  }
  /** @returns the fault if there is no string */
  const string = (): JsonFault | undefined => {
    if (text[at] !== '"') return fault('a string in double quotes')
    at++
    for (;;) {
      take(plain)
      if (text[at] === '"') break
      if (at >= text.length) return { at, problem: 'is not JSON: it ends in the middle of a string' }
      const isEscape = text[at] === '\\'
      // DEL is a control character in Unicode, but not in JSON.
      if (text.charCodeAt(at) >= 0x7f) at++
      else if (!take(escaped)) return fault(isEscape ? 'a valid escape' : 'no control character in a string')
    }
    at++
    return undefined
  }
  const name = (): JsonFault | undefined => {
    const problem = string()
    if (problem) return problem
    take(blank)
    if (text[at] !== ':') return fault('":"')
    at++
    return undefined
  }

  value: for (;;) {
    take(blank)
    const first = text[at]
    if (first === '{' || first === '[') {
      open.push(first)
      at++
      take(blank)
      if (text[at] !== (first === '{' ? '}' : ']')) {
        const problem = first === '{' ? name() : undefined
        if (problem) return problem
        continue
      }
    } else if (first === '"') {
      const problem = string()
      if (problem) return problem
    } else if (!take(number) && !take(word)) {
      return fault('a value')
    }
    for (;;) {
      take(blank)
      const inside = open.at(-1)
      // An empty object or array ends here too.
      if (inside === undefined) return at < text.length ? fault('nothing more') : undefined
      const close = inside === '{' ? '}' : ']'
      if (text[at] === close) {
        open.pop()
        at++
        if (open.length === 0) {
          take(blank)
          return at < text.length ? fault('nothing more') : undefined
        }
        continue
      }
      if (text[at] !== ',') return fault(`"," or "${close}"`)
      at++
      take(blank)
      const problem = inside === '{' ? name() : undefined
      if (problem) return problem
      continue value
    }
  }
}
