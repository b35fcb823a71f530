import { OptionError } from '../../core/errors.ts'
import type { Health } from '../../core/health.ts'
import { Refusal } from '../../core/options.ts'
import type { EitherSpelling } from '../../core/spelling.ts'
import { BatchingWritable } from '../../sink/batching-writable.ts'
import { connectorName, type SentinelOptions, type SentinelSettings, sentinelOptions } from './options.ts'
import { SentinelProtocol } from './protocol.ts'
import { type TimeReplacedEvent, templateColumns, type UndeclaredEvent } from './sent-rows.ts'

export type { SentinelOptions, TimeReplacedEvent, UndeclaredEvent }

/**
 * A Writable in object mode that sends rows to a table of Microsoft Sentinel or Azure Monitor, by the Logs Ingestion API.
 *
 * In: plain objects, a row each, with the columns that the stream of the Data Collection Rule declares. A Date becomes
 * ISO 8601 text. `TimeGenerated` is yours to fill in, in the row or by the rule's transformation: nothing is put in here
 * if it is missing. The service replaces one that is older than 2 days or more than 1 day ahead by the time of reception:
 * event `time_replaced`. Columns that the stream does not declare are dropped by the service, which still answers 204: event
 * `undeclared` for each name that can't be declared. Both are warnings of the process too.
 *
 * Finished when the service took each row in (204) or `dead_letter` did. What fails after that, in the rule's
 * transformation or the table, is told in the workspace's table DCRLogErrors alone. At least once: the API has no key to
 * tell that rows came before, so they come twice where a request was sent and no answer came.
 *
 *     await pipeline(source, new SentinelWritable({ dce, dcr_id, dcs: 'Custom-Alerts_CL', azure_default_credential: true }))
 *
 * Errors: ERR_OPTION from the constructor; ERR_AUTH (no token, or refused; no role on the rule), ERR_DELIVERY (retries
 * ran out; rule or stream unknown), ERR_REJECTED and ERR_ROW (a row refused, or over the limit of 1 MB, and no dead
 * letter), ERR_DEAD_LETTER, ERR_ABORTED; each lists the unsettled rows as `rows`.
 *
 * https://learn.microsoft.com/azure/azure-monitor/logs/logs-ingestion-api-overview
 */
export class SentinelWritable extends BatchingWritable {
  readonly #protocol: SentinelProtocol
  readonly #timeout: number

  constructor(options: SentinelOptions)
  /** Names in camelCase are accepted too. */
  constructor(options: EitherSpelling<SentinelOptions>)
  constructor(options: unknown) {
    const settings = sentinelOptions.resolve(options)
    const protocol = new SentinelProtocol(
      { ...settings, columns: declaredColumns(settings) },
      {
        undeclared: (column, text) => {
          const event: UndeclaredEvent = { connector: connectorName, column, text }
          process.emitWarning(
            `${connectorName}: the service drops the column ${JSON.stringify(column)}: ${text}`,
          )
          this.emit('undeclared', event)
        },
        timeReplaced: (rows, time) => {
          const text = `the service replaces a TimeGenerated more than 2 days old or a day ahead by the time of ingestion: ${rows === 1 ? 'a row has' : `${rows.toLocaleString('en')} rows have`} such a time (${time}); keep the time of an event in a column of its own`
          process.emitWarning(`${connectorName}: ${text}`)
          this.emit('time_replaced', {
            connector: connectorName,
            rows,
            time,
            text,
          } satisfies TimeReplacedEvent)
        },
        spanRefused: (text) => {
          process.emitWarning(`${connectorName}: a call was refused and goes out in smaller ones: ${text}`)
        },
      },
    )
    super(protocol, settings)
    this.#protocol = protocol
    this.#timeout = settings.request_timeout * 1000
  }

  /** Tries token, role, rule and stream by a call without rows. Never throws: what is wrong is in `text`. */
  healthy(): Promise<Health> {
    return this.#protocol.health(this.#timeout)
  }
}

function declaredColumns({ columns, template }: SentinelSettings): readonly string[] | undefined {
  if (template === undefined) return columns
  try {
    return templateColumns(template)
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    throw new OptionError(connectorName, [`template: ${error.message}`])
  }
}
