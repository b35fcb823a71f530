import { resolve } from 'node:path'
import { Command } from 'commander'
import { OptionError } from '../core/errors.ts'
import type { Report } from '../core/options.ts'
import type { Trigger } from '../streaming/query-options.ts'
import { checkPlan } from './check.ts'
import { addConnectorFlags, sideOptions } from './connector-flags.ts'
import { connectorSections } from './connector-sections.ts'
import { exitCodesHelp } from './exit-codes.ts'
import { canonicalFlags } from './flag-names.ts'
import type { Job } from './job.ts'
import { declarationsOf, planJob } from './plan.ts'
import { addLogFlags, type LogFlags, runJob } from './run-job.ts'
import { loadModules } from './transforms.ts'

interface CopyFlags extends LogFlags {
  readonly from?: string
  readonly to?: string
  readonly transform?: readonly string[]
  readonly import?: readonly string[]
  readonly checkpoint?: string
  readonly trigger?: string
  readonly check?: boolean
}

const about = `Moves rows from a source to a sink. "-" is standard input or output: NDJSON, a row each line.

Each option of both connectors is a flag, listed below. --from-<option> and --to-<option> are for one of the two; plain --<option> goes to each that has it and was not given its own: so --max-retries 3 is for both, --to-ca ca.pem for the sink alone. Flags may be written --batch-size, --batch_size or --batchSize.

The value can also come from --<option>-env NAME (a variable of the environment) or --<option>-file PATH. That of a secret comes only from there, never from the flag itself, which would show in the process list.`

const examples = `Examples:
  export SPLUNK_TOKEN=…
  zcat conn.log.gz | cyber-connectors copy --from - --to splunk --url https://splunk:8088 --token-env SPLUNK_TOKEN
  cyber-connectors copy --from azure-monitor --workspace-id … --query SecurityAlert --timespan P1D \\
    --azure-default-credential --to - | jq .`

/**
 * The command `copy`. Its flags are those of the connectors that it is about, so these are looked for before it parses.
 * @param argv what follows the name of the command
 */
export async function runCopy(
  argv: readonly string[],
  configure: (command: Command) => Command,
): Promise<number> {
  const first = configure(baseCommand()).allowUnknownOption().allowExcessArguments().helpOption(false)
  first.parse(canonicalFlags(argv, first.options), { from: 'user' })
  const { from, to, import: imports = [] } = first.opts<CopyFlags>()
  const problems: string[] = []
  const report: Report = (problem) => problems.push(problem)
  await loadModules(
    imports.map((path) => resolve(path)),
    report,
  )
  if (problems.length > 0) throw new OptionError('copy', problems)

  const command = configure(baseCommand())
  const asked = argv.includes('--help') || argv.includes('-h')
  command.addHelpText(
    'after',
    () => `\n${connectorSections({ from, to }, 'flags')}\n\n${examples}\n\n${exitCodesHelp}`,
  )
  if (asked) command.help()
  if (from === undefined) report('--from: is required (the name of a source, or -)')
  if (to === undefined) report('--to: is required (the name of a sink, or -)')
  if (from === undefined || to === undefined) throw new OptionError('copy', problems)

  const sides = [
    sideOptions('from', declarationsOf(from, 'source')),
    sideOptions('to', declarationsOf(to, 'sink')),
  ]
  const options = addConnectorFlags(command, sides, argv, report)
  command.parse(canonicalFlags(argv, command.options), { from: 'user' })
  const flags = command.opts<CopyFlags>()
  const trigger = flags.trigger === undefined ? undefined : parseTrigger(flags.trigger, report)
  if (problems.length > 0) throw new OptionError('copy', problems)
  const given = options()
  const job: Job = {
    source: { connector: from, options: given.from },
    sink: { connector: to, options: given.to },
    transforms: (flags.transform ?? []).map((path) => resolve(path)),
    imports: [],
    checkpoint: flags.checkpoint,
    trigger,
  }
  const plan = await planJob(job)
  return flags.check ? checkPlan(plan) : runJob(plan, flags)
}

function baseCommand(): Command {
  const collect = (path: string, paths: string[] = []) => [...paths, path]
  const command = new Command('cyber-connectors copy')
    .usage('--from <source> --to <sink> [options]')
    .description(about)
    .option('--from <source>', 'where rows come from: a connector, or "-" for standard input')
    .option('--to <sink>', 'where rows go to: a connector, or "-" for standard output')
    .option('--transform <module>', 'a module that rows go through; several in order', collect)
    .option(
      '--import <module>',
      'a module that is loaded first, such as one that registers a connector',
      collect,
    )
    .option(
      '--checkpoint <directory>',
      'keeps offsets there: reads window by window, and goes on where it stood',
    )
    .option(
      '--trigger <when>',
      'with --checkpoint: "available_now", "once", or the seconds between two looks',
    )
    .option('--check', 'tries options, credentials and endpoints without moving a row')
  return addLogFlags(command)
}

function parseTrigger(text: string, report: Report): Trigger | undefined {
  if (/^available[-_]?now$/i.test(text)) return 'available_now'
  if (text === 'once') return 'once'
  const seconds = Number(text)
  if (text.trim() !== '' && seconds > 0) return { interval_seconds: seconds }
  report('--trigger: expected "available_now", "once" or a number of seconds')
  return undefined
}
