import { none } from 'stream-chain/defs.js'
import Assembler from 'stream-json/core/assembler.js'
import { jsonParser } from 'stream-json/core/parser.js'

const integer = /^-?\d+$/
const longText = 4096

/** Keeps an integer beyond 2^53 as a bigint: JSON.parse and stream-json would give a wrong number. */
class ExactAssembler extends Assembler {
  override numberValue(text: string): void {
    const number = Number(text)
    const wrong = !Number.isSafeInteger(number) && integer.test(text)
    // Accepts any value, despite its type.
    this.stringValue((wrong ? BigInt(text) : number) as unknown as string)
  }
}

/**
 * Parses JSON with exact integers. Slower than JSON.parse: for input that is known to have long integers.
 * @throws Error if the input is not JSON, or ends early
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
 * Parses JSON, with integers beyond 2^53 as bigint.
 * (From Node 22 on, a reviver receives the source of a number; Node 20 has no such help.)
 * @throws SyntaxError if the input is not JSON
 */
export function parseJson(text: string): unknown {
  const value: unknown = JSON.parse(text)
  // A damaged integer is a large number now. In long input, checking numbers is faster than every digit.
  if (text.length > longText && !mayBeDamaged(value, 0)) return value
  return /\d{16}/.test(text) ? parseExactly(text) : value
}

function mayBeDamaged(value: unknown, depth: number): boolean {
  if (typeof value === 'number') return value > Number.MAX_SAFE_INTEGER || value < Number.MIN_SAFE_INTEGER
  if (typeof value !== 'object' || value === null) return false
  // The stack might overflow.
  if (depth > 500) return true
  return Object.values(value).some((member) => mayBeDamaged(member, depth + 1))
}
