import { FileBytes } from './file-bytes.ts'
import { FileError } from './file-error.ts'
import type { FileRange } from './file-slice.ts'
import { type ListingSettings, listFiles } from './listing.ts'
import { crcOf, isSame, printOf, textOf } from './prints.ts'

/**
 * The text of a planned range, exactly as it was when it was planned: in the file of its name, else in the one that has
 * its inode now, else in any that has the same content, as after a rotation.
 *
 * @throws FileError that says what became of it
 */
export async function findText(
  range: FileRange,
  settings: ListingSettings,
  signal: AbortSignal,
): Promise<readonly Buffer[]> {
  const found = await textIn(range.path, range, signal)
  if (Array.isArray(found)) return found
  const { files } = await listFiles(settings, signal)
  const others = files.filter(({ path, size }) => path !== range.path && size > 0)
  others.sort((a, b) => Number(b.key === range.key) - Number(a.key === range.key))
  for (const { path } of others) {
    const text = await textIn(path, range, signal)
    if (Array.isArray(text)) return text
  }
  throw new FileError(
    range.path,
    `${found}: bytes ${range.start} to ${range.end} of it were planned to be read, and no other file has them. ` +
      'Put the file back, or pass over what is lost with ignoreMissingFiles',
    undefined,
    'lost',
  )
}

/** The range's text out of a file, or what is wrong with the file. */
async function textIn(path: string, range: FileRange, signal: AbortSignal): Promise<Buffer[] | string> {
  let file: FileBytes | undefined
  try {
    file = await FileBytes.open(path)
    const { start, end, head, crc } = range
    const size = await file.size()
    if (!file.isTransformed && size < end) return `has only ${size} bytes now`
    if (head && head[0] > 0) {
      const begin = Buffer.concat(await textOf(file, 0, head[0], size, signal))
      if (!isSame(printOf(begin), head)) return 'begins with other content now'
    }
    const text = await textOf(file, start, end, size, signal)
    const length = text.reduce((sum, chunk) => sum + chunk.length, 0)
    if (length < end - start) return `has only ${start + length} bytes of text now`
    return crcOf(text) === crc ? text : 'has other content there now'
  } catch (error) {
    if (!(error instanceof FileError)) throw error
    return error.isMissing
      ? 'is not there any more'
      : error.message.slice(error.message.indexOf(path) + path.length + 1)
  } finally {
    await file?.close()
  }
}
