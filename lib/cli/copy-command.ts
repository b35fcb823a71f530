import { existsSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { Command, Option } from 'commander'
import { OptionError } from '../core/errors.ts'
import type { Report } from '../core/options.ts'
import { registered } from '../registry.ts'
import type { Trigger } from '../streaming/query-options.ts'
import { checkPlan } from './check.ts'
import { addConnectorFlags, canonicalFlags, hasPassword, variable } from './connector-flags.ts'
import { declarationsOf, type HelpTopic, sectionsOf, sideOptions } from './connector-options.ts'
import { exitCodesHelp } from './failures.ts'
import { endpointOf, type Job } from './job.ts'
import { planJob } from './plan.ts'
import { addLogFlags, type LogFlags, runJob } from './run-command.ts'
import { loadModules } from './transforms.ts'
import { dryRun } from './trial-rows.ts'

interface CopyFlags extends LogFlags {
  readonly from?: string
  readonly to?: string
  readonly transform?: readonly string[]
  readonly import?: readonly string[]
  readonly checkpoint?: string
  readonly checkpointEnv?: string
  readonly trigger?: string
  readonly check?: boolean
  readonly dryRun?: boolean
  readonly follow?: boolean
  readonly undelivered?: string
  readonly rows?: 'plain' | 'dead-letter' | 'objects' | 'json'
}

const about = `Moves rows from a source to a sink. "-" is standard input or output: NDJSON, one row a line. --from also accepts the path of files. Each option of both connectors is a flag: see copy --help splunk, or --help=all.`

const flagsHelp = `Each option of both connectors is a flag. --from-<option> sets the source alone, --to-<option> the sink alone, --<option> both: --max-retries 3 sets both, --to-ca ca.pem the sink alone. Flags may be written --batch-size, --batch_size or --batchSize.

--<option>-env NAME reads the value from an environment variable, --<option>-file PATH from a file. Secrets are accepted only in these two ways, because the process list shows flags.`

const examples = `Examples:
  export SPLUNK_TOKEN=…
  zcat conn.log.gz | cyber-connectors copy --from - --to splunk --url https://splunk:8088 --token-env SPLUNK_TOKEN
  cyber-connectors copy --from '/var/log/zeek/*.log.gz' --to splunk --url https://splunk:8088 --token-env SPLUNK_TOKEN \\
    --checkpoint ./offsets --follow
  cyber-connectors copy --from azure-monitor --workspace-id … --query SecurityAlert --timespan P1D \\
    --azure-default-credential --to - | jq .`

/**
 * The command `copy`. Its flags depend on its connectors, so a first pass finds these, and a second one parses.
 * @param argv the arguments after the name of the command
 * @param topic what help is asked about
 */
export async function runCopy(
  argv: readonly string[],
  topic: HelpTopic,
  configure: (command: Command) => Command,
): Promise<number> {
  const first = configure(baseCommand()).allowUnknownOption().allowExcessArguments().helpOption(false)
  first.parse(canonicalFlags(argv, first.options), { from: 'user' })
  const { from: place, to, rows, import: imports = [] } = first.opts<CopyFlags>()
  // The files' own option of this name has other values.
  const form = rows === 'objects' || rows === 'json' ? rows : undefined
  const wanted = rows === 'objects' || rows === 'json' ? undefined : rows
  const problems: string[] = []
  const report: Report = (problem) => problems.push(problem)
  await loadModules(
    imports.map((path) => resolve(path)),
    report,
  )
  if (problems.length > 0) throw new OptionError('copy', problems)

  // --rows describes a file, so --from is its path, whatever it looks like.
  const isFile = place !== undefined && wanted !== undefined
  const { connector: from, path } = isFile ? { connector: 'files', path: place } : endpointOf(place)
  const command = configure(baseCommand())
  command.addHelpText('after', () => `\n${examples}`)
  if (topic !== undefined) {
    const sections = sectionsOf(topic, { from, to }, 'flags')
    if (sections) command.addHelpText('after', `\n${flagsHelp}\n\n${sections}\n\n${exitCodesHelp}`)
    command.help()
  }
  if (from === undefined) report('--from: is required (the name of a source, or -)')
  if (to === undefined) report('--to: is required (the name of a sink, or -)')
  if (from === undefined || to === undefined) throw new OptionError('copy', problems)
  if (from !== '-' && !registered().has(from) && existsSync(from))
    report(`--from: there is no source "${from}"; to read the file or folder of this name, write ./${from}`)

  const input = wanted === undefined ? undefined : await inputFile(path, report)
  const source = input === undefined ? from : '-'
  const declared = (connector: string, noun: 'source' | 'sink') => {
    try {
      return declarationsOf(connector, noun)
    } catch (error) {
      if (!(error instanceof OptionError)) throw error
      // A folder of this name is reported above.
      if (problems.length === 0 || noun === 'sink') report(error.message)
      return []
    }
  }
  const sides = [sideOptions('from', declared(source, 'source')), sideOptions('to', declared(to, 'sink'))]
  if (problems.length > 0) throw new OptionError('copy', problems)
  const options = addConnectorFlags(command, sides, argv, report)
  command.parse(canonicalFlags(argv, command.options), { from: 'user' })
  const flags = command.opts<CopyFlags>()
  const flagged = options()
  const given = form === undefined ? flagged : { ...flagged, from: { ...flagged.from, rows: form } }
  if (path !== undefined && given.from['path'] !== undefined)
    report('--path: given twice, --from is a path too')
  if (flags.checkpoint !== undefined && hasPassword(flags.checkpoint))
    report(
      "--checkpoint: it has a user or password in it, and a flag shows in the process list and in the shell's history. Give --checkpoint-env NAME (a variable of the environment)",
    )
  const checkpoint =
    flags.checkpointEnv === undefined
      ? flags.checkpoint
      : variable('--checkpoint-env', flags.checkpointEnv, report)
  if (flags.follow && flags.trigger !== undefined) report('--follow and --trigger exclude each other')
  // Files copied by path end with what is there now, unless --follow is given.
  const rest = path !== undefined && checkpoint !== undefined && !flags.follow ? 'available_now' : undefined
  const trigger = flags.trigger === undefined ? rest : parseTrigger(flags.trigger, report)
  if (problems.length > 0) throw new OptionError('copy', problems)
  const job: Job = {
    name: 'copy',
    source: {
      connector: source,
      options: path === undefined || input !== undefined ? given.from : { ...given.from, path },
    },
    input: input === undefined ? undefined : { path: input, rows: wanted ?? 'plain' },
    undelivered: flags.undelivered,
    sink: { connector: to, options: given.to },
    transforms: (flags.transform ?? []).map((path) => resolve(path)),
    imports: [],
    checkpoint,
    trigger,
    follow: flags.follow,
    limit: flags.limit,
  }
  const plan = await planJob(job)
  if (flags.dryRun) return dryRun(plan, flags.limit)
  return flags.check ? checkPlan(plan) : runJob(plan, flags)
}

function baseCommand(): Command {
  const collect = (path: string, paths: string[] = []) => [...paths, path]
  const command = new Command('cyber-connectors copy')
    .usage('--from <source> --to <sink> [options]')
    .description(about)
    .option(
      '--from <source>',
      'where rows come from: a connector, the path of a file, a folder or a pattern, or "-" for standard input',
    )
    .option('--to <sink>', 'where rows go to: a connector, or "-" for standard output')
    .option(
      '--transform <module>',
      'a module that transforms rows; may be repeated, applied in order',
      collect,
    )
    .option(
      '--import <module>',
      'a module to load first, such as one that registers a connector; may be repeated',
      collect,
    )
    .option(
      '--checkpoint <place>',
      'keeps offsets there: reads window by window, and resumes after the last committed one',
    )
    .option('--checkpoint-env <name>', 'the variable that holds it, for a URL with a password')
    .option(
      '--trigger <when>',
      'with --checkpoint: "available_now", "once", or the seconds between two reads',
    )
    .option('--follow', 'keeps reading new rows until it is stopped')
    .option(
      '--undelivered <file>',
      'receives the rows that were read and not delivered if the run fails (default: beside the dead letter, else a new file in the working directory)',
    )
    .addOption(
      new Option(
        '--rows <kind>',
        'with --from <file>, what each of its lines is: plain or dead-letter. objects and json are the option "rows" of files',
      ).choices(['plain', 'dead-letter', 'objects', 'json']),
    )
    .option('--check', 'checks options, credentials and endpoints, and encodes a row, without sending it')
    .option('--dry-run', 'prints the body of the first request (10 rows, or --limit) and sends nothing')
  return addLogFlags(command)
}

/** The single file that `--rows` applies to. */
async function inputFile(path: string | undefined, report: Report): Promise<string | undefined> {
  const found = path === undefined ? undefined : await stat(path).catch(() => undefined)
  if (found?.isFile()) return path
  report('--rows: needs --from with the path of a file')
  return undefined
}

function parseTrigger(text: string, report: Report): Trigger | undefined {
  if (/^available[-_]?now$/i.test(text)) return 'available_now'
  if (text === 'once') return 'once'
  const seconds = Number(text)
  if (text.trim() !== '' && seconds > 0) return { interval_seconds: seconds }
  report('--trigger: expected "available_now", "once" or a number of seconds')
  return undefined
}
