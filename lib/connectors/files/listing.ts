import type { BigIntStats, Dirent } from 'node:fs'
import { stat as statCallback } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { basename, dirname, join, relative, resolve, sep } from 'node:path'
import { type FileError, fileError, isMissing, notAFile } from './file-error.ts'

/** Which files are meant. */
export interface ListingSettings {
  readonly path: readonly string[]
  readonly recursiveFileLookup: boolean
  readonly pathGlobFilter: string | undefined
  /** Milliseconds since 1970; a file of that very time is left out. */
  readonly modifiedAfter: number | undefined
  readonly modifiedBefore: number | undefined
  readonly follow_symlinks: boolean
}

/** A file as it was when it was looked at. */
export interface ListedFile {
  /** Absolute. */
  readonly path: string
  /** Device, inode and birth: the same for as long as the file exists, whatever its name. */
  readonly key: string
  readonly size: number
  /** Milliseconds since 1970. */
  readonly modified: number
}

/** What a look found. */
export interface Listing {
  /** Ordered by the time of their last change, then by name. */
  readonly files: readonly ListedFile[]
  /** Folders that were looked into. */
  readonly folders: readonly string[]
  /** Given paths, neither a pattern nor there. */
  readonly missing: readonly string[]
  /** Files and folders that may not be read, links that lead nowhere, pipes, devices. */
  readonly unreadable: readonly FileError[]
}

/** Devices whose files have a time of birth. */
const devicesWithBirth = new Set<bigint>()

/** Folders by which it was found out whether their device has it. */
const probed = new Set<string>()

/** Finds out whether a folder's device keeps times of birth: the folders above are older than any change of them. */
async function probeDevice(folder: string): Promise<void> {
  for (let at = folder; !probed.has(at); at = dirname(at)) {
    const stats = await stat(at).catch(() => undefined)
    if (!stats) return
    probed.add(at)
    keyOf(stats)
  }
}

/** `device:inode:birth`, the birth in nanoseconds and 0 if the file system does not keep it. */
export function keyOf({ dev, ino, birthtimeNs, ctimeNs }: BigIntStats): string {
  // Without a time of birth Node gives the last change. A file that was just made has both alike.
  if (birthtimeNs !== ctimeNs) devicesWithBirth.add(dev)
  return `${dev}:${ino}:${devicesWithBirth.has(dev) ? birthtimeNs : 0}`
}

/** Whether two keys are of one file. The number of a device may be another after a reboot. */
export function isSameFile(a: string, b: string): boolean {
  if (a === b) return true
  const [deviceA, inodeA, birthA] = a.split(':')
  const [deviceB, inodeB, birthB] = b.split(':')
  if (inodeA !== inodeB) return false
  return birthA === '0' || birthB === '0' ? deviceA === deviceB : birthA === birthB
}

export function listed(path: string, stats: BigIntStats): ListedFile {
  return {
    path,
    key: keyOf(stats),
    size: Number(stats.size),
    modified: Number(stats.mtimeNs / 1_000_000n),
  }
}

/** Several times as fast as the promise of node:fs/promises, and there may be a hundred thousand files. */
function stat(path: string): Promise<BigIntStats> {
  return new Promise((resolveStat, reject) => {
    statCallback(path, { bigint: true }, (error, stats) => (error ? reject(error) : resolveStat(stats)))
  })
}

/** @returns undefined if it is not there. @throws FileError */
export async function statOf(path: string): Promise<BigIntStats | undefined> {
  try {
    return await stat(path)
  } catch (error) {
    if (isMissing(error)) return undefined
    throw fileError(path, error)
  }
}

/** Loaded with the first pattern. */
async function matcher() {
  return (await import('picomatch')).default
}

/** Entries that are asked for at once: there are four threads for all. */
const parallelStats = 32

interface Found {
  readonly paths: Set<string>
  readonly folders: Set<string>
  readonly missing: string[]
  readonly unreadable: FileError[]
}

/**
 * Lists the files that paths, folders and patterns name. Files and folders whose names begin with "." or "_" are left
 * out, as in Spark, unless they are named.
 *
 * @throws AbortError
 */
export async function listFiles(settings: ListingSettings, signal: AbortSignal): Promise<Listing> {
  const found: Found = { paths: new Set(), folders: new Set(), missing: [], unreadable: [] }
  for (const given of settings.path) await collect(given, settings, found, signal)
  const { pathGlobFilter } = settings
  const isWanted =
    pathGlobFilter === undefined ? () => true : (await matcher())(pathGlobFilter, { dot: true })
  const paths = [...found.paths].filter((path) => isWanted(basename(path)))
  const files: ListedFile[] = []
  const { modifiedAfter = Number.NEGATIVE_INFINITY, modifiedBefore = Number.POSITIVE_INFINITY } = settings
  let next = 0
  const look = async () => {
    while (next < paths.length) {
      signal.throwIfAborted()
      const path = paths[next++]!
      try {
        const stats = await stat(path)
        if (stats.isDirectory()) continue
        if (!stats.isFile()) throw notAFile(path)
        const file = listed(path, stats)
        if (file.modified > modifiedAfter && file.modified < modifiedBefore) files.push(file)
      } catch (error) {
        // A file that went since its folder was read is no fault; a link that leads nowhere is one.
        if (!isMissing(error) || (await isLink(path))) found.unreadable.push(unreadableOf(path, error))
      }
    }
  }
  await Promise.all(Array.from({ length: parallelStats }, look))
  files.sort((a, b) => a.modified - b.modified || (a.path < b.path ? -1 : 1))
  return { files, folders: [...found.folders], missing: found.missing, unreadable: found.unreadable }
}

async function isLink(path: string): Promise<boolean> {
  const { lstat } = await import('node:fs/promises')
  return lstat(path).then(
    (stats) => stats.isSymbolicLink(),
    () => false,
  )
}

function unreadableOf(path: string, error: unknown): FileError {
  return fileError(path, error, isMissing(error) ? 'is a symbolic link to nothing' : undefined)
}

/** The files in a folder by their keys, under whatever names. */
export async function keysIn(folder: string): Promise<Map<string, string>> {
  const keys = new Map<string, string>()
  const names = await readdir(folder).catch(() => [])
  for (const name of names) {
    const path = join(folder, name)
    const stats = await stat(path).catch(() => undefined)
    if (stats?.isFile()) keys.set(keyOf(stats), path)
  }
  return keys
}

/** A pattern's part without wildcards, and the test of the rest. */
async function patternOf(path: string) {
  const picomatch = await matcher()
  const { isGlob, base, glob } = picomatch.scan(path.split(sep).join('/'))
  const folder = resolve(base === '' ? '.' : base)
  const named = glob.split('/').some((part) => /^[._]/.test(part))
  const matches = isGlob ? picomatch(glob, { dot: named }) : () => false
  return {
    isGlob,
    folder,
    named,
    // Without "**" it reaches only as deep as it has parts; braces and others may hold a slash.
    depth: /\*\*|[({[]/.test(glob) ? Infinity : glob.split('/').length - 1,
    isMeant: (file: string) => matches(relative(folder, file).split(sep).join('/')),
  }
}

/** Whether the settings name a path: it is a given file, lies in a given folder, or matches a pattern. */
export async function isWithin(
  file: string,
  { path, recursiveFileLookup }: ListingSettings,
): Promise<boolean> {
  if (resolve(file) !== file) return false
  for (const given of path.map((each) => resolve(each))) {
    if (file === given || dirname(file) === given) return true
    if (recursiveFileLookup && file.startsWith(given.endsWith(sep) ? given : given + sep)) return true
    if ((await patternOf(given)).isMeant(file)) return true
  }
  return false
}

async function collect(
  given: string,
  settings: ListingSettings,
  into: Found,
  signal: AbortSignal,
): Promise<void> {
  const path = resolve(given)
  await probeDevice(path)
  const walkFrom = (folder: string, depth: number, isMeant: (file: string) => boolean, hidden: boolean) =>
    walk(folder, { depth, isMeant, hidden, links: settings.follow_symlinks }, into, signal, [])
  // A name may hold the characters of a pattern.
  let stats: BigIntStats | undefined
  try {
    stats = await statOf(path)
  } catch (error) {
    into.unreadable.push(unreadableOf(path, error))
    return
  }
  if (stats?.isDirectory())
    return walkFrom(path, settings.recursiveFileLookup ? Infinity : 0, () => true, false)
  if (stats) {
    into.paths.add(path)
    into.folders.add(dirname(path))
    return
  }
  const { isGlob, folder, depth, isMeant, named } = await patternOf(path)
  if (!isGlob) {
    into.missing.push(path)
    if (await statOf(dirname(path)).catch(() => undefined)) into.folders.add(dirname(path))
    return
  }
  try {
    if (!(await statOf(folder))?.isDirectory()) into.missing.push(path)
    else await walkFrom(folder, depth, isMeant, named)
  } catch (error) {
    signal.throwIfAborted()
    into.unreadable.push(unreadableOf(folder, error))
  }
}

interface Walk {
  /** Folders below this one. */
  readonly depth: number
  readonly isMeant: (file: string) => boolean
  readonly hidden: boolean
  readonly links: boolean
}

/** @param above keys of the folders that links have led through */
async function walk(
  folder: string,
  { depth, isMeant, hidden, links }: Walk,
  into: Found,
  signal: AbortSignal,
  above: readonly string[],
): Promise<void> {
  signal.throwIfAborted()
  let entries: Dirent[]
  try {
    entries = await readdir(folder, { withFileTypes: true })
  } catch (error) {
    // It may have gone since its parent was read.
    if (!isMissing(error)) into.unreadable.push(unreadableOf(folder, error))
    return
  }
  into.folders.add(folder)
  for (const entry of entries) {
    if (!hidden && /^[._]/.test(entry.name)) continue
    if (entry.isSymbolicLink() && !links) continue
    const path = join(folder, entry.name)
    let isFolder = entry.isDirectory()
    let inner = above
    if (entry.isSymbolicLink()) {
      const stats = await stat(path).catch(() => undefined)
      isFolder = stats?.isDirectory() ?? false
      const key = stats && keyOf(stats)
      // A link to a folder above would never come to an end.
      if (isFolder && key !== undefined) {
        if (above.includes(key)) continue
        inner = [...above, key]
      }
    }
    if (!isFolder) {
      if (isMeant(path)) into.paths.add(path)
    } else if (depth > 0) {
      await walk(path, { depth: depth - 1, isMeant, hidden, links }, into, signal, inner)
    }
  }
}
