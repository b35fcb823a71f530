// Senders to the Logs Ingestion API: 4 calls under way, the same rows, as many a call; both compress.
import { product } from '../product.mjs'
import { inBatches, sender, throughSink } from '../senders.mjs'

const credential = { getToken: async () => ({ token: 'any', expiresOnTimestamp: Date.now() + 3_600_000 }) }
const rule = 'dcr-0123456789abcdef0123456789abcdef'
const stream = 'Custom-Bench_CL'
const inFlight = 4

export const contestants = {
  'cyber-connectors': sender(async ({ url, ca, batch }) => {
    const { SentinelWritable } = await product('connectors/sentinel/index')
    return throughSink(
      () =>
        new SentinelWritable({
          dce: url,
          dcr_id: rule,
          dcs: stream,
          credential,
          ca,
          batch_size: batch,
          max_in_flight: inFlight,
        }),
    )
  }),

  'LogsIngestionClient loop': sender(async ({ url, ca, batch }) => {
    const { LogsIngestionClient } = await import('@azure/monitor-ingestion')
    const client = new LogsIngestionClient(url, credential, { tlsOptions: { ca } })
    return inBatches(batch, inFlight, (rows) => client.upload(rule, stream, rows))
  }),
}

/** The server of servers.mjs that these send to. */
export const serverOf = 'ingestion'
