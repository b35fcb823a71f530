#!/usr/bin/env node
import { createRequire } from 'node:module'
import { Command, CommanderError } from 'commander'
import { runCopy } from './copy-command.ts'
import { demoCommand } from './demo-command.ts'
import { emulateCommand } from './emulate-command.ts'
import { exitCodeOf, exitCodes, exitCodesHelp } from './exit-codes.ts'
import { failureText } from './report.ts'
import { runCommand } from './run-command.ts'

const { version } = createRequire(import.meta.url)('../../package.json') as { version: string }

const about = `Moves security data between systems: Azure Monitor, Splunk, Microsoft Sentinel, REST, NDJSON.`

/** What every command does alike: it throws where it would end the process, and shows no value in an error. */
function configure(command: Command): Command {
  return command
    .exitOverride()
    .configureHelp({ helpWidth: Math.min(process.stdout.columns || 100, 110), showGlobalOptions: false })
    .configureOutput({ outputError: (text, write) => write(text.replace(/(--[^\s='"]+)=[^'"]*/g, '$1=…')) })
}

/** @param argv the command line without node and script @returns the exit code */
async function main(argv: readonly string[]): Promise<number> {
  let code: number = exitCodes.done
  const finish = (given: number) => {
    code = given
  }
  const program = configure(new Command('cyber-connectors').description(about).version(version))
  program.addHelpText('afterAll', `\n${exitCodesHelp}`)
  const copy = new Command('copy')
    .summary('moves rows from a source to a sink, every option a flag')
    .usage('--from <source> --to <sink> [options]')
  const commands = [
    demoCommand(finish).summary('shows the main job at work on this machine alone'),
    runCommand(finish).summary('runs a job file'),
    copy,
    emulateCommand(finish).summary('keeps stand-ins of the services up, to try things on'),
  ]
  for (const command of commands) program.addCommand(command === copy ? copy : configure(command))
  // Its flags are those of the connectors that it is about: it reads the command line itself.
  if (argv[0] === 'copy') return runCopy(argv.slice(1), configure)
  if (argv[0] === 'help' && argv[1] === 'copy') return main(['copy', '--help'])
  await program.parseAsync(argv, { from: 'user' })
  return code
}

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
