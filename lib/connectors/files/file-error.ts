import { ConnectorError } from '../../core/errors.ts'

/** The registered name. */
export const connectorName = 'files'

type FileFault = 'missing' | 'shortened' | 'cut' | 'lost'

/** A file that can't be read as it should be. */
export class FileError extends ConnectorError {
  override name = 'FileError'
  /** The file. */
  declare readonly path: string
  /** What kind of fault it is, where something depends on it. */
  readonly #kind: FileFault | undefined

  /** @param problem what is wrong, as it goes on after the file's name */
  constructor(path: string, problem: string, cause?: unknown, kind?: FileFault) {
    super('ERR_FILE', `${connectorName}: ${path} ${problem}`, {
      connector: connectorName,
      ...(cause !== undefined && { cause }),
    })
    Object.defineProperty(this, 'path', { value: path, enumerable: true })
    this.#kind = kind
  }

  /** The file is not there, or another one is there under its name. */
  get isMissing(): boolean {
    return this.#kind === 'missing'
  }

  /** The file is no longer what it was when it was looked at: a new look is due. */
  get isChanged(): boolean {
    return this.#kind === 'shortened' || this.isMissing
  }

  /** The file's packed data ends early: it may still be written. */
  get isCut(): boolean {
    return this.#kind === 'cut'
  }

  /** The file lost what was planned to be read of it. */
  get isLost(): boolean {
    return this.#kind === 'lost' || this.isMissing
  }
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'is not there',
  ENOTDIR: 'is not there: a part of its path is no folder',
  EACCES: 'may not be read by this user (EACCES)',
  EPERM: 'may not be read by this user (EPERM)',
  EISDIR: 'is a folder',
  ELOOP: 'is a circle of symbolic links',
  EMFILE: 'can not be opened: the process has too many files open (EMFILE)',
}

/** An error of the file system, as one that names the file. */
export function fileError(path: string, error: unknown): ConnectorError {
  if (error instanceof ConnectorError) return error
  const { code = '', message } = error as NodeJS.ErrnoException
  const problem = reasons[code] ?? `can not be read: ${message}`
  return new FileError(path, problem, error, isMissing(error) ? 'missing' : undefined)
}

/** Whether a file is not there, as opposed to one that can't be read. */
export function isMissing(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException
  return code === 'ENOENT' || code === 'ENOTDIR'
}

/** A record of a file that can't be read. */
export class RecordError extends ConnectorError {
  override name = 'RecordError'
  /** The file. */
  declare readonly path: string
  /** Its line in the file, from 1 on. */
  declare readonly line: number
  /** Its column in the line, from 1 on, in characters. */
  declare readonly column: number
  /** Byte of the record's start in the file, decompressed. */
  declare readonly offset: number

  constructor(path: string, place: { line: number; column: number; offset: number }, problem: string) {
    const { line, column } = place
    super('ERR_RECORD', `${connectorName}: ${path}, line ${line}, column ${column}: ${problem}`, {
      connector: connectorName,
    })
    for (const [key, value] of Object.entries({ path, ...place })) {
      Object.defineProperty(this, key, { value, enumerable: true })
    }
  }
}
