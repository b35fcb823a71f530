import { Command } from 'commander'
import { demo, isComplete, resultTable } from './demo.ts'
import { exitCodes } from './exit-codes.ts'
import { LiveLine } from './live-line.ts'
import type { TableSource } from './sample-table.ts'
import { StopSignals } from './stop-signals.ts'
import { Tally } from './tally.ts'

const about = `Reads a table of sign-ins from an Azure Monitor emulator through a transform into a Splunk HEC emulator, on this machine alone, all over TLS. Then searches for what was delivered and compares row for row. Ends with what was read, acknowledged, counted by HEC and found; exit code 1 if these differ.`

/** The command `demo`. @param finish takes the exit code */
export function demoCommand(finish: (code: number) => void): Command {
  return new Command('demo')
    .description(about)
    .option('--input <file>', 'NDJSON file, also .gz, whose records take the place of the sample')
    .option('--time-column <name>', "the records' time", 'TimeGenerated')
    .option('--json', 'print one JSON object as the last line instead of the table')
    .action(async (options: TableSource & { readonly json?: boolean }) => {
      const tally = new Tally()
      const line = process.stderr.isTTY ? new LiveLine(tally) : undefined
      using signals = new StopSignals()
      try {
        const result = await demo(options, tally, signals.stop)
        line?.close()
        console.log(options.json ? JSON.stringify(result) : resultTable(result))
        finish(isComplete(result) ? exitCodes.done : exitCodes.failed)
      } catch (error) {
        line?.close()
        if (!signals.stop.aborted) throw error
        finish(signals.exitCode!)
      }
    })
}
