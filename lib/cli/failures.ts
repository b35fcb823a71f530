import { ConnectorError } from '../core/errors.ts'
import { counted } from '../core/quantities.ts'

/** Exit codes. They are stable: scripts and service managers depend on them. */
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
  0    all rows are settled: acknowledged, or written to the dead letter. Also: the reader of standard
       output has closed it, or a signal stopped a streaming job
  1    rows were not delivered, or the source, a transform or (demo) the counts failed
  2    a flag, an option or the job file is wrong; nothing was read or sent, unless only the service can tell
  3    a token, secret or role was refused
  4    the checkpoint can't be used
  130  SIGINT stopped it before all rows were read; 143: SIGTERM did`

/** The exit code for an error. */
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

/** Details of a failure. */
export interface Trouble {
  readonly status?: number | undefined
  readonly error?: unknown
}

/** Advice on a failure, if there is any. */
export function adviceFor(text: string, { status, error }: Trouble): string | undefined {
  // It says itself what is wrong with which option.
  if (error instanceof ConnectorError && error.code === 'ERR_OPTION') return undefined
  if (/self.signed|unable to (verify|get)|CERT_|certificate/i.test(text))
    return 'The certificate is not trusted: give the authority that issued it by --ca FILE ("ca" in a job file).'
  if (/ENOTFOUND|EAI_AGAIN/.test(text)) return 'The name of the host is not known: check the URL.'
  if (/ECONNREFUSED|ETIMEDOUT|EHOSTUNREACH|ECONNRESET|timeout/i.test(text))
    return 'Nothing answers there: check host and port, the proxy, and that a firewall lets it through.'
  if ((error instanceof ConnectorError && error.code === 'ERR_AUTH') || isAboutSecret({ text, status }))
    return 'Check the token or secret, that it is enabled and has not expired, and that its owner may do this.'
  if (status === 404) return 'The endpoint is not there: check the path of the URL, or the id.'
  return undefined
}

/** HEC's health endpoint answers a bad token with 400. */
export function isAboutSecret({
  text,
  status,
}: {
  readonly text: string
  readonly status?: number | undefined
}) {
  return status === 401 || status === 403 || /AADSTS7/.test(text) || (status === 400 && /token/i.test(text))
}

/** The number of accepted and undelivered rows that an error carries. */
export function undeliveredRows(error: unknown): number {
  return error instanceof ConnectorError ? (error.rows?.length ?? 0) : 0
}

/** An error as lines for a person. @param areRowsReported whether a note has said how many rows are undelivered */
export function failureText(error: unknown, areRowsReported = false): string {
  if (!(error instanceof Error)) return printable(`cyber-connectors: ${String(error)}`)
  if (!(error instanceof ConnectorError)) return printable(`cyber-connectors: ${error.message}`)
  const rows = areRowsReported ? 0 : undeliveredRows(error)
  const lines = error.problems
    ? [`cyber-connectors: ${error.connector ?? 'options'}:`, ...error.problems.map((each) => `  ${each}`)]
    : [`cyber-connectors: ${error.message} (${error.code})`]
  const advice = adviceFor(error.message, { status: error.status, error })
  if (advice !== undefined) lines.push(`  ${advice}`)
  if (rows > 0)
    lines.push(`  ${counted(rows, 'row')} that had been read ${rows === 1 ? 'is' : 'are'} not delivered`)
  return printable(lines.join('\n'))
}

/**
 * Text for a terminal. Texts of servers, file names and option values can hold control characters, which would move the
 * cursor, change the title or hide lines: they are shown as `\\x1b`. Line feeds and tabs stay.
 */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is replaced
  return text.replace(/[\0-\x08\x0b-\x1f\x7f-\x9f]/g, (control) => {
    const code = control.charCodeAt(0).toString(16)
    return `\\x${code.padStart(2, '0')}`
  })
}

/** Writes to standard output: as it is to a file or another program, as {@link printable} text to a terminal. */
export function writeOut(text: string, done?: (error?: Error | null) => void): void {
  process.stdout.write(process.stdout.isTTY ? printable(text) : text, done)
}
