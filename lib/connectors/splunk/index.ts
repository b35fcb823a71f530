import type { Health } from '../../core/health.ts'
import type { EitherSpelling } from '../../core/spelling.ts'
import { BatchingWritable } from '../../sink/batching-writable.ts'
import { type SplunkOptions, splunkOptions } from './options.ts'
import { HecProtocol } from './protocol.ts'

export type { SplunkOptions }

/**
 * A Writable in object mode that sends rows to Splunk's HTTP Event Collector.
 *
 * In: plain objects, a row each. Each becomes one event: `{ time, host, source, sourcetype, index, event, fields }`.
 *
 * Finished when each row is acknowledged by HEC (with `ack`: by an indexer) or taken by `dead_letter`. At least once:
 * rows come twice where a request was sent and no answer came.
 *
 *     await pipeline(source, new SplunkWritable({ url: 'https://splunk:8088', token, index: 'alerts' }))
 *
 * Errors: ERR_OPTION from the constructor; ERR_AUTH (token refused), ERR_DELIVERY (retries ran out), ERR_REJECTED and
 * ERR_ROW (a row refused and no dead letter), ERR_DEAD_LETTER, ERR_ABORTED; each lists the unsettled rows as `rows`.
 *
 * https://docs.splunk.com/Documentation/Splunk/latest/Data/UsetheHTTPEventCollector
 */
export class SplunkWritable extends BatchingWritable {
  readonly #protocol: HecProtocol
  readonly #timeout: number

  constructor(options: SplunkOptions)
  /** Names in camelCase are accepted too. */
  constructor(options: EitherSpelling<SplunkOptions>)
  constructor(options: unknown) {
    const settings = splunkOptions.resolve(options)
    const protocol = new HecProtocol(settings)
    super(protocol, settings)
    this.#protocol = protocol
    this.#timeout = settings.request_timeout * 1000
  }

  /** Asks HEC whether it would take events now. Never throws: what is wrong is in `text`. */
  healthy(): Promise<Health> {
    return this.#protocol.health(this.#timeout)
  }
}
