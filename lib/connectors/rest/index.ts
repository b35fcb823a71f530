import type { EitherSpelling } from '../../core/spelling.ts'
import { BatchingWritable } from '../../sink/batching-writable.ts'
import { type AnswerCheck, type RestOptions, restOptions } from './options.ts'
import { RestProtocol } from './protocol.ts'

export type { AnswerCheck, RestOptions }

/**
 * A Writable in object mode that sends rows to an HTTP endpoint.
 *
 * In: plain objects, a row each. With the default `batch_size` of 1 each is the JSON body of a request of its own, in
 * order; with more, a request carries an array of them.
 *
 * Finished when each row was answered with a 2xx status or is in `dead_letter`. At least once: rows come twice
 * if a request was sent and no answer came; `idempotency_header` lets the receiver drop duplicates.
 *
 *     await pipeline(source, new RestWritable({ url: process.env.WEBHOOK_URL }))
 *
 * Errors: ERR_OPTION from the constructor; ERR_AUTH (401, 403, 407), ERR_DELIVERY (retries ran out, a redirect, the
 * endpoint is not there), ERR_REJECTED and ERR_ROW (a row refused and no dead letter), ERR_DEAD_LETTER, ERR_ABORTED; each
 * lists the unsettled rows as `rows`. None shows more of `url` than its origin, nor the value of a header.
 */
export class RestWritable extends BatchingWritable {
  constructor(options: RestOptions)
  /** Names in camelCase are accepted too. */
  constructor(options: EitherSpelling<RestOptions>)
  constructor(options: unknown) {
    const settings = restOptions.resolve(options)
    super(new RestProtocol(settings), settings)
  }
}
