import { readFile } from 'node:fs/promises'

/** A process, told apart from a later one that got the same number. */
export interface ProcessMark {
  readonly pid: number
  /** When it started, by Linux's /proc; undefined elsewhere. */
  readonly started?: string | undefined
}

const gone = 'gone'

/** A text that is different for each process that ever had this number, or undefined where the system does not tell. */
export async function processStart(pid: number): Promise<string | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
    // The name of the program comes second, in parentheses, and may hold anything: count from its end.
    // https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    // A zombie has ended and holds nothing; only its parent has not taken notice.
    if (fields[0] === 'Z' || fields[0] === 'X') return gone
    const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8')
    return `${boot.trim()} ${fields[19]}`
  } catch {
    return undefined
  }
}

/** Whether this very process still runs. Where the system can't tell two of the same number apart, it counts as running. */
export async function isRunning({ pid, started }: ProcessMark): Promise<boolean> {
  try {
    process.kill(pid, 0)
  } catch (error) {
    // EPERM: it is there, and another user's.
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
  }
  const now = await processStart(pid)
  return now !== gone && (now === undefined || started === undefined || now === started)
}
