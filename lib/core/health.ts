/** Whether a service can be used now. */
export interface Health {
  readonly healthy: boolean
  /** HTTP status of the answer. */
  readonly status?: number | undefined
  /** The service's own code. */
  readonly code?: string | number | undefined
  /** The service's message, or the fault. */
  readonly text: string
}
