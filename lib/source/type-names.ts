import { Refusal } from '../core/options.ts'
import { isStandardSchema, type StandardSchema } from '../core/standard-schema.ts'

/** The names of a service's column types, and the option `schema` that is made of them. */
export class TypeNames<T extends string> {
  /** All names, other names of types among them. */
  readonly all: readonly string[]
  readonly #types: readonly T[]
  readonly #aliases: Readonly<Record<string, T>>

  constructor(types: readonly T[], aliases: Readonly<Record<string, T>>) {
    this.#types = types
    this.#aliases = aliases
    this.all = [...types, ...Object.keys(aliases)]
  }

  /** The type that a name stands for, in any case. */
  typeOf(name: string): T | undefined {
    const plain = name.trim().toLowerCase()
    if (Object.hasOwn(this.#aliases, plain)) return this.#aliases[plain]
    return this.#types.find((type) => type === plain)
  }

  /** Reads the option `schema`; undefined where it is none. @throws Refusal */
  readonly parseSchema = (value: unknown): Map<string, T> | StandardSchema | undefined => {
    if (isStandardSchema(value)) return value
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
    const columns = new Map<string, T>()
    for (const [name, typeName] of Object.entries(value)) {
      const type = typeof typeName === 'string' ? this.typeOf(typeName) : undefined
      if (type === undefined) {
        throw new Refusal(
          `the type of column "${name}" must be one of ${this.#types.join(', ')}, got ${JSON.stringify(typeName) ?? typeof typeName}`,
        )
      }
      columns.set(name, type)
    }
    if (columns.size === 0) throw new Refusal('has no columns')
    return columns
  }
}
