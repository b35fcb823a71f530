import { ConnectorError } from '../core/errors.ts'

/** What the command's exit code says. Codes are stable: scripts and service managers go by them. */
export const exitCodes = {
  done: 0,
  failed: 1,
  usage: 2,
  credentials: 3,
  checkpoint: 4,
  interrupted: 130,
  terminated: 143,
} as const

export const exitCodesHelp = `Exit codes:
  0    all rows are settled: acknowledged, or taken by the dead letter. Also: the reader of standard
       output has gone, and a streaming job that a signal has stopped
  1    rows were not delivered, or the source, a transform or (demo) the counts failed
  2    a flag, an option or the job file is wrong; nothing was read or sent
  3    a token, secret or role was refused
  4    the checkpoint can't be used
  130  stopped by SIGINT, 143 by SIGTERM, before all rows were read; or aborted by a second signal`

/** The exit code that tells of this error. */
export function exitCodeOf(error: unknown): number {
  if (!(error instanceof ConnectorError)) return exitCodes.failed
  switch (error.code) {
    case 'ERR_OPTION':
      return exitCodes.usage
    case 'ERR_AUTH':
      return exitCodes.credentials
    case 'ERR_CHECKPOINT':
      return exitCodes.checkpoint
    default:
      return exitCodes.failed
  }
}
