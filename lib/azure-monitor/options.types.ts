/** Options of {@link AzureMonitorReadable}. */
export type AzureMonitorReadableOptions = Record<string, unknown>
