import type { EitherSpelling } from '../../core/spelling.ts'
import { BoundedReadable } from '../../source/bounded-readable.ts'
import type { RowOf, RowSchema } from '../../source/row-schema.ts'
import { connectorName, FileError } from './file-error.ts'
import type { FilesSlice } from './files-offset.ts'
import { type FileEvents, FilesProtocol, type SkippedEvent } from './files-protocol.ts'
import { listFiles } from './listing.ts'
import {
  boundedDeclaration,
  type FilesReadableOptions,
  type FilesValues,
  listingSettings,
} from './options.ts'

/**
 * The records of files, as plain objects: of a file, a folder, or all that match a pattern. Files come in the order of
 * their last change, and their records as they are in them. A file is read up to where it ended when it was listed.
 *
 *     await pipeline(new FilesReadable({ path: 'logs/**\/*.ndjson.gz' }), new SplunkWritable({ url, token }))
 *
 * Events besides those of a Readable: `malformed` (a {@link MalformedEvent}) for each record that is left out or put
 * aside, `skipped` (a {@link SkippedEvent}) for each file that is skipped, `window` when a file's rows are all
 * handed on, `retry` (a {@link SourceRetryEvent}).
 *
 * Errors: ERR_OPTION from the constructor; ERR_FILE where a path is not there, nothing matches, or a file can't be read,
 * ERR_RECORD for a record that can't be read, from the stream.
 */
export class FilesReadable<const S extends RowSchema | undefined = undefined> extends BoundedReadable<
  FilesSlice,
  RowOf<S>,
  FileEvents
> {
  /** Records so far that could not be read and were left out or put aside. */
  malformed = 0
  /** Bytes of the files as they are on disk: those that were read, and all that are there. Undefined until they are listed. */
  progress: { readonly read: number; readonly there: number } | undefined

  constructor(options: FilesReadableOptions & { readonly schema?: S | undefined })
  /** Names in camelCase are accepted too. */
  constructor(options: EitherSpelling<FilesReadableOptions> & { readonly schema?: S | undefined })
  constructor(options: unknown) {
    const values = boundedDeclaration.resolve(options)
    const onRead = (bytes: number) => {
      const { read = 0, there = 0 } = this.progress ?? {}
      this.progress = { read: read + bytes, there }
    }
    super(
      {
        connector: connectorName,
        protocol: (observer) =>
          new FilesProtocol(values, observer, { onMalformed: () => this.malformed++, onRead }),
        slices: async (signal) => {
          const slices = await filesToRead(values, signal, ({ path, message: problem }) =>
            this.emit('skipped', { path, problem } satisfies SkippedEvent),
          )
          const there = slices.reduce((sum, { ranges }) => sum + ranges[0]!.end, 0)
          this.progress = { read: 0, there }
          return slices
        },
      },
      { ...values, max_in_flight: 2 },
    )
  }
}

/** A slice for each file. @throws FileError if there is none */
async function filesToRead(
  values: FilesValues,
  signal: AbortSignal,
  skip: (error: FileError) => void,
): Promise<FilesSlice[]> {
  const { ignoreMissingFiles, ignoreCorruptFiles } = values
  const { files, missing, unreadable } = await listFiles(listingSettings(values), signal)
  if (missing.length > 0 && !ignoreMissingFiles)
    throw new FileError(missing[0]!, 'is not there', undefined, 'missing')
  const [fault] = unreadable
  if (fault && (ignoreCorruptFiles === false || (files.length === 0 && !ignoreCorruptFiles))) throw fault
  if (files.length === 0 && !ignoreMissingFiles && !fault) {
    throw new FileError(
      values.path.join(', '),
      'has no file that is meant: nothing matches',
      undefined,
      'missing',
    )
  }
  for (const error of unreadable) skip(error)
  return files.map(({ path, key, size, modified }) => ({
    id: path,
    ranges: [{ path, key, start: 0, end: size, modified }],
  }))
}
