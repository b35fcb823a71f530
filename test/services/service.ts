import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants } from 'node:fs'
import { createServer } from 'node:net'
import { delimiter, join } from 'node:path'
import { createInterface } from 'node:readline'

/** A real server for tests, on a free port of the loopback. It can be ended and started again with its data. */
export interface Service {
  /** Where it listens. It stays the same when the server is started again. */
  readonly url: string
  /** Of the server, undefined while it does not run. */
  readonly pid: number | undefined
  /** Starts it again after `kill`. Resolves once it takes connections. */
  start(): Promise<void>
  /** Ends it. Resolves once it is gone. Default: SIGKILL. */
  kill(signal?: NodeJS.Signals): Promise<void>
  /** Ends it and removes its data. */
  stop(): Promise<void>
}

export interface ServerProgram {
  readonly url: string
  readonly command: readonly string[]
  /** What it prints once it takes connections. */
  readonly ready: RegExp
  readonly environment?: NodeJS.ProcessEnv
  /** Ends it in order. Default: SIGTERM. */
  readonly stopSignal?: NodeJS.Signals
  /** Removes its data. */
  clear(): Promise<void>
}

/** Runs a server until `stop`, at the latest until this process ends, however that ends. */
export async function runService(program: ServerProgram): Promise<Service> {
  const { url, command, ready, environment, stopSignal = 'SIGTERM', clear } = program
  let child: ChildProcess | undefined
  const service: Service = {
    url,
    get pid() {
      return child?.pid
    },
    async start() {
      const [file, ...args] = [...orphanGuard(), ...command]
      const started = spawn(file!, args, {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: environment ?? process.env,
      })
      child = started
      const said: string[] = []
      await new Promise<void>((resolve, reject) => {
        for (const output of [started.stdout, started.stderr]) {
          createInterface({ input: output }).on('line', (line) => {
            if (said.length < 50) said.push(line)
            if (ready.test(line)) resolve()
          })
        }
        started.once('error', reject)
        started.once('close', (code) => reject(new Error(`${file} ended (${code}):\n${said.join('\n')}`)))
      })
    },
    async kill(signal = 'SIGKILL') {
      const ending = child
      child = undefined
      if (!ending || ending.exitCode !== null || ending.signalCode !== null) return
      const closed = once(ending, 'close')
      process.kill(ending.pid!, 'SIGCONT')
      process.kill(ending.pid!, signal)
      await closed
    },
    async stop() {
      await service.kill(stopSignal)
      await clear()
    },
  }
  try {
    await service.start()
  } catch (error) {
    await clear()
    throw error
  }
  return service
}

/** Linux ends a server whose test was killed. */
function orphanGuard(): string[] {
  return process.platform === 'linux' ? ['setpriv', '--pdeathsig=TERM'] : []
}

/** The path of a program, undefined where it is not installed. */
export function findProgram(name: string, ...folders: string[]): string | undefined {
  for (const folder of [...folders, ...(process.env['PATH'] ?? '').split(delimiter)]) {
    const path = join(folder, name)
    try {
      accessSync(path, constants.X_OK)
      return path
    } catch {}
  }
  return undefined
}

/** A free port below those that outgoing connections get: it stays free while a server is started again. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 15_000 + Math.floor(Math.random() * 15_000)
    const server = createServer()
    const free = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false))
      server.listen(port, '127.0.0.1', () => resolve(true))
    })
    if (!free) continue
    await new Promise((resolve) => server.close(resolve))
    return port
  }
}
