import { exitCodes } from './failures.ts'

/** Milliseconds in which a repeated signal counts once: npm and npx forward what the terminal has already sent. */
const repeat = 300

/** Milliseconds from the second signal to the forced end of the process. */
const closeTimeout = 1500

/** SIGINT and SIGTERM: the first one asks for a clean stop, the second one ends at once. */
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
      // A transform that never ends, or a connection that does not close, must not keep the process alive.
      this.#timer ??= setTimeout(() => process.exit(this.exitCode), closeTimeout).unref()
    }
  }

  /** @param notice called with the first signal, before anything stops */
  constructor(notice: (signal: NodeJS.Signals) => void = () => {}) {
    this.#notice = notice
    process.on('SIGINT', this.#take).on('SIGTERM', this.#take)
  }

  /** Aborted by the first signal: start nothing more. */
  get stop(): AbortSignal {
    return this.#stop.signal
  }

  /** Aborted by a second signal: end at once. */
  get abort(): AbortSignal {
    return this.#abort.signal
  }

  /** The exit code of a run that a signal has stopped; undefined without one. */
  get exitCode(): number | undefined {
    if (this.#first === undefined) return undefined
    return this.#first === 'SIGINT' ? exitCodes.interrupted : exitCodes.terminated
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
    process.off('SIGINT', this.#take).off('SIGTERM', this.#take)
  }
}
