import { writeFile } from 'node:fs/promises'
import { Command, Option } from 'commander'
import { sentinelTemplate } from '../connectors/sentinel/template.ts'
import { OptionError } from '../core/errors.ts'
import type { Report } from '../core/options.ts'
import { addConnectorFlags, canonicalFlags } from './connector-flags.ts'
import { connectorSections, declarationsOf, sideOptions } from './connector-options.ts'
import { exitCodes, printable, writeOut } from './failures.ts'
import { endpointOf } from './job.ts'
import { standardInput } from './ndjson.ts'
import { planJob } from './plan.ts'

interface TemplateFlags {
  readonly from?: string
  readonly table?: string
  readonly timeColumn?: string
  readonly workspaceId?: string
  readonly principalId?: string
  readonly plan?: 'Analytics' | 'Basic' | 'Auxiliary'
  readonly dce?: boolean
  readonly out?: string
  readonly limit: number
}

const about = `Reads sample rows and writes one ARM template: the custom table with typed columns, the data collection rule, the role assignment if --principal-id is given, and as outputs the three options of the sink ms-sentinel (dce, dcr_id, dcs).

Each choice that is in doubt is a line on standard error. Review the file, then deploy it into the workspace's resource group:

  az deployment group create --resource-group … --template-file sentinel.json --query properties.outputs

--from also accepts the path of files. Options of the source are flags, --<option> or --from-<option>; --from-workspace-id is the one of a query.`

/**
 * The command `sentinel-template`. Its flags depend on the source, so a first pass finds it, and a second one parses.
 * @param argv the arguments after the name of the command
 */
export async function runSentinelTemplate(
  argv: readonly string[],
  configure: (command: Command) => Command,
): Promise<number> {
  const problems: string[] = []
  const report: Report = (problem) => problems.push(problem)
  const own = configure(baseCommand()).allowUnknownOption().allowExcessArguments().helpOption(false)
  own.parse(canonicalFlags(argv, own.options), { from: 'user' })
  const flags = own.opts<TemplateFlags>()
  const { connector, path } = endpointOf(flags.from)
  if (argv.includes('--help') || argv.includes('-h')) {
    const command = configure(baseCommand())
    command.addHelpText('after', () => `\n${connectorSections({ from: connector, to: '-' }, 'flags')}`)
    command.help()
  }
  if (connector === undefined) report('--from: is required (the name of a source, files, or -)')
  if (flags.table === undefined) report('--table: is required, such as ZeekDns_CL')
  if (connector === undefined || problems.length > 0) throw new OptionError('sentinel-template', problems)

  const source = configure(new Command('sentinel-template'))
  const side = sideOptions('from', declarationsOf(connector, 'source'))
  const options = addConnectorFlags(source, [side], own.args, report)
  source.parse(canonicalFlags(own.args, source.options), { from: 'user' })
  const given = options().from
  if (problems.length > 0) throw new OptionError('sentinel-template', problems)
  const plan = await planJob({
    name: 'sentinel-template',
    source: { connector, options: path === undefined ? given : { ...given, path } },
    sink: { connector: '-', options: {} },
    transforms: [],
    imports: [],
  })
  const rows = plan.makeSource?.() ?? standardInput()
  const made = await sentinelTemplate(firstRows(rows as AsyncIterable<object>, flags.limit), {
    table: flags.table!,
    time_column: flags.timeColumn,
    workspace_id: flags.workspaceId,
    principal_id: flags.principalId,
    plan: flags.plan,
    dce: flags.dce,
  })
  rows.destroy()
  const text = `${JSON.stringify(made.template, null, 2)}\n`
  // The names of columns are foreign.
  process.stderr.write(printable(made.report.map((line) => `# ${line}\n`).join('')))
  if (flags.out === undefined) writeOut(text)
  else await writeFile(flags.out, text)
  return exitCodes.done
}

function baseCommand(): Command {
  return new Command('cyber-connectors sentinel-template')
    .usage('--from <source> --table <name> [options]')
    .description(about)
    .option('--from <source>', 'where the sample comes from: a connector, a path, or "-" for standard input')
    .option('--table <name>', 'name of the table, which ends with _CL')
    .option(
      '--time-column <name>',
      'column with the time of an event (default: TimeGenerated, if there is one)',
    )
    .option(
      '--workspace-id <id>',
      "resource id or name of the workspace: default of the template's parameter",
    )
    .option('--principal-id <id>', 'object id of the identity that sends rows: it gets the role on the rule')
    .addOption(
      new Option('--plan <plan>', 'plan of the table (default: Analytics)').choices([
        'Analytics',
        'Basic',
        'Auxiliary',
      ]),
    )
    .option('--dce', 'makes a data collection endpoint too, as private links need it')
    .option('--limit <rows>', 'most rows of the sample that are read', integer, 10_000)
    .option('--out <file>', 'writes the template to a file (default: standard output)')
}

function integer(text: string): number {
  if (/^[1-9]\d{0,9}$/.test(text)) return Number(text)
  throw new OptionError('flags', ['--limit: expected an integer of 1 or more'])
}

async function* firstRows(rows: AsyncIterable<object>, count: number): AsyncGenerator<object> {
  let left = count
  for await (const row of rows) {
    yield row
    if (--left === 0) return
  }
}
