/** Connections, a token: what streams may have in common. */
export interface Closable {
  close(): void
}

/** The {@link Sharing} within which streams are made at the moment. */
let current: Sharing | undefined

/**
 * What the streams of a query have in common. A query makes a sink for each window: without this, each would open its own
 * connections and sign in by itself.
 */
export class Sharing {
  readonly #held = new Map<string, Closable>()

  /** Runs what makes streams. Those with the same settings get the same connections, and the same token. */
  within<T>(make: () => T): T {
    const outer = current
    current = this
    try {
      return make()
    } finally {
      current = outer
    }
  }

  /** What was made for these settings before, or else now. */
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
 * What a stream uses: its own, which it closes itself, or, where it is made within a {@link Sharing}, that of all streams
 * with the same settings, which is closed with the sharing.
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

/** Objects, such as a credential of the user's, are told apart by what they are, not by what they hold. */
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
