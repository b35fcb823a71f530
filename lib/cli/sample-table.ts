import { OptionError } from '../core/errors.ts'
import { type Column, type RecordsTable, tableFromRecords } from '../emulators/index.ts'
import { BadLine, openFile, readNdjson } from './ndjson.ts'

/** A table for the query emulator. */
export interface SampleTable extends RecordsTable {
  readonly name: string
}

export interface TableSource {
  /** NDJSON file, also .gz, whose records replace the sample. */
  readonly input?: string
  /** Name of the records' time column. Default: TimeGenerated. */
  readonly timeColumn?: string
}

const sampleSize = 3000

/** The records of a file, or a synthetic day of sign-ins. @throws OptionError if a record has no time */
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

/** Pseudo-random numbers, the same for the same seed (mulberry32). */
export function pseudoRandom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

const people = [
  'ada',
  'björn',
  'chidi',
  'dolores',
  'emre',
  'fatima',
  'grace',
  'hồng',
  'ines',
  'jürgen',
  'keiko',
  'li',
]
const apps = [
  'Office 365 Exchange Online',
  'Azure Portal',
  'Microsoft Teams',
  'Contoso VPN',
  'Salesforce',
  'GitHub',
]
const places = [
  ['DE', 'Berlin', 52.52, 13.405],
  ['US', 'Seattle', 47.606, -122.332],
  ['JP', '東京', 35.676, 139.65],
  ['BR', 'São Paulo', -23.55, -46.633],
  ['NG', 'Lagos', 6.524, 3.379],
] as const
const results = [
  ['0', ''],
  ['0', ''],
  ['0', ''],
  ['50126', 'Error validating credentials due to invalid username or password.'],
  ['50074', 'Strong Authentication is required.'],
  [
    '53003',
    'Access has been blocked by Conditional Access policies.\r\nThe access policy does not allow token issuance.',
  ],
] as const
const risks = ['none', 'none', 'none', 'low', 'medium', 'high'] as const

/** Columns of the sample: those of `SigninLogs` used for detection, and one of each KQL type. */
export const signinColumns: Column[] = [
  { name: 'TimeGenerated', type: 'datetime' },
  { name: 'CorrelationId', type: 'guid' },
  { name: 'UserPrincipalName', type: 'string' },
  { name: 'AppDisplayName', type: 'string' },
  { name: 'IPAddress', type: 'string' },
  { name: 'ResultType', type: 'string' },
  { name: 'ResultDescription', type: 'string' },
  { name: 'RiskLevelDuringSignIn', type: 'string' },
  { name: 'IsInteractive', type: 'bool' },
  { name: 'AutonomousSystemNumber', type: 'int' },
  { name: 'SequenceNumber', type: 'long' },
  { name: 'ProcessingTimeInMs', type: 'real' },
  { name: 'TokenLifetime', type: 'timespan' },
  { name: 'RiskScore', type: 'decimal' },
  { name: 'LocationDetails', type: 'dynamic' },
  { name: 'AuthenticationDetails', type: 'dynamic' },
]

/** A synthetic day of sign-ins that ends at `until`: the same rows for the same arguments, cells in column order. */
export function signinRows(count: number, until: Date): unknown[][] {
  const random = pseudoRandom(20_240_501)
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!
  const hex = (digits: number) =>
    Array.from({ length: digits }, () => Math.floor(random() * 16).toString(16)).join('')
  const step = 86_400_000 / count
  return Array.from({ length: count }, (_, index) => {
    const at = new Date(until.getTime() - (count - index) * step + random() * step)
    const ticks = String(Math.floor(random() * 10_000)).padStart(4, '0')
    const [country, city, latitude, longitude] = pick(places)
    const [resultType, description] = pick(results)
    const person = pick(people)
    return [
      `${at.toISOString().slice(0, -1)}${ticks}Z`,
      `${hex(8)}-${hex(4)}-4${hex(3)}-a${hex(3)}-${hex(12)}`,
      `${person}@contoso.example`,
      pick(apps),
      `203.0.113.${Math.floor(random() * 256)}`,
      resultType,
      description === '' ? null : description,
      pick(risks),
      random() < 0.7,
      64_496 + Math.floor(random() * 15),
      9_007_199_254_740_993n + BigInt(index),
      Math.round(random() * 100_000) / 100,
      random() < 0.5 ? '01:00:00' : '1.02:03:04.0000005',
      (random() * 100).toFixed(4),
      { countryOrRegion: country, city, geoCoordinates: { latitude, longitude } },
      [
        {
          authenticationMethod: pick(['Password', 'FIDO2 "key"', 'Authenticator app']),
          succeeded: resultType === '0',
        },
      ],
    ]
  })
}
