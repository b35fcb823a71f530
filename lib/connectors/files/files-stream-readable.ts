import type { EitherSpelling } from '../../core/spelling.ts'
import type { RowOf, RowSchema } from '../../source/row-schema.ts'
import { StreamReadable } from '../../source/stream-readable.ts'
import { connectorName } from './file-error.ts'
import type { FilesOffset, FilesSlice } from './files-offset.ts'
import { FilesPlanner } from './files-planner.ts'
import { type FileEvents, FilesProtocol, type SkippedEvent } from './files-protocol.ts'
import { type FilesStreamReadableOptions, type FilesStreamValues, streamDeclaration } from './options.ts'
import { PlannedText } from './planned-text.ts'

/** Event `copy`: a file has the text of another one that was read, up to where that was read to. */
export interface CopyEvent {
  readonly path: string
  /** Last known path of the other one. */
  readonly original: string
  /** Byte from which the file is read: where the original was read to; 0 if it is read again from its start. */
  readonly offset: number
}

/** Event `waiting`: nothing is there yet of what the paths mean. */
export interface WaitingEvent {
  readonly path: readonly string[]
}

/**
 * The records of files as these come and grow: each whole line once it is there, of files that are appended to, rotated
 * (renamed, or copied and cut), packed or removed. It ends with `available_now`, or by `stop()`.
 *
 * Its offset in each file is kept in `checkpointLocation`, by the file's device, inode and birth. A slice, which
 * is some ranges of files, is noted there before its rows are emitted, and as done by `commit()`; one that is read again
 * after a crash has the same content, or is reported as `skipped`.
 *
 *     const source = new FilesStreamReadable({ path: '/var/log/zeek', available_now: true, checkpointLocation })
 *     await pipeline(source, new SplunkWritable({ … }))
 *     await source.commit()
 *
 * `streamingQuery` does this for each slice.
 *
 * Events besides those of a Readable: `window` when a slice's rows are all handed on, `idle` ({ wait } in milliseconds)
 * when all is read, `waiting` (a {@link WaitingEvent}) when there is no file, `malformed` (a {@link MalformedEvent}),
 * `skipped` (a {@link SkippedEvent}), `copy` (a {@link CopyEvent}), `retry` (a {@link SourceRetryEvent}).
 *
 * Errors: ERR_OPTION from the constructor; ERR_FILE, ERR_RECORD, ERR_CHECKPOINT from the stream.
 */
export class FilesStreamReadable<const S extends RowSchema | undefined = undefined> extends StreamReadable<
  FilesSlice,
  FilesOffset,
  RowOf<S>,
  FileEvents & { copy: [event: CopyEvent]; waiting: [event: WaitingEvent] }
> {
  /** Records so far that could not be read and were left out or put aside. */
  malformed = 0
  readonly #planner: FilesPlanner

  constructor(options: FilesStreamReadableOptions & { readonly schema?: S | undefined })
  /** Names in camelCase are accepted too. */
  constructor(options: EitherSpelling<FilesStreamReadableOptions> & { readonly schema?: S | undefined })
  constructor(options: unknown) {
    const values = streamDeclaration.resolve(options)
    const text = new PlannedText()
    const planner = new FilesPlanner(values, text, {
      copy: (path, original, offset) => this.emit('copy', { path, original, offset } satisfies CopyEvent),
      skipped: (path, problem) => this.emit('skipped', { path, problem } satisfies SkippedEvent),
      waiting: (path) => this.emit('waiting', { path } satisfies WaitingEvent),
    })
    super(
      {
        connector: connectorName,
        identity: identityOf(values),
        protocol: (observer) =>
          new FilesProtocol(values, observer, { text, onMalformed: () => this.malformed++ }),
        planner,
      },
      { ...values, max_in_flight: 2 },
    )
    this.#planner = planner
  }

  override release(): void {
    super.release()
    void this.#planner.close()
  }
}

/** What a checkpoint belongs to. The paths may change: files are known by what they are. */
function identityOf({ format }: FilesStreamValues): Record<string, string> {
  return { connector: connectorName, format }
}
