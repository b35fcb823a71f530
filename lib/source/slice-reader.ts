import { type ConnectorError, QueryError } from '../core/errors.ts'
import type { Health } from '../core/health.ts'
import type { Offset, Slice } from '../core/slice.ts'
import { Asker, type AskerSettings } from './asker.ts'
import type { SourceTeller } from './events.ts'
import type { Divider } from './planner.ts'
import type { Page, Row, SourceProtocol } from './protocol.ts'

/** A slice that is being read. */
export interface OpenSlice<S extends Slice = Slice> {
  readonly slice: S
  /** Its rows, once, some hundred at a time. @throws ConnectorError, AbortError */
  batches(): AsyncGenerator<readonly Row[]>
  /** Frees its answer, where `batches` is never called. */
  release(): void
}

type Asked = Promise<{ readonly value: Page } | { readonly split: ConnectorError }>

/** What is left to read of a slice, in order. */
interface Part<S> {
  readonly slice: S
  readonly page: unknown
  asked: Asked | undefined
}

/** Reads slices by a protocol: asks at once, turns pages, halves what is too large. */
export class SliceReader<S extends Slice, O extends Offset> {
  readonly #protocol: SourceProtocol<S, O>
  readonly #divider: Divider<S>
  readonly #teller: SourceTeller
  readonly #asker: Asker

  constructor(
    protocol: SourceProtocol<S, O>,
    divider: Divider<S>,
    settings: AskerSettings,
    teller: SourceTeller,
  ) {
    this.#protocol = protocol
    this.#divider = divider
    this.#teller = teller
    this.#asker = new Asker(settings)
  }

  /** Begins to read a slice. Its first batch comes only when a whole answer is there. */
  open(slice: S, exact: boolean, signal: AbortSignal, onRetry?: () => void): OpenSlice<S> {
    const ask = (part: Part<S>, exactly: boolean, because: ConnectorError | undefined) =>
      this.#ask(part, exactly, because, signal, onRetry)
    const whole: Part<S> = { slice, page: undefined, asked: undefined }
    ask(whole, exact, undefined)
    return {
      slice,
      batches: () => this.#batches(whole, exact, ask, signal),
      release: () => release(whole),
    }
  }

  async earliest(signal: AbortSignal): Promise<O | undefined> {
    const found = await this.#asker.ask((_page, until) => this.#protocol.earliest!(until), {
      signal,
      onRetry: (notice) => this.#teller.retry(notice, undefined),
    })
    if ('split' in found) throw found.split
    return found.value
  }

  /** Whether the source would answer now: one request, not repeated. */
  async healthy(signal: AbortSignal): Promise<Health> {
    if (!this.#protocol.health) return { healthy: true, text: 'there is nothing to try without reading rows' }
    const answer = await this.#protocol.health(signal)
    if (answer.kind === 'accepted') return answer.value
    if (answer.kind === 'wait') return { healthy: true, text: 'the source is at work' }
    const { status, serviceCode: code, message: text } = answer.error
    return { healthy: false, status, code, text }
  }

  close(): void {
    this.#protocol.close()
  }

  async *#batches(
    whole: Part<S>,
    exactly: boolean,
    ask: (part: Part<S>, exact: boolean, because: ConnectorError | undefined) => Asked,
    signal: AbortSignal,
  ): AsyncGenerator<readonly Row[]> {
    let exact = exactly
    let because: ConnectorError | undefined
    const todo = [whole]
    const askNext = () => todo[0] && (todo[0].asked ?? ask(todo[0], exact, because))
    try {
      while (todo.length > 0) {
        const result = await askNext()!
        const { slice } = todo[0]!
        if ('split' in result) {
          const parts = this.#divider.halves(slice)
          if (!parts) throw this.#tooLarge(slice, result.split)
          because ??= result.split
          exact = true
          this.#teller.split(slice, parts, result.split)
          todo.splice(0, 1, ...parts.map((part) => ({ slice: part, page: undefined, asked: undefined })))
          continue
        }
        const page = result.value
        const part = todo.shift()!
        try {
          this.#teller.response(page.bytes)
          if (page.next !== undefined) todo.unshift({ slice, page: page.next, asked: undefined })
          // The next part is on its way while this one is parsed.
          askNext()
          for await (const batch of page.rows) {
            signal.throwIfAborted()
            if (batch.length > 0) yield batch
          }
        } finally {
          part.asked = undefined
          page.release?.()
        }
      }
    } finally {
      for (const part of todo) release(part)
    }
  }

  #ask(
    part: Part<S>,
    exact: boolean,
    because: ConnectorError | undefined,
    signal: AbortSignal,
    onRetry: (() => void) | undefined,
  ): Asked {
    const { slice } = part
    const divisible = this.#divider.halves(slice) !== undefined
    part.asked = this.#asker.ask(
      (page, until) => this.#protocol.ask({ slice, exact, divisible, because, page }, until),
      {
        signal,
        divisible,
        page: part.page,
        window: this.#divider.ends?.(slice),
        onRetry: (notice) => {
          onRetry?.()
          this.#teller.retry(notice, slice)
        },
      },
    )
    // It is looked at when its turn comes, and may fail before.
    part.asked.catch(() => {})
    return part.asked
  }

  #tooLarge(slice: S, cause: ConnectorError): ConnectorError {
    const { status, serviceCode, serviceText } = cause
    const { indivisible = 'can not be made smaller', ends } = this.#divider
    return new QueryError('ERR_RESULT_TOO_LARGE', `${cause.message}. The window ${slice.id} ${indivisible}`, {
      connector: this.#protocol.connector,
      status,
      serviceCode,
      serviceText,
      window: ends?.call(this.#divider, slice),
      cause,
    })
  }
}

/** Frees a page that was asked for and is not wanted. */
function release({ asked }: Part<Slice>): void {
  asked?.then(
    (result) => 'value' in result && result.value.release?.(),
    () => {},
  )
}
