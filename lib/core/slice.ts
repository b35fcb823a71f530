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
