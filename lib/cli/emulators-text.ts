import type { Emulators } from '../emulators/index.ts'
import type { SampleTable } from './sample-table.ts'

/** Where the emulators are and what they take, by the names that programs give these in the environment. */
function variables({
  caFile,
  entra,
  logAnalytics,
  ingestion,
  hec,
  splunkSearch,
  rest,
  databricks,
}: Emulators) {
  return {
    NODE_EXTRA_CA_CERTS: caFile,
    AZURE_AUTHORITY_HOST: entra.url,
    AZURE_TENANT_ID: entra.tenant_id,
    AZURE_CLIENT_ID: entra.client_id,
    AZURE_CLIENT_SECRET: entra.client_secret,
    LOG_ANALYTICS_URL: logAnalytics.url,
    INGESTION_URL: ingestion.url,
    SPLUNK_URL: hec.endpoint,
    SPLUNK_TOKEN: hec.token,
    SPLUNKD_URL: splunkSearch.url,
    SPLUNK_AUTH_TOKEN: splunkSearch.token,
    SPLUNK_USERNAME: splunkSearch.username,
    SPLUNK_PASSWORD: splunkSearch.password,
    REST_URL: rest.url,
    DATABRICKS_HOST: databricks.url,
    DATABRICKS_TOKEN: databricks.token,
  }
}

export function emulatorsJson(emulators: Emulators, table: SampleTable): string {
  const { name, rows, timeColumn } = table
  return JSON.stringify({ ...variables(emulators), table: { name, rows: rows.length, timeColumn } })
}

export function emulatorsText(emulators: Emulators, table: SampleTable): string {
  const lines = Object.entries(variables(emulators)).map(([name, value]) => `export ${name}='${value}'`)
  return `${lines.join('\n')}

# In another shell, with these variables:
# cyber-connectors copy --from azure-monitor --workspace-id any --query ${table.name} --timespan P3650D \\
#   --timestamp-column ${table.timeColumn} --endpoint $LOG_ANALYTICS_URL --authority-host $AZURE_AUTHORITY_HOST \\
#   --tenant-id $AZURE_TENANT_ID --client-id $AZURE_CLIENT_ID --client-secret-env AZURE_CLIENT_SECRET \\
#   --ca $NODE_EXTRA_CA_CERTS --to splunk --url $SPLUNK_URL --token-env SPLUNK_TOKEN
# The table ${table.name} has ${table.rows.length} rows. The emulators are up until this ends (Ctrl-C).`
}
