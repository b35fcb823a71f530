import { Command } from 'commander'
import { exitCodes } from './exit-codes.ts'
import { readJobFile } from './job-file.ts'
import { openQueueOf, type QueueFlags, queueFlags, queueJob, slicesOf } from './queue-job.ts'

const about = `Puts the windows of a job into a queue, for any number of workers.

The range stands in the job's source: "timespan", or "start_time" and "end_time"; "partition_duration" or "num_partitions" lays the windows. Planning again does no harm: windows that are there, waiting or done, stay as they are.`

/** The command `plan`. @param finish takes the exit code */
export function planCommand(finish: (code: number) => void): Command {
  const command = new Command('plan').description(about).argument('<job.json>', 'the job file')
  for (const flag of queueFlags()) command.addOption(flag)
  return command.action(async (path: string, flags: QueueFlags) => {
    const job = await queueJob(await readJobFile(path, process.env))
    const source = job.makeSource()
    try {
      await using queue = await openQueueOf(flags, source.identity)
      const { planned, added } = await queue.plan(await slicesOf(job, source))
      process.stdout.write(`${planned} windows planned, ${added} of them new, in the queue ${queue.name}\n`)
      finish(exitCodes.done)
    } finally {
      source.destroy()
    }
  })
}
