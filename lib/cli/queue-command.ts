import { Command } from 'commander'
import type { Slice } from '../core/slice.ts'
import type { WindowQueue } from '../streaming/bullmq/index.ts'
import { exitCodes } from './exit-codes.ts'
import { durationText } from './live-line.ts'
import { nameFlag, openQueueOf } from './queue-job.ts'

type Finish = (code: number) => void

/** The command `queue`, with one of its own for each thing to do. @param finish takes the exit code */
export function queueCommand(finish: Finish): Command {
  const command = new Command('queue').description('Shows and steers a queue of windows.')
  const add = (
    name: string,
    summary: string,
    act: (queue: WindowQueue<Slice>, json: boolean) => Promise<string>,
  ) => {
    const each = command
      .command(name)
      .summary(summary)
      .description(summary)
      .argument('<url>', 'redis://, rediss:// or postgres:// URL of the server that keeps the queue')
      .addOption(nameFlag())
    if (name === 'status') each.option('--json', 'as JSON')
    each.action(async (url: string, { name, json = false }: { name: string; json?: boolean }) => {
      await using queue = await openQueueOf({ queue: url, name })
      process.stdout.write(`${await act(queue, json)}\n`)
      finish(exitCodes.done)
    })
  }
  add('status', 'shows how far a queue is, and which windows failed', statusText)
  add(
    'retry',
    'puts the windows that failed back',
    async (queue) => `${await queue.retry()} windows are back in the queue`,
  )
  add('pause', 'hands out no more windows; those under way go on', async (queue) => {
    await queue.pause()
    return `the queue ${queue.name} is paused`
  })
  add('resume', 'hands out windows again', async (queue) => {
    await queue.resume()
    return `the queue ${queue.name} goes on`
  })
  return command
}

async function statusText(queue: WindowQueue<Slice>, json: boolean): Promise<string> {
  const status = await queue.status()
  const failures = await queue.failed()
  if (json) return JSON.stringify({ ...status, failures })
  const { total, waiting, active, delayed, completed, failed, paused, secondsLeft } = status
  const left =
    secondsLeft === undefined || secondsLeft === 0
      ? ''
      : `, about ${durationText(Math.ceil(secondsLeft))} left`
  const lines = [
    `${completed} of ${total} windows done${left}${paused ? '; the queue is paused' : ''}`,
    `${waiting} waiting, ${active} under way, ${delayed} delayed, ${failed} failed`,
    ...failures.map(({ window, reason }) => `failed: ${window.id}: ${reason}`),
  ]
  return lines.join('\n')
}
