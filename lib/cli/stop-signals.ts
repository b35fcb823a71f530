import { exitCodes } from './exit-codes.ts'

/** Milliseconds in which a repeat is the same signal: npm and npx forward what the terminal has sent already. */
const repeat = 300

/** Milliseconds from the second signal to the end of the process, whatever still runs. */
const grace = 1500

/** SIGINT and SIGTERM: the first asks for a clean stop, a second one for an end at once. */
export class StopSignals implements Disposable {
  readonly #stop = new AbortController()
  readonly #abort = new AbortController()
  readonly #notice: (signal: NodeJS.Signals) => void
  #first: NodeJS.Signals | undefined
  #at = 0
  #timer: NodeJS.Timeout | undefined
  readonly #take = (signal: NodeJS.Signals) => {
    if (this.#first === undefined) {
      this.#first = signal
      this.#at = performance.now()
      this.#notice(signal)
      this.#stop.abort()
    } else if (performance.now() - this.#at > repeat) {
      this.#abort.abort()
      // A transform that never answers, or a connection that does not close, must not keep the process.
      this.#timer ??= setTimeout(() => process.exit(this.exitCode), grace).unref()
    }
  }

  /** @param notice told of the first signal, before anything is stopped */
  constructor(notice: (signal: NodeJS.Signals) => void = () => {}) {
    this.#notice = notice
    process.on('SIGINT', this.#take).on('SIGTERM', this.#take)
  }

  /** Fires when no more is to be begun. */
  get stop(): AbortSignal {
    return this.#stop.signal
  }

  /** Fires when all is to end at once. */
  get abort(): AbortSignal {
    return this.#abort.signal
  }

  /** The exit code of a run that a signal has cut short; undefined where none came. */
  get exitCode(): number | undefined {
    if (this.#first === undefined) return undefined
    return this.#first === 'SIGINT' ? exitCodes.interrupted : exitCodes.terminated
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
    process.off('SIGINT', this.#take).off('SIGTERM', this.#take)
  }
}
