#!/usr/bin/env node
import { Command } from 'commander'
import { type DemoOptions, demo, demoTable, isComplete } from './demo.ts'

const program = new Command('cyber-connectors').description('Moves security data between systems.')

program
  .command('demo')
  .description(
    'reads a table from an Azure Monitor emulator into a Splunk HEC emulator, on this machine alone',
  )
  .option('--input <file>', 'NDJSON file, also .gz, whose records take the place of the sample')
  .option('--time-column <name>', "the records' time", 'TimeGenerated')
  .option('--json', 'print one JSON object as the last line instead of the table')
  .action(async (options: DemoOptions) => {
    const live = process.stderr.isTTY
    const result = await demo(options, (rows) => {
      if (live && rows % 500 === 0) process.stderr.write(`\r${rows.toLocaleString('en')} rows`)
    })
    if (live) process.stderr.write('\r\x1b[K')
    console.log(options.json ? JSON.stringify(result) : demoTable(result))
    process.exitCode = isComplete(result) ? 0 : 1
  })

await program.parseAsync()
