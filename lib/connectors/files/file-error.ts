import { ConnectorError } from '../../core/errors.ts'

/** The registered name. */
export const connectorName = 'files'

/** `cut`: packed data that ends early. `shortened`: shorter than when it was looked at. */
type FileFault = 'missing' | 'shortened' | 'cut' | 'lost' | 'unreadable'

/** Transient faults: too many open files, a network file system that does not answer. */
const transientCodes = new Set([
  'EMFILE',
  'ENFILE',
  'EAGAIN',
  'EBUSY',
  'ESTALE',
  'ETIMEDOUT',
  'EHOSTDOWN',
  'EINTR',
  'ENOMEM',
])

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

  /** The system or a network file system can't for now. */
  get isTransient(): boolean {
    return transientCodes.has((this.cause as NodeJS.ErrnoException | undefined)?.code ?? '')
  }

  /** The file may not be read, or is none: a link to nothing, a pipe, a device. */
  get isUnreadable(): boolean {
    return this.#kind === 'unreadable'
  }

  /** The file lost what was planned to be read of it. */
  get isLost(): boolean {
    return this.#kind === 'lost' || this.isMissing
  }
}

/** What a system call says of a file that can't be opened or listed. */
const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'is not there',
  ENOTDIR: 'is not there: a part of its path is no folder',
  EACCES: 'may not be read by this user (EACCES)',
  EPERM: 'may not be read by this user (EPERM)',
  EISDIR: 'is a folder',
  ELOOP: 'is a circle of symbolic links',
  ENXIO: 'is neither a file nor a folder',
  EMFILE: 'can not be opened: the process has too many files open (EMFILE)',
}

/** Permanent faults of one file. Other files can be read meanwhile. */
const unreadableCodes = new Set(['EACCES', 'EPERM', 'ELOOP', 'ENXIO'])

/** An error of the file system, as one that names the file. @param text in place of the reason */
export function fileError(path: string, error: unknown, text?: string): FileError {
  if (error instanceof FileError) return error
  const { code = '', message } = error as NodeJS.ErrnoException
  const problem = text ?? reasons[code] ?? `can not be read: ${message}`
  const isUnreadable = text !== undefined || unreadableCodes.has(code)
  const kind = isUnreadable ? 'unreadable' : isMissing(error) ? 'missing' : undefined
  return new FileError(path, problem, error, kind)
}

/** A pipe, a socket or a device: to read it might never end. */
export function notAFile(path: string): FileError {
  return new FileError(path, 'is neither a file nor a folder', undefined, 'unreadable')
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
