import { Writable } from 'node:stream'
import {
  declareOptions,
  type OptionSpecs,
  type OptionValues,
  option,
  Refusal,
  type Report,
} from '../../core/options.ts'
import { retrySpecs } from '../../core/retry.ts'
import type { StandardSchema } from '../../core/standard-schema.ts'
import { type Ticks, ticksPerMillisecond } from '../../core/time.ts'
import { checkStream, instant, streamSpecs as sharedStreamSpecs } from '../../source/options.ts'
import { type ColumnType, columnTypeNames, parseRowSchema } from '../../source/row-schema.ts'
import { connectorName } from './file-error.ts'
import type { ListingSettings } from './listing.ts'

const character = (empty: boolean) => ({
  form: empty ? 'one character of ASCII, or an empty text' : 'one character of ASCII, such as "," or "\\t"',
  type: 'string',
  schema: { type: 'string', maxLength: 2 },
  parse(value: unknown): string | undefined {
    if (value === '\\t') return '\t'
    if (value === '' && empty) return ''
    return typeof value === 'string' && /^[\0-\x7f]$/.test(value) && !/[\r\n]/.test(value) ? value : undefined
  },
})

/** What both sources of files share. */
const sharedSpecs = {
  path: option.custom<readonly string[], { doc: string; required: true; names: 'file' }>(
    {
      form: 'a path, or a list of paths',
      type: 'string | readonly string[]',
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
    {
      required: true,
      names: 'file',
      doc: 'A file, a folder, a pattern such as `logs/*.ndjson.gz`, in which `**` stands for folders of any depth, or a list of these. Files whose names begin with `.` or `_` are passed over unless they are named.',
    },
  ),
  format: option.oneOf(['ndjson', 'json', 'csv', 'text'], {
    default: 'ndjson',
    doc: '`ndjson`: a JSON object each line. `json`: one document, an array of objects or an object. `csv`. `text`: a row each line, in the column `value`. Files packed by gzip, brotli (`.br`) or zstd (Node 22.15 on) are unpacked; UTF-16 is told by its byte order mark.',
  }),
  recursiveFileLookup: option.flag({
    default: false,
    doc: 'Whether folders within a folder are read too. A pattern says so itself, by `**`.',
  }),
  pathGlobFilter: option.text({ doc: 'Reads only files whose names match this pattern, such as `*.log`.' }),
  modifiedAfter: option.custom<Ticks>(instant, {
    doc: 'Reads only files changed after this instant, ISO 8601; UTC without an offset.',
  }),
  modifiedBefore: option.custom<Ticks>(instant, {
    doc: 'Reads only files changed before this instant, ISO 8601; UTC without an offset.',
  }),
  follow_symlinks: option.flag({
    default: true,
    doc: 'Whether symbolic links in folders are followed, wherever they lead.',
  }),
  mode: option.oneOf(['failfast', 'dropmalformed', 'permissive'], {
    default: 'failfast',
    doc: 'What becomes of a record that can not be read. `failfast`: an error that names file, line and column. `dropmalformed`: it is left out. `permissive`: its text comes in the column `_corrupt_record`. The last two are counted and told by the event `malformed`.',
  }),
  columnNameOfCorruptRecord: option.text({
    default: '_corrupt_record',
    doc: 'The column of `permissive`.',
  }),
  dead_letter: option.custom<Writable>(
    {
      form: 'an object-mode Writable',
      type: "import('node:stream').Writable",
      parse(value) {
        if (!(value instanceof Writable)) return undefined
        if (!value.writableObjectMode) throw new Refusal('expected an object-mode Writable, got one of bytes')
        return value
      },
    },
    {
      names: 'dead letter',
      doc: 'Takes records that can not be read, each with the reason; then the stream goes on, whatever `mode` says.',
    },
  ),
  max_line_bytes: option.integer({
    min: 1,
    default: 10_485_760,
    doc: 'Bytes that one line or record may have; a longer one counts as one that can not be read.',
  }),
  ignoreMissingFiles: option.flag({
    doc: 'Whether missing files are skipped, with the event `skipped`. Not given: a path that is not there is an error of a bounded read; a stream waits for it, and skips planned parts of files that are gone. `false`: those are an error too.',
  }),
  ignoreCorruptFiles: option.flag({
    doc: 'Whether files that can not be read are skipped, with the event `skipped`. Not given: those that may not be read, or are no files (a link to nothing, a pipe, a device), are skipped; those that are cut off, damaged or no text are an error. `false`: an error each.',
  }),
  schema: option.custom<Map<string, ColumnType> | StandardSchema>(
    {
      form: 'an object { column: type }, or a Standard Schema (zod, valibot, arktype…)',
      type: "import('../../source/row-schema.ts').RowSchema",
      schema: { type: 'object', additionalProperties: { enum: columnTypeNames }, minProperties: 1 },
      parse: parseRowSchema,
    },
    {
      doc: 'The columns that rows are to have and their types: values are cast, columns that a record lacks are null, others are left out. Or any Standard Schema, which checks each row and gives it its type. A record that does not fit is one that can not be read.',
    },
  ),
  datetime: option.oneOf(['date', 'string'], {
    default: 'date',
    doc: 'What a `datetime` of the schema becomes: `date` for a Date, which holds milliseconds; `string` for its text.',
  }),
  long: option.oneOf(['number-or-bigint', 'bigint', 'string'], {
    default: 'number-or-bigint',
    doc: 'What a `long` of the schema becomes: a number, and a bigint beyond 2^53; always a bigint; or a text.',
  }),
  header: option.flag({
    default: true,
    doc: 'CSV: whether the first record of a file names its columns. Without, the columns are those of `schema`, or `_c0`, `_c1`…',
  }),
  sep: option.custom<string, { doc: string; defaultText: string; default: ',' }>(character(false), {
    default: ',',
    defaultText: 'a comma',
    doc: 'CSV: the character between fields.',
  }),
  quote: option.custom<string, { doc: string; defaultText: string; default: '"' }>(character(true), {
    default: '"',
    defaultText: 'a double quote',
    doc: 'CSV: the character around fields. Empty: fields are never quoted.',
  }),
  escape: option.custom<string, { doc: string; defaultText: string; default: '"' }>(character(true), {
    default: '"',
    defaultText: 'a double quote',
    doc: 'CSV: the character before a quote within quotes. (Spark: a backslash.)',
  }),
  nullValue: option.custom<string, { doc: string; defaultText: string; default: '' }>(
    {
      form: 'a text',
      type: 'string',
      schema: { type: 'string' },
      parse: (value) => (typeof value === 'string' ? value : undefined),
    },
    { default: '', defaultText: 'the empty text', doc: 'CSV: the text that stands for null.' },
  ),
  inferSchema: option.flag({
    default: false,
    doc: "CSV: whether integers, decimals and booleans are told by the file's first 64 KB. Without, fields are texts.",
  }),
  file_path_column: option.text({ doc: "Adds a column of this name with the file's path." }),
  file_offset_column: option.text({
    doc: "Adds a column of this name with the byte of the file's text, decompressed, where the record begins.",
  }),
  file_modification_time_column: option.text({
    doc: "Adds a column of this name with the time of the file's last change, a Date.",
  }),
  ...retrySpecs,
} satisfies OptionSpecs

function checkShared(
  values: Partial<OptionValues<typeof sharedSpecs>>,
  report: Report,
  given: ReadonlySet<string>,
): void {
  const { format, modifiedAfter, modifiedBefore, sep, quote } = values
  if (modifiedAfter !== undefined && modifiedBefore !== undefined && modifiedBefore <= modifiedAfter) {
    report('modifiedBefore: is not after modifiedAfter')
  }
  if (format !== undefined && format !== 'csv') {
    for (const name of ['header', 'sep', 'quote', 'escape', 'nullValue', 'inferSchema']) {
      if (given.has(name)) report(`${name}: is for format "csv" only`)
    }
  }
  if (sep !== undefined && sep === quote) report('quote: is the same as sep')
  if (given.has('columnNameOfCorruptRecord') && values.mode !== 'permissive') {
    report('columnNameOfCorruptRecord: needs mode "permissive"')
  }
}

export const boundedDeclaration = declareOptions(connectorName, sharedSpecs, checkShared)

export type FilesValues = OptionValues<typeof sharedSpecs>

const streamSpecs = {
  ...sharedSpecs,
  // One malformed line must not end a stream that nobody watches.
  mode: { ...sharedSpecs.mode, default: 'permissive' as const },
  start_at: option.oneOf(['beginning', 'end'], {
    default: 'beginning',
    doc: 'Where a stream with no checkpoint begins in the files that are there: at their beginning, or at their end, as `tail -f` does. Files that come later are read whole.',
  }),
  maxFilesPerTrigger: option.integer({
    min: 1,
    default: 1000,
    doc: 'Files that one slice holds at most. A slice is delivered and committed as one.',
  }),
  maxBytesPerTrigger: option.integer({
    min: 1,
    default: 16_777_216,
    doc: 'Bytes of text, decompressed, that one slice holds, and the end of the record that passes them. They lie in memory.',
  }),
  settling_delay_seconds: option.amount({
    zero: true,
    doc: 'Seconds without a change, as this process has seen, after which a file counts as whole: a last line without its end is released, and a packed file that ends early is an error. Not given: both are waited for. (A last line is released at the end of `available_now` too, and of a file that was renamed, cut or deleted.)',
  }),
  fingerprint_bytes: option.integer({
    min: 0,
    default: 1024,
    doc: 'Bytes of the start of a file, and of what was read last, by which a file that was overwritten is recognised, and the copy that a rotation makes. 0: device, inode and birth alone, and a copy is read as a new file.',
  }),
  ...sharedStreamSpecs,
  poll_interval_seconds: option.amount({
    default: 5,
    doc: 'Seconds from one look at the files to the next. Folders are watched as well, so that most changes are seen at once.',
  }),
} satisfies OptionSpecs

export type FilesStreamValues = OptionValues<typeof streamSpecs>

export const streamDeclaration = declareOptions(connectorName, streamSpecs, (values, report, given) => {
  checkShared(values, report, given)
  checkStream(values, report, given)
})

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

/** Text at a CSV file's begin that tells its columns. */
export const csvHeadBytes = 65_536

/** The names of a schema that lists them. */
export function schemaNames({ schema }: Pick<FilesValues, 'schema'>): string[] | undefined {
  return schema instanceof Map ? [...schema.keys()] : undefined
}
