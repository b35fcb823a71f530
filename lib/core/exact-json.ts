import { none } from 'stream-chain/defs.js'
import Assembler from 'stream-json/core/assembler.js'
import { jsonParser } from 'stream-json/core/parser.js'

const integer = /^-?\d+$/
const longText = 4096

/** Keeps an integer beyond 2^53 as a bigint: JSON.parse, and stream-json by itself, would give a wrong number. */
class ExactAssembler extends Assembler {
  override numberValue(text: string): void {
    const number = Number(text)
    const wrong = !Number.isSafeInteger(number) && integer.test(text)
    // Takes any value; its type says string because it is named for the token.
    this.stringValue((wrong ? BigInt(text) : number) as unknown as string)
  }
}

/**
 * JSON text as a value, integers exact. Slower than JSON.parse: for texts that are known to have long integers.
 * @throws Error where the text is not JSON, or ends early
 */
export function parseExactly(text: string): unknown {
  const parse = jsonParser({ packValues: true, streamValues: false })
  const assembler = new ExactAssembler()
  for (const piece of [text, none] as const) {
    const tokens = parse(piece as string)
    if (tokens === none) continue
    for (const token of (tokens as Exclude<typeof tokens, typeof none>).values) {
      ;(assembler[token.name as 'stringValue'] as ((value?: unknown) => void) | undefined)?.call(
        assembler,
        'value' in token ? token.value : undefined,
      )
    }
  }
  if (!assembler.done) throw new Error('the JSON text ends early')
  return assembler.current
}

/**
 * JSON text as a value, with integers beyond 2^53 as bigint where JSON.parse would give a wrong number.
 * (From Node 22 on, a reviver is handed the source text of a number; Node 20 has no such help.)
 * @throws SyntaxError where the text is not JSON
 */
export function parseJson(text: string): unknown {
  const value: unknown = JSON.parse(text)
  // An integer that was damaged is a large number now. In a long text, to look at numbers is quicker than at every digit.
  if (text.length > longText && !mayBeDamaged(value, 0)) return value
  return /\d{16}/.test(text) ? parseExactly(text) : value
}

function mayBeDamaged(value: unknown, depth: number): boolean {
  if (typeof value === 'number') return value > Number.MAX_SAFE_INTEGER || value < Number.MIN_SAFE_INTEGER
  if (typeof value !== 'object' || value === null) return false
  // Deeper, and the stack might not do.
  if (depth > 500) return true
  return Object.values(value).some((member) => mayBeDamaged(member, depth + 1))
}
