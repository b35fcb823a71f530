import { randomUUID } from 'node:crypto'
import { link, open, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'

/** Suffix of a file that is being written. A leftover is from a crash and can be ignored. */
export const asideSuffix = '.tmp'

export interface DurableOptions {
  /** Fails with `EEXIST` if the file exists, instead of replacing it. */
  readonly exclusive?: boolean
}

/**
 * Writes a file so that a crash or power cut at any moment leaves the old file or the new one, never a part of it:
 * written aside, flushed, renamed, the directory flushed. Only the owner may read it.
 */
export async function writeDurably(
  directory: string,
  name: string,
  text: string,
  { exclusive = false }: DurableOptions = {},
): Promise<void> {
  // A unique name: a process that was thought dead may be writing the same file.
  const aside = join(directory, `${name}.${randomUUID()}${asideSuffix}`)
  try {
    // `wx` does not follow a link that another user planted.
    const file = await open(aside, 'wx', 0o600)
    try {
      await file.writeFile(text)
      await file.sync()
    } finally {
      await file.close()
    }
    await (exclusive ? renameExclusively : rename)(aside, join(directory, name))
  } catch (error) {
    await rm(aside, { force: true }).catch(() => {})
    throw error
  }
  await syncDirectory(directory)
}

/** `rename` replaces an existing file; `link` does not. Falls back to `rename` on file systems without links. */
async function renameExclusively(from: string, to: string): Promise<void> {
  try {
    await link(from, to)
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException
    if (!['EPERM', 'ENOTSUP', 'ENOSYS', 'EOPNOTSUPP', 'EMLINK'].includes(code)) throw error
    return rename(from, to)
  }
  await rm(from, { force: true }).catch(() => {})
}

/** Flushes a directory. Windows and some network file systems can't. */
export async function syncDirectory(directory: string): Promise<void> {
  try {
    const handle = await open(directory, 'r')
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException
    if (!['EISDIR', 'EPERM', 'EACCES', 'EINVAL', 'ENOTSUP'].includes(code)) throw error
  }
}
