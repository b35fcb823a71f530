// A worker on Amazon SQS: the message stays hidden while its window is under way.
import {
  ChangeMessageVisibilityCommand,
  DeleteMessageCommand,
  ReceiveMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs'
import {
  AzureMonitorStreamReadable,
  type PlainWindow,
  runWindow,
  SplunkWritable,
  WindowError,
} from 'cyber-connectors'

const sqs = new SQSClient()
const QueueUrl = process.env['QUEUE_URL'] ?? ''
const source = new AzureMonitorStreamReadable({
  workspace_id: '…',
  query: 'SecurityAlert',
  azure_default_credential: true,
})

for (;;) {
  const { Messages = [] } = await sqs.send(
    new ReceiveMessageCommand({ QueueUrl, WaitTimeSeconds: 20, VisibilityTimeout: 60 }),
  )
  for (const { Body = '', ReceiptHandle } of Messages) {
    const hide = (seconds: number) => sqs.send(new ChangeMessageVisibilityCommand({ QueueUrl, ReceiptHandle, VisibilityTimeout: seconds })) // biome-ignore format: one line
    const lost = new AbortController()
    try {
      await runWindow(JSON.parse(Body) as PlainWindow, {
        source,
        sink: () => new SplunkWritable({ url: 'https://splunk:8088', token: '…' }),
        signal: lost.signal,
        onProgress: ({ duration }) =>
          void (Math.round(duration / 1000) % 20 === 0 && hide(60).catch((error) => lost.abort(error))),
      })
      await sqs.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle }))
    } catch (error) {
      if (error instanceof WindowError && error.verdict === 'fatal') throw error
      // Tried again later; a window that never passes goes to the dead-letter queue by the queue's redrive policy.
      await hide(Math.ceil((error instanceof WindowError ? (error.retryAfter ?? 5000) : 0) / 1000))
    }
  }
}
