import { type Command, Option } from 'commander'
import { OptionError } from '../core/errors.ts'
import { exitCodeOf, exitCodes } from './exit-codes.ts'
import { serveIfAsked } from './listen.ts'
import type { Plan } from './plan.ts'
import { type LogKind, logKinds, startReport } from './report.ts'
import { runPlan } from './run-plan.ts'
import { ReaderGone } from './standard-output.ts'
import { StopSignals } from './stop-signals.ts'
import { Tally } from './tally.ts'

export interface LogFlags {
  readonly log?: LogKind
  readonly logInterval: number
  /** Address of the metrics and the page. */
  readonly listen?: string
}

/** Adds the flags of the commands that run a job. */
export function addLogFlags(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--log <kind>',
        'what is told on standard error: "live" a line that is written over and over, "json" a line of JSON an interval, "off" errors alone (default: live on a terminal, else json)',
      ).choices(logKinds),
    )
    .option('--log-interval <seconds>', 'seconds from one line of JSON to the next', seconds, 10)
}

function seconds(text: string): number {
  const value = Number(text)
  if (text.trim() !== '' && value >= 0.01 && value <= 86_400) return value
  throw new OptionError('flags', ['--log-interval: expected a number of seconds from 0.01 to 86400'])
}

/** Runs a job as a command: with its progress told, and signals heeded. @returns the exit code */
export async function runJob(plan: Plan, flags: LogFlags): Promise<number> {
  const toScreen = plan.makeSink === undefined && process.stdout.isTTY
  const kind = flags.log ?? (!process.stderr.isTTY ? 'json' : toScreen ? 'off' : 'live')
  const tally = new Tally()
  const report = startReport(kind, tally, flags.logInterval)
  using signals = new StopSignals((signal) => {
    const text = `${signal}: what is under way is being delivered; once more to end at once`
    report.note('stopping', text, { signal })
    // Rows go to the screen, so nothing else is told there; but whoever pressed Ctrl-C is to know.
    if (flags.log === undefined && kind === 'off') process.stderr.write(`${text}\n`)
  })
  try {
    await using _metrics = await serveIfAsked(flags.listen, report)
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
  // A streaming job goes on where it stood: that it was stopped is no failure of it.
  return cut && !plan.makeStream ? signals.exitCode! : exitCodes.done
}
