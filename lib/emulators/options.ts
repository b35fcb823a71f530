import { OptionError } from '../core/errors.ts'
import { describe } from '../core/json.ts'
import { nearest } from '../core/nearest-name.ts'

/** What an option of an emulator is: by `typeof`, or one of some values. */
type Kind = 'string' | 'number' | 'boolean' | 'function' | 'object' | 'any' | readonly (string | number)[]

/** The kinds of all options of an emulator. */
export type Kinds<Options> = { readonly [Name in keyof Required<Options>]: Kind }

/**
 * Checks the options of an emulator as those of a connector are: a misspelt one would leave the emulator as it was.
 * @throws OptionError that lists every unknown option and every wrong value
 */
export function checkOptions<Options extends object>(
  emulator: string,
  options: Options,
  kinds: Kinds<Options>,
): void {
  const problems: string[] = []
  for (const [name, value] of Object.entries(options)) {
    const kind = Object.hasOwn(kinds, name) ? kinds[name as keyof Options] : undefined
    if (kind === undefined) {
      const proposal = nearest(name, Object.keys(kinds))
      problems.push(`unknown option "${name}"${proposal ? `; did you mean "${proposal}"?` : ''}`)
    } else if (value !== undefined && !isOf(kind, value)) {
      const form = Array.isArray(kind)
        ? `one of ${kind.map((choice) => JSON.stringify(choice)).join(', ')}`
        : kind
      problems.push(`${name}: expected ${form}, got ${describe(value)}`)
    }
  }
  if (problems.length > 0) throw new OptionError(`emulator ${emulator}`, problems)
}

function isOf(kind: Kind, value: unknown): boolean {
  if (kind === 'any') return true
  if (typeof kind === 'string') return typeof value === kind && value !== null
  return kind.includes(value as string | number)
}
