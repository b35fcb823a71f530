import { azureClouds } from '../azure/clouds.ts'
import { AzureConnection } from '../azure/connection.ts'
import type { Window } from '../core/window.ts'
import { connectorName, type TargetValues } from './options.ts'
import { QueryClient } from './query-client.ts'
import { type Row, TableRows } from './result-rows.ts'
import { type QueryObserver, WindowQuery } from './window-query.ts'

/** The connection of one source, and what is asked over it. */
export class QuerySession {
  readonly queries: WindowQuery
  readonly #connection: AzureConnection

  constructor(values: TargetValues, observer: QueryObserver = {}) {
    const cloud = azureClouds[values.azure_cloud]
    this.#connection = new AzureConnection(connectorName, values, cloud.queryAudience)
    const { workspace_id, resource_id, endpoint = cloud.queryEndpoint } = values
    const client = new QueryClient(this.#connection, { workspace_id, resource_id, endpoint })
    this.queries = new WindowQuery(client, this.#connection, values, observer)
  }

  /**
   * Asks a small query of ours.
   * @param datetime what a datetime becomes: `string` keeps all 7 digits of a second
   * @throws ConnectorError, and AbortError when the signal fires
   */
  async ask(
    query: string,
    timespan: Window | undefined,
    signal: AbortSignal,
    datetime: 'date' | 'string' = 'string',
  ): Promise<Row[]> {
    const answer = await this.queries.ask({ query, timespan, window: timespan, divisible: false }, signal)
    if ('tooLarge' in answer) throw answer.tooLarge
    const rows: Row[] = []
    for (const table of answer.response.index.tables) {
      const reader = new TableRows(table, { schema: undefined, datetime })
      for await (const cells of answer.response.rows(table)) {
        rows.push(...(await reader.read(cells, -1, undefined)))
      }
    }
    return rows
  }

  /** Ends all connections. Abort the signals first. */
  close(): void {
    this.#connection.close()
  }
}
