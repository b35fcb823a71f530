import { Command } from 'commander'
import { checkPlan } from './check.ts'
import { connectorSections } from './connector-sections.ts'
import { jobSpecs } from './job.ts'
import { readJobFile } from './job-file.ts'
import { listenFlag } from './listen.ts'
import { membersHelp } from './option-help.ts'
import { planJob } from './plan.ts'
import { addLogFlags, type LogFlags, runJob } from './run-job.ts'

const about = `Runs a job file: YAML or JSON that names source, sink, transforms, checkpoint and trigger.

\${NAME} in a text stands for a variable of the environment, \${NAME:-default} for one that may be missing: so secrets stay out of the file. Relative paths start at the job file. Editors complete it by its JSON Schema: "$schema": "./node_modules/cyber-connectors/lib/cli/job.schema.json".`

const example = `Example:
  {
    "source": { "connector": "azure-monitor", "options": { "workspace_id": "…", "query": "SecurityAlert",
      "tenant_id": "…", "client_id": "…", "client_secret": "\${AZURE_CLIENT_SECRET}" } },
    "transforms": ["./mask.mjs"],
    "sink": { "connector": "splunk", "options": { "url": "https://splunk:8088", "token": "\${SPLUNK_TOKEN}" } },
    "checkpoint": "./offsets",
    "trigger": { "interval_seconds": 60 }
  }`

/** The command `run`. @param finish takes the exit code */
export function runCommand(finish: (code: number) => void): Command {
  const command = new Command('run')
    .description(about)
    .argument('<file>', 'the job file, .yaml or .json; "-" reads it from standard input')
    .option('--check', 'tries options, credentials and endpoints without moving a row')
    .addOption(listenFlag())
    .addHelpText(
      'after',
      () =>
        `\n${membersHelp('Members of a job file', jobSpecs)}\n\n${connectorSections({}, 'members')}\n\n${example}`,
    )
  return addLogFlags(command).action(async (path: string, flags: LogFlags & { check?: boolean }) => {
    const plan = await planJob(await readJobFile(path, process.env))
    finish(flags.check ? await checkPlan(plan) : await runJob(plan, flags))
  })
}
