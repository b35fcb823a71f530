import { OptionError } from '../core/errors.ts'
import { type RecordsTable, tableFromRecords } from '../emulators/index.ts'
import { BadLine, openFile, readNdjson } from './ndjson.ts'
import { signinColumns, signinRows } from './signin-sample.ts'

/** A table for the query emulator. */
export interface SampleTable extends RecordsTable {
  readonly name: string
}

export interface TableSource {
  /** NDJSON file, also .gz, whose records take the place of the sample. */
  readonly input?: string
  /** The records' time. */
  readonly timeColumn?: string
}

const sampleSize = 3000

/** The records of a file, or a made-up day of sign-ins. @throws OptionError where a record has no time to be found by */
export async function sampleTable({
  input,
  timeColumn = 'TimeGenerated',
}: TableSource): Promise<SampleTable> {
  if (input === undefined) {
    const rows = signinRows(sampleSize, new Date())
    return { name: 'SigninLogs', columns: signinColumns, rows, timeColumn: 'TimeGenerated', untimed: 0 }
  }
  const records: Record<string, unknown>[] = []
  try {
    for await (const record of readNdjson(openFile(input))) records.push(record)
  } catch (error) {
    if (error instanceof BadLine) throw error
    const { code, message } = error as NodeJS.ErrnoException
    const problem = `can't be read (${code ?? message})`
    throw new OptionError('flags', [`--input: ${JSON.stringify(input)}: ${problem}`])
  }
  const table = tableFromRecords(records, timeColumn)
  if (table.untimed > 0) {
    const count = (number: number) => number.toLocaleString('en')
    const problem = `${count(table.untimed)} of ${count(records.length)} records have no time in the column ${JSON.stringify(timeColumn)}, so no query would find them; --time-column names another`
    throw new OptionError('flags', [problem])
  }
  return { name: 'Records', ...table }
}
