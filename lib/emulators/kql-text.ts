type TextTest = (text: string, part: string) => boolean

const tests: Record<string, TextTest> = {
  has: hasTerm,
  contains: (text, part) => text.includes(part),
  startswith: (text, part) => text.startsWith(part),
  endswith: (text, part) => text.endsWith(part),
}

/** The test behind `has`, `!contains_cs`, `=~`, `matches regex` and so on. */
export function textTest(operator: string): TextTest {
  if (operator === 'matches') {
    return (text, pattern) => new RegExp(pattern).test(text)
  }
  if (operator === '=~') return (text, other) => text.toLowerCase() === other.toLowerCase()
  if (operator === '!~') return (text, other) => text.toLowerCase() !== other.toLowerCase()
  const name = operator.replace(/^!|_cs$/g, '')
  const test = tests[name]!
  const caseless = !operator.endsWith('_cs')
  const negated = operator.startsWith('!')
  return (text, part) =>
    (caseless ? test(text.toLowerCase(), part.toLowerCase()) : test(text, part)) !== negated
}

/** Whether `term` stands in `text` with no letter or digit next to it. */
function hasTerm(text: string, term: string): boolean {
  const letter = /[\p{L}\p{N}]/u
  for (let at = text.indexOf(term); at >= 0; at = text.indexOf(term, at + 1)) {
    const before = text[at - 1] ?? ''
    const after = text[at + term.length] ?? ''
    if (!letter.test(before) && !letter.test(after)) return true
    if (term === '') return true
  }
  return false
}
