import { type RecordsTable, tableFromRecords } from '../emulators/index.ts'
import { openFile, readNdjson } from './ndjson.ts'
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

/** The records of a file, or a made-up day of sign-ins. */
export async function sampleTable({
  input,
  timeColumn = 'TimeGenerated',
}: TableSource): Promise<SampleTable> {
  if (input === undefined) {
    const rows = signinRows(sampleSize, new Date())
    return { name: 'SigninLogs', columns: signinColumns, rows, timeColumn: 'TimeGenerated', untimed: 0 }
  }
  const records: Record<string, unknown>[] = []
  for await (const record of readNdjson(openFile(input))) records.push(record)
  return { name: 'Records', ...tableFromRecords(records, timeColumn) }
}
