/** Whether a service can be used now. */
export interface Health {
  readonly healthy: boolean
  /** HTTP status of the answer. */
  readonly status?: number | undefined
  /** The service's own code. */
  readonly code?: string | number | undefined
  /** The option that the service does not take as it is set, if the fault is known to be one of an option. */
  readonly option?: string | undefined
  /** The service's message, or the fault. */
  readonly text: string
}
