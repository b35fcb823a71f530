/** Endpoints and token audiences of one Azure cloud. */
export interface AzureCloud {
  /** Where tokens come from: Entra ID. */
  readonly authorityHost: string
  /** The Log Analytics query API. */
  readonly queryEndpoint: string
  readonly queryAudience: string
  /** The Logs Ingestion API; its endpoint is each customer's own. */
  readonly ingestionAudience: string
}

/**
 * https://learn.microsoft.com/azure/azure-government/compare-azure-government-global-azure
 * https://learn.microsoft.com/azure/china/resources-developer-guide
 */
export const azureClouds = {
  public: {
    authorityHost: 'https://login.microsoftonline.com',
    queryEndpoint: 'https://api.loganalytics.io',
    queryAudience: 'https://api.loganalytics.io',
    ingestionAudience: 'https://monitor.azure.com',
  },
  government: {
    authorityHost: 'https://login.microsoftonline.us',
    queryEndpoint: 'https://api.loganalytics.us',
    queryAudience: 'https://api.loganalytics.us',
    ingestionAudience: 'https://monitor.azure.us',
  },
  china: {
    authorityHost: 'https://login.chinacloudapi.cn',
    queryEndpoint: 'https://api.loganalytics.azure.cn',
    queryAudience: 'https://api.loganalytics.azure.cn',
    ingestionAudience: 'https://monitor.azure.cn',
  },
} as const satisfies Record<string, AzureCloud>

export type AzureCloudName = keyof typeof azureClouds
