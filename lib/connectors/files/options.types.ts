// Generated from the option declarations by `npm run generate`. Do not edit.
import type { EitherSpelling } from '../../core/spelling.ts'
import type { StreamOptions } from '../../core/stream-options.ts'
import type { SinkFields } from '../../sink/options.types.ts'
import type { StreamWindowFields } from '../../source/options.types.ts'

/** Options of the bounded source of files. In one spelling. */
export interface FilesReadableFields
  extends Pick<SinkFields, 'max_retry_seconds' | 'max_retries' | 'initial_backoff' | 'max_backoff'> {
  /**
   * A file, a folder, a pattern such as `logs/*.ndjson.gz`, in which `**` stands for folders of any
   * depth, or a list of these. Files whose names begin with `.` or `_` are passed over unless they are
   * named.
   */
  path: string | readonly string[]
  /**
   * `ndjson`: a JSON object each line. `json`: one document, an array of objects or an object. `csv`.
   * `text`: a row each line, in the column `value`. Files packed by gzip, brotli (`.br`) or zstd (Node
   * 22.15 on) are unpacked; UTF-16 is told by its byte order mark. Default: `ndjson`.
   */
  format?: 'ndjson' | 'json' | 'csv' | 'text' | undefined
  /** Whether folders within a folder are read too. A pattern says so itself, by `**`. Default: `false`. */
  recursiveFileLookup?: boolean | string | undefined
  /** Reads only files whose names match this pattern, such as `*.log`. */
  pathGlobFilter?: string | undefined
  /** Reads only files changed after this instant, ISO 8601; UTC without an offset. */
  modifiedAfter?: string | Date | undefined
  /** Reads only files changed before this instant, ISO 8601; UTC without an offset. */
  modifiedBefore?: string | Date | undefined
  /** Whether symbolic links in folders are followed, wherever they lead. Default: `true`. */
  follow_symlinks?: boolean | string | undefined
  /**
   * What becomes of a record that can not be read. `failfast`: an error that names file, line and
   * column. `dropmalformed`: it is left out. `permissive`: its text comes in the column
   * `_corrupt_record`. The last two are counted and told by the event `malformed`. Default: `failfast`.
   */
  mode?: 'failfast' | 'dropmalformed' | 'permissive' | undefined
  /** The column of `permissive`. Default: `_corrupt_record`. */
  columnNameOfCorruptRecord?: string | undefined
  /**
   * Takes records that can not be read, each with the reason; then the stream goes on, whatever `mode`
   * says.
   */
  dead_letter?: import('node:stream').Writable | undefined
  /**
   * Bytes that one line or record may have; a longer one counts as one that can not be read. Default:
   * `10485760`.
   */
  max_line_bytes?: number | string | undefined
  /**
   * Whether missing files are skipped, with the event `skipped`. Not given: a path that is not there is
   * an error of a bounded read; a stream waits for it, and skips planned parts of files that are gone.
   * `false`: those are an error too.
   */
  ignoreMissingFiles?: boolean | string | undefined
  /**
   * Whether files that can not be read are skipped, with the event `skipped`. Not given: those that may
   * not be read, or are no files (a link to nothing, a pipe, a device), are skipped; those that are cut
   * off, damaged or no text are an error. `false`: an error each.
   */
  ignoreCorruptFiles?: boolean | string | undefined
  /**
   * The columns that rows are to have and their types: values are cast, columns that a record lacks are
   * null, others are left out. Or any Standard Schema, which checks each row and gives it its type. A
   * record that does not fit is one that can not be read.
   */
  schema?: import('../../source/row-schema.ts').RowSchema | undefined
  /**
   * What a `datetime` of the schema becomes: `date` for a Date, which holds milliseconds; `string` for
   * its text. Default: `date`.
   */
  datetime?: 'date' | 'string' | undefined
  /**
   * What a `long` of the schema becomes: a number, and a bigint beyond 2^53; always a bigint; or a text.
   * Default: `number-or-bigint`.
   */
  long?: 'number-or-bigint' | 'bigint' | 'string' | undefined
  /**
   * CSV: whether the first record of a file names its columns. Without, the columns are those of
   * `schema`, or `_c0`, `_c1`… Default: `true`.
   */
  header?: boolean | string | undefined
  /** CSV: the character between fields. Default: a comma. */
  sep?: string | undefined
  /** CSV: the character around fields. Empty: fields are never quoted. Default: a double quote. */
  quote?: string | undefined
  /** CSV: the character before a quote within quotes. (Spark: a backslash.) Default: a double quote. */
  escape?: string | undefined
  /** CSV: the text that stands for null. Default: the empty text. */
  nullValue?: string | undefined
  /**
   * CSV: whether integers, decimals and booleans are told by the file's first 64 KB. Without, fields are
   * texts. Default: `false`.
   */
  inferSchema?: boolean | string | undefined
  /** Adds a column of this name with the file's path. */
  file_path_column?: string | undefined
  /** Adds a column of this name with the byte of the file's text, decompressed, where the record begins. */
  file_offset_column?: string | undefined
  /** Adds a column of this name with the time of the file's last change, a Date. */
  file_modification_time_column?: string | undefined
}

/**
 * Options of the bounded source of files. Each name may be written in camelCase as well; numbers and
 * booleans may be texts.
 */
export type FilesReadableOptions = EitherSpelling<FilesReadableFields> & StreamOptions

/** Options of the streaming source of files. In one spelling. */
export interface FilesStreamReadableFields
  extends Omit<FilesReadableFields, 'mode'>,
    Pick<StreamWindowFields, 'available_now' | 'checkpointLocation' | 'checkpoint'> {
  /**
   * What becomes of a record that can not be read. `failfast`: an error that names file, line and
   * column. `dropmalformed`: it is left out. `permissive`: its text comes in the column
   * `_corrupt_record`. The last two are counted and told by the event `malformed`. Default:
   * `permissive`.
   */
  mode?: 'failfast' | 'dropmalformed' | 'permissive' | undefined
  /**
   * Where a stream with no checkpoint begins in the files that are there: at their beginning, or at
   * their end, as `tail -f` does. Files that come later are read whole. Default: `beginning`.
   */
  start_at?: 'beginning' | 'end' | undefined
  /** Files that one slice holds at most. A slice is delivered and committed as one. Default: `1000`. */
  maxFilesPerTrigger?: number | string | undefined
  /**
   * Bytes of text, decompressed, that one slice holds, and the end of the record that passes them. They
   * lie in memory. Default: `16777216`.
   */
  maxBytesPerTrigger?: number | string | undefined
  /**
   * Seconds without a change, as this process has seen, after which a file counts as whole: a last line
   * without its end is released, and a packed file that ends early is an error. Not given: both are
   * waited for. (A last line is released at the end of `available_now` too, and of a file that was
   * renamed, cut or deleted.)
   */
  settling_delay_seconds?: number | string | undefined
  /**
   * Bytes of the start of a file, and of what was read last, by which a file that was overwritten is
   * recognised, and the copy that a rotation makes. 0: device, inode and birth alone, and a copy is read
   * as a new file. Default: `1024`.
   */
  fingerprint_bytes?: number | string | undefined
  /**
   * Seconds from one look at the files to the next. Folders are watched as well, so that most changes
   * are seen at once. Default: `5`.
   */
  poll_interval_seconds?: number | string | undefined
}

/**
 * Options of the streaming source of files. Each name may be written in camelCase as well; numbers and
 * booleans may be texts.
 */
export type FilesStreamReadableOptions = EitherSpelling<FilesStreamReadableFields> & StreamOptions
