/** A value of plain JSON. */
export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [key: string]: Json | undefined }

/**
 * A piece of work as plain JSON, for queues and checkpoints. Only the planner that made it reads more than its id.
 */
export interface Slice {
  /** Unique among the slices of a stream. */
  readonly id: string
  readonly [key: string]: Json | undefined
}

/** Position of a stream, as plain JSON that only its planner interprets. */
export type Offset = { readonly [key: string]: Json | undefined }

/** Maximum characters of an offset in a message: it may name a hundred thousand files. */
const longestOffset = 200

/** A readable offset: a single string as it is, anything else as the start of its JSON. */
export function offsetText(offset: Offset): string {
  const [only, ...others] = Object.values(offset)
  if (typeof only === 'string' && others.length === 0) return only
  const text = JSON.stringify(offset)
  return text.length > longestOffset ? `${text.slice(0, longestOffset)}…` : text
}
