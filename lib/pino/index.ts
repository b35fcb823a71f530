/**
 * A transport for pino: an application's log lines through any sink, in pino's worker thread. The entry point
 * `cyber-connectors/pino`.
 * @packageDocumentation
 */
import type { Writable } from 'node:stream'
import { isMainThread, parentPort, workerData } from 'node:worker_threads'
import type { LoggerConfig } from './log-rows.ts'
import { divided, type PinoOptions } from './options.ts'
import { type DroppedEvent, PinoTransport } from './pino-transport.ts'

export type { PinoOptions, PinoTransportOptions } from './options.ts'
export type { DroppedEvent } from './pino-transport.ts'

/** What pino's transports pass to their worker thread. */
interface ThreadData {
  readonly stateBuf?: unknown
  readonly workerData?: { readonly pinoWillSendConfig?: boolean }
}

/**
 * Makes the stream that pino writes its lines to. pino calls it by the name of the module:
 *
 *     const log = pino({ transport: { target: 'cyber-connectors/pino', options: { connector: 'splunk', url, token } } })
 *
 * The stream emits `dropped` ({@link DroppedEvent}), in pino's worker thread through the transport.
 * @throws OptionError that lists every wrong option
 */
export default async function pinoTransport(options: PinoOptions): Promise<Writable> {
  const { settings, sinkOptions } = divided(options)
  const thread = isMainThread ? undefined : (workerData as ThreadData | null)
  // Another program's worker thread has messages of its own.
  const port = thread?.stateBuf === undefined ? null : parentPort
  const transport = new PinoTransport(settings, sinkOptions, report)
  if (port && thread?.workerData?.pinoWillSendConfig) await configured(port, transport)
  return transport

  function report(event: DroppedEvent): void {
    transport.emit('dropped', event)
    port?.postMessage({ code: 'EVENT', name: 'dropped', args: [event] })
  }
}

/** Waits for what pino says of the logger before its first line; no longer than a second, as some streams between drop it. */
function configured(port: NonNullable<typeof parentPort>, transport: PinoTransport): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, 1000)
    port.on('message', (message: { code?: string; config?: LoggerConfig }) => {
      if (message.code !== 'PINO_CONFIG') return
      transport.configure(message.config ?? {})
      clearTimeout(timer)
      resolve()
    })
  })
}
