/** Something that streams can share: connections, a token. */
export interface Closable {
  close(): void
}

/** The {@link Sharing} in which streams are being created. */
let current: Sharing | undefined

/**
 * Connections and tokens shared by the streams of a query. A query creates a sink for each window; without this, each
 * would connect and sign in again.
 */
export class Sharing {
  readonly #held = new Map<string, Closable>()

  /** Runs `make`. Streams that it creates with the same settings share connections and tokens. */
  within<T>(make: () => T): T {
    const outer = current
    current = this
    try {
      return make()
    } finally {
      current = outer
    }
  }

  /** Returns the object for these settings, and creates it if it is missing. */
  held<T extends Closable>(kind: string, settings: readonly unknown[], make: () => T): T {
    const key = [kind, ...settings.map(nameOf)].join('\n')
    const known = this.#held.get(key) as T | undefined
    if (known) return known
    const made = make()
    this.#held.set(key, made)
    return made
  }

  close(): void {
    for (const held of this.#held.values()) held.close()
    this.#held.clear()
  }
}

/**
 * A stream's own object, which `close` ends; or, within a {@link Sharing}, the one shared by all streams with the same
 * settings, which ends with the sharing.
 */
export function ownOrShared<T extends Closable>(
  kind: string,
  settings: readonly unknown[],
  make: () => T,
): { readonly value: T; close(): void } {
  if (current) return { value: current.held(kind, settings, make), close() {} }
  const value = make()
  return { value, close: () => value.close() }
}

/** Objects, such as a user's credential, are compared by identity, not by content. */
const names = new WeakMap<object, string>()
let named = 0

function nameOf(value: unknown): string {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null)
    return `${typeof value} ${JSON.stringify(value)}`
  let name = names.get(value)
  if (name === undefined) {
    name = `object ${++named}`
    names.set(value, name)
  }
  return name
}
