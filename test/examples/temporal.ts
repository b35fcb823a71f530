// An activity of Temporal. Its workflow calls it for each window, with a heartbeatTimeout of 10 s.
import { ApplicationFailure, cancellationSignal, heartbeat } from '@temporalio/activity'
import {
  AzureMonitorStreamReadable,
  type PlainWindow,
  runWindow,
  SplunkWritable,
  WindowError,
} from 'cyber-connectors'

const source = new AzureMonitorStreamReadable({
  workspace_id: '…',
  query: 'SecurityAlert',
  azure_default_credential: true,
})

export async function deliver(window: PlainWindow): Promise<{ rowsOut: number }> {
  try {
    return await runWindow(window, {
      source,
      sink: () => new SplunkWritable({ url: 'https://splunk:8088', token: '…' }),
      signal: cancellationSignal(),
      onProgress: (progress) => heartbeat(progress),
    })
  } catch (error) {
    if (!(error instanceof WindowError)) throw error
    const { message, code, verdict, retryAfter } = error
    throw ApplicationFailure.create({
      message,
      type: code,
      nonRetryable: verdict !== 'retry',
      ...(retryAfter !== undefined && { nextRetryDelay: retryAfter }),
    })
  }
}
