/** A value of plain JSON. */
export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [key: string]: Json | undefined }

/**
 * A piece of work as plain JSON: it travels through queues and checkpoints and is read again after a crash. Only the
 * planner that made it looks at more than its id.
 */
export interface Slice {
  /** Unique among the slices of a stream. */
  readonly id: string
  readonly [key: string]: Json | undefined
}

/** Where a stream stands, as plain JSON that only its planner understands. */
export type Offset = { readonly [key: string]: Json | undefined }

/** Maximum characters of an offset in a text: it may name a hundred thousand files. */
const longestOffset = 200

/** An offset for people: a single text by itself, anything else as the start of its JSON. */
export function offsetText(offset: Offset): string {
  const [only, ...others] = Object.values(offset)
  if (typeof only === 'string' && others.length === 0) return only
  const text = JSON.stringify(offset)
  return text.length > longestOffset ? `${text.slice(0, longestOffset)}…` : text
}
