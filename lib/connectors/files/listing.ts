import type { BigIntStats, Dirent } from 'node:fs'
import { stat as statCallback } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { basename, dirname, join, relative, resolve, sep } from 'node:path'
import { FileError, fileError, isMissing } from './file-error.ts'

/** Which files are meant. */
export interface ListingSettings {
  readonly path: readonly string[]
  readonly recursiveFileLookup: boolean
  readonly pathGlobFilter: string | undefined
  /** Milliseconds since 1970; a file of that very time is left out. */
  readonly modifiedAfter: number | undefined
  readonly modifiedBefore: number | undefined
}

/** A file as it was when it was looked at. */
export interface ListedFile {
  /** Absolute. */
  readonly path: string
  /** Device and inode: the same for as long as the file is, whatever its name. */
  readonly key: string
  readonly size: number
  /** Milliseconds since 1970. */
  readonly modified: number
  /** When it was made, in milliseconds; 0 where the file system does not tell. */
  readonly born: number
}

/** What a look found. */
export interface Listing {
  /** Ordered by the time of their last change, then by name. */
  readonly files: readonly ListedFile[]
  /** Folders that were looked into. */
  readonly folders: readonly string[]
  /** Given paths, neither a pattern nor there. */
  readonly missing: readonly string[]
}

/** Loaded with the first pattern. */
async function matcher() {
  return (await import('picomatch')).default
}

/** Entries that are asked for at once: there are four threads for all. */
const parallelStats = 32

/**
 * Lists the files that paths, folders and patterns name. Files and folders whose names begin with "." or "_" are passed
 * over, as in Spark, unless they are named.
 *
 * @throws FileError where a folder may not be read; AbortError
 */
export async function listFiles(settings: ListingSettings, signal: AbortSignal): Promise<Listing> {
  const found = new Set<string>()
  const folders = new Set<string>()
  const missing: string[] = []
  for (const given of settings.path) await collect(given, settings, { found, folders, missing }, signal)
  const { pathGlobFilter } = settings
  const isWanted =
    pathGlobFilter === undefined ? () => true : (await matcher())(pathGlobFilter, { dot: true })
  const paths = [...found].filter((path) => isWanted(basename(path)))
  const files: ListedFile[] = []
  const { modifiedAfter = Number.NEGATIVE_INFINITY, modifiedBefore = Number.POSITIVE_INFINITY } = settings
  let next = 0
  const look = async () => {
    while (next < paths.length) {
      signal.throwIfAborted()
      const path = paths[next++]!
      const stats = await statOf(path)
      if (!stats?.isFile()) continue
      const file = listed(path, stats)
      if (file.modified > modifiedAfter && file.modified < modifiedBefore) files.push(file)
    }
  }
  await Promise.all(Array.from({ length: parallelStats }, look))
  files.sort((a, b) => a.modified - b.modified || (a.path < b.path ? -1 : 1))
  return { files, folders: [...folders], missing }
}

export function listed(path: string, stats: BigIntStats): ListedFile {
  // Where a file system keeps no time of birth, the system may give that of the last change instead.
  const born = stats.birthtimeNs === stats.ctimeNs ? 0 : Number(stats.birthtimeNs / 1_000_000n)
  return {
    path,
    key: keyOf(stats),
    size: Number(stats.size),
    modified: Number(stats.mtimeNs / 1_000_000n),
    born,
  }
}

/** Device and inode. */
export function keyOf({ dev, ino }: BigIntStats): string {
  return `${dev}:${ino}`
}

/** @returns undefined where it is not there. @throws FileError */
export async function statOf(path: string): Promise<BigIntStats | undefined> {
  return new Promise((resolveStat, reject) => {
    // Several times as fast as the promise of node:fs/promises, and there may be a hundred thousand.
    statCallback(path, { bigint: true }, (error, stats) => {
      if (!error) resolveStat(stats)
      else if (isMissing(error)) resolveStat(undefined)
      else reject(fileError(path, error))
    })
  })
}

interface Found {
  readonly found: Set<string>
  readonly folders: Set<string>
  readonly missing: string[]
}

async function collect(
  given: string,
  settings: ListingSettings,
  into: Found,
  signal: AbortSignal,
): Promise<void> {
  const path = resolve(given)
  // A name may hold the characters of a pattern.
  const stats = await statOf(path)
  if (stats?.isDirectory())
    return walk(path, settings.recursiveFileLookup ? Infinity : 0, () => true, false, into, signal)
  if (stats?.isFile()) {
    into.found.add(path)
    into.folders.add(dirname(path))
    return
  }
  if (stats) throw new FileError(path, 'is neither a file nor a folder')
  const pattern = path.split(sep).join('/')
  const picomatch = await matcher()
  const { isGlob, base, glob } = picomatch.scan(pattern)
  if (!isGlob) {
    into.missing.push(path)
    return
  }
  const folder = resolve(base === '' ? '.' : base)
  if (!(await statOf(folder))?.isDirectory()) {
    into.missing.push(path)
    return
  }
  const named = glob.split('/').some((part) => /^[._]/.test(part))
  const matches = picomatch(glob, { dot: named })
  // A pattern without "**" reaches only as deep as it has parts; braces and others may hold a slash.
  const depth = /\*\*|[({[]/.test(glob) ? Infinity : glob.split('/').length - 1
  return walk(
    folder,
    depth,
    (file) => matches(relative(folder, file).split(sep).join('/')),
    named,
    into,
    signal,
  )
}

async function walk(
  folder: string,
  depth: number,
  isMeant: (file: string) => boolean,
  withHidden: boolean,
  into: Found,
  signal: AbortSignal,
  above: readonly string[] = [],
): Promise<void> {
  signal.throwIfAborted()
  let entries: Dirent[]
  try {
    entries = await readdir(folder, { withFileTypes: true })
  } catch (error) {
    // It may have gone since its parent was read.
    if (isMissing(error)) return
    throw fileError(folder, error)
  }
  into.folders.add(folder)
  for (const entry of entries) {
    if (!withHidden && /^[._]/.test(entry.name)) continue
    const path = join(folder, entry.name)
    let isFolder = entry.isDirectory()
    let inner = above
    if (entry.isSymbolicLink()) {
      const stats = await statOf(path)
      isFolder = stats?.isDirectory() ?? false
      const key = stats && keyOf(stats)
      // A link to a folder above would never come to an end.
      if (isFolder && key !== undefined) {
        if (above.includes(key)) continue
        inner = [...above, key]
      }
    }
    if (!isFolder) {
      if (isMeant(path)) into.found.add(path)
    } else if (depth > 0) {
      await walk(path, depth - 1, isMeant, withHidden, into, signal, inner)
    }
  }
}
