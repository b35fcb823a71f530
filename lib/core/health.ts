/** Whether a destination would take rows now. */
export interface Health {
  readonly healthy: boolean
  /** HTTP status of the answer. */
  readonly status?: number | undefined
  /** The service's own code. */
  readonly code?: string | number | undefined
  /** What it said, or what is wrong. */
  readonly text: string
}
