import { BoundedReadable } from '../../source/bounded-readable.ts'
import type { RowOf, RowSchema } from '../../source/row-schema.ts'
import { connectorName, FileError } from './file-error.ts'
import type { FilesSlice } from './file-slice.ts'
import { type FileEvents, FilesProtocol } from './files-protocol.ts'
import { listFiles } from './listing.ts'
import { boundedDeclaration, type FilesValues, listingSettings } from './options.ts'
import type { FilesReadableOptions } from './options.types.ts'

/**
 * The records of files, as plain objects: of a file, a folder, or all that match a pattern. Files come in the order of
 * their last change, and their records as they are in them. A file is read up to where it ended when it was listed.
 *
 *     await pipeline(new FilesReadable({ path: 'logs/**\/*.ndjson.gz' }), new SplunkWritable({ url, token }))
 *
 * Events besides those of a Readable: `malformed` (a {@link MalformedEvent}) for each record that is left out or put
 * aside, `skipped` (a {@link SkippedEvent}) for each file that is passed over, `window` when a file's rows are all
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

  /** @throws OptionError that lists every wrong option */
  constructor(options: FilesReadableOptions & { readonly schema?: S | undefined }) {
    const values = boundedDeclaration.resolve(options)
    super(
      {
        connector: connectorName,
        protocol: (observer) => new FilesProtocol(values, observer, { onMalformed: () => this.malformed++ }),
        slices: (signal) => filesToRead(values, signal),
      },
      { ...values, max_in_flight: 2 },
    )
  }
}

/** A slice for each file. @throws FileError where there is none */
async function filesToRead(values: FilesValues, signal: AbortSignal): Promise<FilesSlice[]> {
  const { files, missing } = await listFiles(listingSettings(values), signal)
  if (missing.length > 0 && !values.ignoreMissingFiles)
    throw new FileError(missing[0]!, 'is not there', undefined, 'missing')
  if (files.length === 0 && !values.ignoreMissingFiles) {
    throw new FileError(
      values.path.join(', '),
      'has no file that is meant: nothing matches',
      undefined,
      'missing',
    )
  }
  return files.map(({ path, key, size, modified }) => ({
    id: path,
    ranges: [{ path, key, start: 0, end: size, size, modified }],
  }))
}
