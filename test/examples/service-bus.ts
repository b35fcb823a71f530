// A worker on Azure Service Bus: its lock is renewed by the client while a window is under way.
import { ServiceBusClient } from '@azure/service-bus'
import {
  AzureMonitorStreamReadable,
  ConnectorError,
  type PlainWindow,
  runWindow,
  SplunkWritable,
  WindowError,
} from 'cyber-connectors'

const source = new AzureMonitorStreamReadable({ workspace_id: '…', query: 'SecurityAlert', azure_default_credential: true }) // biome-ignore format: one line
const bus = new ServiceBusClient(process.env['SERVICE_BUS'] ?? '')
const receiver = bus.createReceiver('windows', { maxAutoLockRenewalDurationInMs: 3_600_000 })

receiver.subscribe({
  async processMessage(message) {
    try {
      await runWindow(message.body as PlainWindow, { source, sink: () => new SplunkWritable({ url: 'https://splunk:8088', token: '…' }) }) // biome-ignore format: one line
      await receiver.completeMessage(message)
    } catch (error) {
      const { verdict = 'retry', code = 'ERR_ABORTED' } =
        error instanceof WindowError ? error : ({} as Partial<WindowError>)
      if (verdict === 'refused')
        return await receiver.deadLetterMessage(message, {
          deadLetterReason: code,
          deadLetterErrorDescription: String(error),
        })
      await receiver.abandonMessage(message)
      if (verdict === 'fatal') await bus.close()
    }
  },
  processError: async ({ error }) =>
    console.error(error instanceof ConnectorError ? error.code : error.message),
})
