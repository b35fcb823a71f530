import {
  declareOptions,
  type OptionDeclaration,
  type OptionSpecs,
  type OptionValues,
  option,
  type Report,
} from '../../core/options.ts'
import { retrySpecs } from '../../core/retry.ts'
import type { OptionsOf, StreamOptions } from '../../core/spelling.ts'
import type { StandardSchema } from '../../core/standard-schema.ts'
import { type Ticks, ticksPerMillisecond } from '../../core/time.ts'
import { checkMalformed, followedMalformedSpecs, malformedSpecs } from '../../source/malformed.ts'
import { checkStream, instant, streamSpecs as sharedStreamSpecs } from '../../source/options.ts'
import { type ColumnType, columnTypeNames, parseRowSchema, type RowSchema } from '../../source/row-schema.ts'
import { connectorName } from './file-error.ts'
import type { ListingSettings } from './listing.ts'

const character = (empty: boolean) => ({
  form: empty ? 'one character of ASCII, or an empty text' : 'one character of ASCII, such as "," or "\\t"',
  schema: { type: 'string', maxLength: 2 },
  parse(value: unknown): string | undefined {
    if (value === '\\t') return '\t'
    if (value === '' && empty) return ''
    return typeof value === 'string' && /^[\0-\x7f]$/.test(value) && !/[\r\n]/.test(value) ? value : undefined
  },
})

const ownSpecs = {
  /**
   * File, folder, pattern such as `logs/*.ndjson.gz` (`**` is folders of any depth), or a list of these. Files
   * whose names start with `.` or `_` are skipped unless they are named.
   */
  path: option.custom<readonly string[], string | readonly string[]>(
    {
      form: 'a path, or a list of paths',
      schema: {
        anyOf: [
          { type: 'string', minLength: 1 },
          { type: 'array', items: { type: 'string' }, minItems: 1 },
        ],
      },
      parse(value) {
        const list = typeof value === 'string' ? [value] : value
        const isRight =
          Array.isArray(list) &&
          list.length > 0 &&
          list.every((each) => typeof each === 'string' && each.trim() !== '')
        return isRight ? (list as string[]) : undefined
      },
    },
    { required: true, names: 'file' },
  ),
  /**
   * Format: `ndjson` (a JSON object per line), `json` (one document: an array of objects, or an object), `csv`, `text`
   * (a row per line, in the column `value`), or `zeek` (Zeek's own tab-separated logs, typed by their header). Files
   * compressed by gzip, brotli (`.br`) or zstd (from Node 22.15) are
   * decompressed; a byte order mark reveals UTF-16.
   * @default "ndjson"
   */
  format: option.oneOf(['ndjson', 'json', 'csv', 'text', 'zeek'], { default: 'ndjson' }),
  /**
   * Whether folders within a folder are read too. In a pattern, `**` does it.
   * @default false
   */
  recursiveFileLookup: option.flag({ default: false }),
  /** Pattern that names of files must match, such as `*.log`. */
  pathGlobFilter: option.text(),
  /** Instant after which a file must have changed: ISO 8601, UTC without an offset. */
  modifiedAfter: option.custom<Ticks, string | Date>(instant),
  /** Instant before which a file must have changed: ISO 8601, UTC without an offset. */
  modifiedBefore: option.custom<Ticks, string | Date>(instant),
  /**
   * Whether symbolic links in folders are followed, wherever they lead.
   * @default true
   */
  follow_symlinks: option.flag({ default: true }),
  /**
   * Maximum bytes of a line or record. A longer one counts as unreadable.
   * @default 10485760
   */
  max_line_bytes: option.integer({ min: 1, default: 10_485_760 }),
  /**
   * Whether missing files are skipped, with the event `skipped`. `false`: they are an error.
   * @default a bounded read fails; a stream waits for the path, and skips planned parts of files that are gone
   */
  ignoreMissingFiles: option.flag(),
  /**
   * Whether unreadable files are skipped, with the event `skipped`. `false`: each is an error.
   * @default skips files without permission and what is no file (a dangling link, a pipe, a device); files that are cut
   * off, damaged or no text are an error
   */
  ignoreCorruptFiles: option.flag(),
  /**
   * Form of the rows of `ndjson`: `objects`, or `json` for a `JsonRow` per line, whose text sinks write as it stands:
   * numbers, order and repeated members arrive unchanged.
   * @default "objects"
   */
  rows: option.oneOf(['objects', 'json'], { default: 'objects' }),
  /**
   * Columns of the rows and their types: values are cast, columns missing in a record are null, others are left out. Or
   * a Standard Schema (zod, valibot, arktype…), which checks and types each row. A record that does not fit counts as
   * unreadable.
   */
  schema: option.custom<Map<string, ColumnType> | StandardSchema, RowSchema>({
    form: 'an object { column: type }, or a Standard Schema (zod, valibot, arktype…)',
    schema: { type: 'object', additionalProperties: { enum: columnTypeNames }, minProperties: 1 },
    parse: parseRowSchema,
  }),
  /**
   * JavaScript type of a `datetime` of the schema: `date` (milliseconds), or `string` for the text as it stands.
   * @default "date"
   */
  datetime: option.oneOf(['date', 'string'], { default: 'date' }),
  /**
   * JavaScript type of a `long` of the schema: `number-or-bigint` (a bigint beyond 2^53), `bigint` or `string`.
   * @default "number-or-bigint"
   */
  long: option.oneOf(['number-or-bigint', 'bigint', 'string'], { default: 'number-or-bigint' }),
  /**
   * CSV: whether the first record of a file names its columns. Without it the columns are those of `schema`, or `_c0`,
   * `_c1`…
   * @default true
   */
  header: option.flag({ default: true }),
  /**
   * CSV: character between fields.
   * @default ","
   */
  sep: option.custom<string>(character(false), { default: ',', verbatim: true }),
  /**
   * CSV: character around fields. Empty: fields are never quoted.
   * @default "\""
   */
  quote: option.custom<string>(character(true), { default: '"', verbatim: true }),
  /**
   * CSV: character before a quote within quotes. (Spark: a backslash.)
   * @default "\""
   */
  escape: option.custom<string>(character(true), { default: '"', verbatim: true }),
  /**
   * CSV: string that means null.
   * @default ""
   */
  nullValue: option.custom<string>(
    {
      form: 'a string',
      schema: { type: 'string' },
      parse: (value) => (typeof value === 'string' ? value : undefined),
    },
    { default: '', verbatim: true },
  ),
  /**
   * CSV: character at the start of lines that are skipped, such as `#`. Empty: no line is skipped.
   * @default ""
   */
  comment: option.custom<string>(character(true), { default: '', verbatim: true }),
  /**
   * CSV: start of the line that names the columns, such as `#Fields:` in logs of W3C's format and IIS, in place of the
   * first record. It may come again within a file.
   */
  header_prefix: option.text(),
  /**
   * CSV: whether the first 64 KB of a file decide which columns are integers, decimals and booleans. Without it fields
   * are strings.
   * @default false
   */
  inferSchema: option.flag({ default: false }),
  /** Name of an added column with the path of the file. */
  file_path_column: option.text(),
  /** Name of an added column with the byte of the file's text, decompressed, at which the record starts. */
  file_offset_column: option.text(),
  /** Name of an added column with the time of the file's last change, a Date. */
  file_modification_time_column: option.text(),
} satisfies OptionSpecs

type SharedSpecs = typeof ownSpecs & typeof malformedSpecs & typeof retrySpecs

/** What both sources of files share. */
const sharedSpecs: SharedSpecs = { ...ownSpecs, ...malformedSpecs, ...retrySpecs }

/** Options of the bounded source of files. */
export type FilesReadableOptions = OptionsOf<SharedSpecs> & StreamOptions

/** Options by which a row is changed. */
export const takingApart = [
  'schema',
  'file_path_column',
  'file_offset_column',
  'file_modification_time_column',
]

/** Options of CSV alone. */
const csvNames = ['header', 'sep', 'quote', 'escape', 'nullValue', 'comment', 'header_prefix', 'inferSchema']

function checkShared(
  values: Partial<OptionValues<SharedSpecs>>,
  report: Report,
  given: ReadonlySet<string>,
): void {
  const { format, modifiedAfter, modifiedBefore, sep, quote } = values
  if (modifiedAfter !== undefined && modifiedBefore !== undefined && modifiedBefore <= modifiedAfter) {
    report('modifiedBefore: is not after modifiedAfter')
  }
  if (format !== undefined && format !== 'csv') {
    for (const name of csvNames) {
      if (given.has(name)) report(`${name}: is for format "csv" only`)
    }
  }
  if (values.rows === 'json') {
    if (format !== undefined && format !== 'ndjson') report('rows: "json" is for format "ndjson" only')
    for (const name of takingApart) if (given.has(name)) report(`${name}: needs rows "objects"`)
  }
  if (sep !== undefined && sep === quote) report('quote: is the same as sep')
  checkMalformed(values, report, given)
}

export const boundedDeclaration: OptionDeclaration<SharedSpecs> = declareOptions(
  connectorName,
  sharedSpecs,
  checkShared,
)

export type FilesValues = OptionValues<SharedSpecs>

const followSpecs = {
  /**
   * Start of a stream without a checkpoint, in the files that are there: `beginning`, or `end` as in `tail -f`. Files
   * that come later are read from their beginning.
   * @default "beginning"
   */
  start_at: option.oneOf(['beginning', 'end'], { default: 'beginning' }),
  /**
   * Maximum files of a slice. A slice is delivered and committed as one.
   * @default 1000
   */
  maxFilesPerTrigger: option.integer({ min: 1, default: 1000 }),
  /**
   * Maximum bytes of text of a slice, decompressed, to the end of the record that exceeds them. Held in memory.
   * @default 16777216
   */
  maxBytesPerTrigger: option.integer({ min: 1, default: 16_777_216 }),
  /**
   * Time without a change, as this process has seen, after which a file counts as complete, in seconds: a last line
   * without its end is delivered, and a compressed file that ends early is an error. A last line is also delivered at the
   * end of `available_now`, and of a file that was renamed, cut or deleted.
   * @default no limit: the source waits for both
   */
  settling_delay_seconds: option.amount({ zero: true }),
  /**
   * Bytes at the start of a file, and last read, that are hashed to recognise an overwritten file and the copy that a
   * rotation makes. 0: device, inode and birth alone; a copy is read as a new file.
   * @default 1024
   */
  fingerprint_bytes: option.integer({ min: 0, default: 1024 }),
  /**
   * Interval between two looks at the files, in seconds. Folders are watched too, so that most changes are seen at once.
   * @default 5
   */
  poll_interval_seconds: option.amount({ default: 5 }),
} satisfies OptionSpecs

// Not one spread object, which would lose the text of `mode` in editors.
type FollowSpecs = typeof followSpecs & typeof followedMalformedSpecs
type StreamSpecs = FollowSpecs & Omit<SharedSpecs & typeof sharedStreamSpecs, keyof FollowSpecs>

export type FilesStreamValues = OptionValues<StreamSpecs>

/** Options of the streaming source of files. */
export type FilesStreamReadableOptions = OptionsOf<StreamSpecs> & StreamOptions

const streamSpecs: StreamSpecs = {
  ...sharedSpecs,
  ...sharedStreamSpecs,
  ...followSpecs,
  ...followedMalformedSpecs,
}

export const streamDeclaration: OptionDeclaration<StreamSpecs> = declareOptions(
  connectorName,
  streamSpecs,
  (values, report, given) => {
    checkShared(values, report, given)
    checkStream(values, report, given)
  },
)

/** Which files the options mean. */
export function listingSettings({
  path,
  recursiveFileLookup,
  pathGlobFilter,
  modifiedAfter,
  modifiedBefore,
  follow_symlinks,
}: FilesValues): ListingSettings {
  const milliseconds = (ticks: Ticks | undefined) =>
    ticks === undefined ? undefined : Number(ticks / ticksPerMillisecond)
  return {
    path,
    recursiveFileLookup,
    pathGlobFilter,
    follow_symlinks,
    modifiedAfter: milliseconds(modifiedAfter),
    modifiedBefore: milliseconds(modifiedBefore),
  }
}
