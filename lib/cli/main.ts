#!/usr/bin/env node
import { createRequire } from 'node:module'
import { Command, CommanderError } from 'commander'
import { silenceRetryWarnings } from '../core/retry-warning.ts'
import type { HelpTopic } from './connector-options.ts'
import { exitCodeOf, exitCodes, exitCodesHelp, failureText } from './failures.ts'

const { version } = createRequire(import.meta.url)('../../package.json') as { version: string }

const about = `Moves security data between systems: Azure Monitor, Splunk, Microsoft Sentinel, REST, NDJSON.`

/** Common to all commands: they throw instead of ending the process, and errors show no flag's value. */
function configure(command: Command): Command {
  return command
    .exitOverride()
    .configureHelp({ helpWidth: Math.min(process.stdout.columns || 100, 110), showGlobalOptions: false })
    .configureOutput({ outputError: (text, write) => write(text.replace(/(--[^\s='"]+)=[^'"]*/g, '$1=…')) })
}

/** The commands. Each loads its own modules: a copy to Splunk does not load the emulators. */
const commands: Record<
  string,
  { summary: string; load: () => Promise<(finish: Finish, topic: HelpTopic) => Command> }
> = {
  demo: {
    summary: 'runs the main job against emulators on this machine',
    load: async () => (await import('./demo.ts')).demoCommand,
  },
  run: { summary: 'runs a job file', load: async () => (await import('./run-command.ts')).runCommand },
  copy: {
    summary: 'moves rows from a source to a sink, every option a flag',
    load: async () => () => new Command('copy'),
  },
  plan: {
    summary: 'adds the windows of a job to a queue',
    load: async () => (await import('./queue-commands.ts')).planCommand,
  },
  worker: {
    summary: 'delivers the windows of a queue, on any number of hosts',
    load: async () => (await import('./worker-command.ts')).workerCommand,
  },
  queue: {
    summary: 'shows, retries, pauses and resumes a queue',
    load: async () => (await import('./queue-commands.ts')).queueCommand,
  },
  'sentinel-template': {
    summary: 'writes the ARM template of a Sentinel table for sample rows',
    load: async () => () => new Command('sentinel-template'),
  },
  verify: {
    summary: "counts a job's source and destination, and says where they differ",
    load: async () => (await import('./verify-command.ts')).verifyCommand,
  },
  emulate: {
    summary: 'runs emulators of the services, to try things on',
    load: async () => (await import('./emulate-command.ts')).emulateCommand,
  },
}

/** Sets the exit code. */
type Finish = (code: number) => void

/** Takes `--help`, `--help=all` and `--help splunk` out of a command line. */
function takeHelpTopic(argv: readonly string[]): { topic: HelpTopic; argv: readonly string[] } {
  const at = argv.findIndex((token) => token === '-h' || token === '--help' || token.startsWith('--help='))
  if (at < 0) return { topic: undefined, argv }
  const [, value] = argv[at]!.split('=')
  const next = argv[at + 1]
  const isTopic = value === undefined && next !== undefined && /^[a-z][\w-]*$/.test(next)
  return {
    topic: value ?? (isTopic ? next : ''),
    argv: [...argv.slice(0, at), ...argv.slice(at + (isTopic ? 2 : 1))],
  }
}

/** @param given the command line without node and script @returns the exit code */
async function main(given: readonly string[]): Promise<number> {
  silenceRetryWarnings()
  let code: number = exitCodes.done
  const finish = (given: number) => {
    code = given
  }
  const { topic, argv: rest } = takeHelpTopic(given)
  const [first, second] = given
  const wanted = first === 'help' ? second : first
  // Flags of these depend on connectors: they parse the command line themselves.
  if (wanted === 'copy') {
    const { runCopy } = await import('./copy-command.ts')
    return runCopy(first === 'help' ? [] : rest.slice(1), first === 'help' ? '' : topic, configure)
  }
  if (wanted === 'sentinel-template') {
    const { runSentinelTemplate } = await import('./sentinel-template-command.ts')
    return runSentinelTemplate(first === 'help' ? ['--help'] : given.slice(1), configure)
  }
  const program = configure(new Command('cyber-connectors').description(about).version(version))
  program.addHelpText('afterAll', `\n${exitCodesHelp}`)
  for (const [name, { summary, load }] of Object.entries(commands)) {
    const command = name === wanted ? (await load())(finish, topic) : new Command(name)
    program.addCommand(configure(command).summary(summary))
  }
  await program.parseAsync(wanted === 'run' && topic !== undefined ? [...rest, '--help'] : given, {
    from: 'user',
  })
  return code
}

// A reader that closes the pipe, as `head` does, must not crash the process. The writer of rows notices it.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})

// Node would print all of the error's fields.
process.on('uncaughtException', (error) => {
  process.stderr.write(`${failureText(error)}\n`)
  process.exit(exitCodeOf(error))
})

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  if (error instanceof CommanderError)
    process.exitCode = error.exitCode === 0 ? exitCodes.done : exitCodes.usage
  else {
    process.stderr.write(`${failureText(error)}\n`)
    process.exitCode = exitCodeOf(error)
  }
}
