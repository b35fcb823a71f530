import { open, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'

/** What files that are being written are called; one that is left behind was cut off by a crash and holds nothing. */
export const asideSuffix = '.tmp'

/**
 * Writes a file so that a crash or power cut at any moment leaves the old file or the new one, never a part of it:
 * written aside, flushed, renamed, the directory flushed. Only the owner may read it.
 */
export async function writeDurably(directory: string, name: string, text: string): Promise<void> {
  const aside = join(directory, name + asideSuffix)
  try {
    const file = await open(aside, 'w', 0o600)
    try {
      await file.writeFile(text)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(aside, join(directory, name))
  } catch (error) {
    await rm(aside, { force: true }).catch(() => {})
    throw error
  }
  await syncDirectory(directory)
}

/** Flushes the names in a directory. Windows and some network file systems know no such call. */
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
