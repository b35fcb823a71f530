import { Command, Option } from 'commander'
import { OptionError } from '../core/errors.ts'
import { checkPlan } from './check.ts'
import { type HelpTopic, membersHelp, sectionsOf } from './connector-options.ts'
import { exitCodeOf, exitCodes } from './failures.ts'
import { jobOptions, readJobFile } from './job.ts'
import { ReaderGone } from './ndjson.ts'
import { listenFlag, serveIfAsked } from './optional-parts.ts'
import { type Plan, planJob } from './plan.ts'
import { type LogKind, logKinds, startReport } from './report.ts'
import { runPlan } from './run-plan.ts'
import { StopSignals } from './stop-signals.ts'
import { Tally } from './tally.ts'

const about = `Runs a job file: YAML or JSON that names source, sink, transforms, checkpoint and trigger.

\${NAME} is replaced by an environment variable, which keeps secrets out of the file; \${NAME:-default} has a default. Relative paths start at the job file. Editors complete it by its JSON Schema: "$schema": "./node_modules/cyber-connectors/dist/job.schema.json".`

const example = `Example:
  {
    "source": { "connector": "azure-monitor", "options": { "workspace_id": "…", "query": "SecurityAlert",
      "tenant_id": "…", "client_id": "…", "client_secret": "\${AZURE_CLIENT_SECRET}" } },
    "transforms": ["./mask.mjs"],
    "sink": { "connector": "splunk", "options": { "url": "https://splunk:8088", "token": "\${SPLUNK_TOKEN}" } },
    "checkpoint": "./offsets",
    "trigger": { "interval_seconds": 60 }
  }`

const membersText = `Members: ${Object.keys(jobOptions.specs).join(', ')}.
run --help splunk lists the options of a connector, run --help=all those of all, and the members.`

/** The command `run`. @param finish sets the exit code @param topic what help is asked about */
export function runCommand(finish: (code: number) => void, topic: HelpTopic): Command {
  const command = new Command('run')
    .description(about)
    .argument('<file>', 'the job file, .yaml or .json; "-" reads it from standard input')
    .option('--check', 'checks options, credentials and endpoints, and encodes a row, without sending it')
    .addOption(listenFlag())
    .addHelpText('after', () => {
      if (!topic) return `\n${example}\n\n${membersText}`
      return `\n${membersHelp('Members of a job file', jobOptions)}\n\n${sectionsOf(topic, {}, 'members')}`
    })
  return addLogFlags(command).action(async (path: string, flags: LogFlags & { check?: boolean }) => {
    const plan = await planJob({ ...(await readJobFile(path, process.env)), limit: flags.limit })
    finish(flags.check ? await checkPlan(plan) : await runJob(plan, flags))
  })
}

export interface LogFlags {
  readonly log?: LogKind
  readonly logInterval: number
  /** Most rows that are read. */
  readonly limit?: number
  /** Address for metrics and the page. */
  readonly listen?: string
}

/** Adds the flags of commands that run a job. */
export function addLogFlags(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--log <kind>',
        'progress on standard error: "live" is one line that is updated, "json" a line of JSON at each interval, "off" errors only (default: live on a terminal, else json)',
      ).choices(logKinds),
    )
    .option('--limit <rows>', 'maximum number of rows to read; not with a checkpoint', rowCount)
    .option('--log-interval <seconds>', 'seconds between two lines of JSON', seconds, 10)
}

function rowCount(text: string): number {
  if (/^[1-9]\d{0,14}$/.test(text)) return Number(text)
  throw new OptionError('flags', ['--limit: expected an integer of 1 or more'])
}

function seconds(text: string): number {
  const value = Number(text)
  if (text.trim() !== '' && value >= 0.01 && value <= 86_400) return value
  throw new OptionError('flags', ['--log-interval: expected a number of seconds from 0.01 to 86400'])
}

/** Runs a job as a command, with progress and signals. @returns the exit code */
export async function runJob(plan: Plan, flags: LogFlags): Promise<number> {
  const toScreen = plan.makeSink === undefined && process.stdout.isTTY
  const kind = flags.log ?? (!process.stderr.isTTY ? 'json' : toScreen ? 'off' : 'live')
  const tally = new Tally()
  const report = startReport(kind, tally, flags.logInterval)
  using signals = new StopSignals((signal) => {
    const text = `${signal}: delivering what is in flight; a second signal ends at once`
    report.note('stopping', text, { signal })
    // The report is off because rows go to the screen; Ctrl-C must still be acknowledged.
    if (flags.log === undefined && kind === 'off') process.stderr.write(`${text}\n`)
  })
  try {
    await using _metrics = await serveIfAsked(flags.listen, plan.job, report)
    await runPlan(plan, { tally, signals, report })
  } catch (error) {
    if (error instanceof ReaderGone) {
      report.close()
      return exitCodes.done
    }
    report.end('failed')
    if (signals.abort.aborted) return signals.exitCode!
    report.failure(error)
    return exitCodeOf(error)
  }
  const cut = signals.exitCode !== undefined
  report.end(cut ? 'stopped' : 'done')
  // A streaming job resumes at its checkpoint: stopping it is no failure.
  return cut && !plan.makeStream ? signals.exitCode! : exitCodes.done
}
