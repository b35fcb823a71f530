import { Readable } from 'node:stream'
import { Command } from 'commander'
import { OptionError } from '../core/errors.ts'
import { otherSpelling } from '../core/options.ts'
import { counted } from '../core/quantities.ts'
import { formatInstant, fromDate, parseDuration, parseInstant, ticksPerSecond } from '../core/time.ts'
import { maker } from '../registry.ts'
import { instantOf, keyText, membersOf } from '../streaming/interval-counts.ts'
import { runWindow } from '../streaming/run-window.ts'
import { type VerifiedInterval, type VerifyEnd, type VerifyOptions, verify } from '../streaming/verify.ts'
import { exitCodes, printable, writeOut } from './failures.ts'
import { type Endpoint, type Job, readJobFile } from './job.ts'
import { openDeadLetter, type Plan, planJob } from './plan.ts'

interface VerifyFlags {
  readonly from?: string
  readonly to?: string
  readonly by: string
  readonly key?: string
  readonly settle: string
  readonly json?: boolean
  readonly repair?: boolean
}

const about = `Counts the source and the destination of a job by intervals of event time, and prints where they differ. Nothing is written, unless --repair is given.

The member "verify" of the job file says how the destination is read back: its "options" are those of the source that reads it, such as splunkd_url and splunkd_token for the sink splunk, or workspace_id for ms-sentinel. Index, sourcetype, table and credentials are those of the sink. "time_column" is the column of the destination with the time of an event (default: TimeGenerated), "source_time_column" the one of the source. For any other sink, "connector" names a source that reads it; what a REST sink received can't be read.

With --key, intervals that differ list the keys that are missing or there too often. Counts alone do not show a row that is missing if another one is there twice.`

const example = `Example:
  verify: { options: { workspace_id: …, azure_default_credential: true }, time_column: EventTime }

  cyber-connectors verify job.yaml --from 2026-01-01 --to 2026-02-01 --by 1d --key uid --settle 15m

Exit code 0: all intervals agree; 1: some differ.`

/** The command `verify`. @param finish sets the exit code */
export function verifyCommand(finish: (code: number) => void): Command {
  return new Command('verify')
    .description(about)
    .argument('<file>', 'the job file, .yaml or .json')
    .option('--from <time>', "first event time (default: the source's start_time)")
    .option(
      '--to <time>',
      "end of the event times, itself not included (default: the source's end_time, or now)",
    )
    .option('--by <duration>', 'length of an interval, a divisor of a day: 1d, 1h, 15m, 60s', '1h')
    .option(
      '--key <columns>',
      'columns that name a row, with commas; source=destination if the two call it differently',
    )
    .option('--settle <duration>', 'longest wait for the destination to have everything', '0s')
    .option('--json', 'print one JSON object instead of a table')
    .option('--repair', 'send the intervals that lack rows again, with --key only the rows that are missing')
    .addHelpText('after', `\n${example}`)
    .action(async (path: string, flags: VerifyFlags) => finish(await verifyJob(path, flags)))
}

async function verifyJob(path: string, flags: VerifyFlags): Promise<number> {
  const job = await readJobFile(path, process.env)
  const problems: string[] = []
  const range = rangeOf(job, flags, problems)
  const options: VerifyOptions = {
    ...range,
    by: secondsOf('--by', flags.by, problems),
    settle: secondsOf('--settle', flags.settle, problems),
    key: flags.key ?? [],
  }
  if (problems.length > 0) throw new OptionError('verify', problems)
  // Counted and sent again without the checkpoint, which stays as it is.
  const { checkpoint: _c, trigger: _t, windows: _w, follow: _f, ...bounded } = job
  const source = { ...job.source, options: boundedOptions(job.source) }
  const plan = await planJob({
    ...bounded,
    source: { ...source, options: { ...source.options, ...timeRange(source, range) } },
  })
  const [wanted, found] = [sourceEnd(plan, source), destinationEnd(job)]
  const say = (text: string) => process.stderr.write(`${printable(text)}\n`)
  say(`verify: counting ${range.start_time} to ${range.end_time} at both ends`)
  if (job.transforms.length > 0) say('verify: rows that a transform drops count as missing')
  let intervals = await collect(wanted, found, options)
  const lacking = intervals.filter(({ difference, missing }) => difference < 0 || missing.length > 0)
  if (flags.repair && lacking.length > 0) {
    for (const interval of lacking) {
      const rows = await repair(plan, source, interval, flags.key)
      say(`verify: sent ${counted(rows, 'row')} of ${interval.start} again`)
    }
    intervals = await collect(wanted, found, options)
  }
  writeOut(flags.json ? `${jsonOf(intervals)}\n` : tableOf(intervals))
  return intervals.every(({ agrees }) => agrees) ? exitCodes.done : exitCodes.failed
}

async function collect(
  source: VerifyEnd,
  destination: VerifyEnd,
  options: VerifyOptions,
): Promise<VerifiedInterval[]> {
  const intervals: VerifiedInterval[] = []
  for await (const interval of verify(source, destination, options)) {
    intervals.push(interval)
    if (process.stderr.isTTY) process.stderr.write(`\r${intervals.length} intervals, up to ${interval.end}`)
  }
  if (process.stderr.isTTY) process.stderr.write('\n')
  return intervals
}

/** The sources that count where their rows are. */
function countsItself(connector: string): connector is 'splunk' | 'azure-monitor' | 'ms-sentinel' {
  return connector === 'splunk' || connector === 'azure-monitor' || connector === 'ms-sentinel'
}

const ofTheRange = [
  'start_time',
  'end_time',
  'timespan',
  'window',
  'num_partitions',
  'partition_duration',
  'window_by',
]

/** An option under either spelling. */
function optionOf(options: Readonly<Record<string, unknown>>, name: string): unknown {
  return options[name] ?? options[otherSpelling(name)]
}

/** The options of an endpoint that its bounded source takes, without a range of time. */
function boundedOptions({ connector, options }: Endpoint): Record<string, unknown> {
  if (connector === '-') throw new OptionError('verify', ['source: standard input can not be read again'])
  const specs = maker(connector, 'readable', 'source').declaration?.specs ?? {}
  const names = new Set(Object.keys(specs).flatMap((name) => [name, otherSpelling(name)]))
  for (const name of ofTheRange) for (const each of [name, otherSpelling(name)]) names.delete(each)
  return Object.fromEntries(Object.entries(options).filter(([name]) => names.has(name)))
}

/** The options that bound a source by event time; files have none, their rows are chosen as they are read. */
function timeRange(
  { connector }: Endpoint,
  { start_time, end_time }: { start_time: string; end_time: string },
) {
  if (!countsItself(connector)) return {}
  return { start_time, end_time, ...(connector === 'splunk' && { window_by: 'event_time' }) }
}

function sourceEnd(plan: Plan, { connector, options }: Endpoint): VerifyEnd {
  if (countsItself(connector)) {
    return { connector, options, time_column: optionOf(options, 'timestamp_column') as string | undefined }
  }
  return { rows: () => plan.makeSource!() as AsyncIterable<object>, time_column: sourceTime(plan.job) }
}

/** The column of the source's rows with the time of an event. */
function sourceTime({ source, sink, verify }: Job): string {
  if (source.connector === 'splunk') return '_time'
  const given =
    verify?.source_time_column ??
    optionOf(source.options, 'timestamp_column') ??
    optionOf(sink.options, 'time_column')
  if (typeof given === 'string') return given
  if (countsItself(source.connector)) return 'TimeGenerated'
  throw new OptionError('verify', ['verify: source_time_column: is required for this source'])
}

function destinationEnd({ sink, verify: given }: Job): VerifyEnd {
  const options = given?.options ?? {}
  const missing = (name: string) =>
    new OptionError('verify', [
      `verify: options: ${name}: is required to read the sink ${sink.connector} back`,
    ])
  const connector = given?.connector ?? sink.connector
  if (sink.connector === 'splunk' && connector === 'splunk') {
    if (optionOf(options, 'splunkd_url') === undefined) throw missing('splunkd_url')
    const derived = ['index', 'source', 'sourcetype', 'host'].flatMap((name) => {
      const value = optionOf(sink.options, name)
      return value === undefined || 'query' in options ? [] : [[name, value]]
    })
    const { ca } = sink.options
    return {
      connector,
      options: { ...(ca !== undefined && { ca }), ...Object.fromEntries(derived), ...options },
    }
  }
  if (countsItself(sink.connector) && countsItself(connector)) {
    if (optionOf(options, 'workspace_id') === undefined && optionOf(options, 'resource_id') === undefined) {
      throw missing('workspace_id')
    }
    // The sink's credentials serve here too; its audience is that of another service.
    const { audience: _, ...own } = boundedOptions({ connector: 'azure-monitor', options: sink.options })
    const query = String(optionOf(sink.options, 'dcs')).replace(/^Custom-/, '')
    return {
      connector: 'azure-monitor',
      options: { ...own, query, ...options },
      time_column: given?.time_column,
    }
  }
  if (given?.connector === undefined) {
    throw new OptionError('verify', [
      `what the sink ${sink.connector} received can't be read back; the job file may name a source for it: verify: { connector: …, options: { … } }`,
    ])
  }
  if (countsItself(connector)) return { connector, options, time_column: given.time_column }
  if (given.time_column === undefined) throw new OptionError('verify', ['verify: time_column: is required'])
  const rows = () => maker(connector, 'readable', 'source').create({ ...options }) as AsyncIterable<object>
  return { rows, time_column: given.time_column }
}

/** Sends an interval again: all of its rows, or those whose key is missing. @returns how many */
async function repair(
  plan: Plan,
  source: Endpoint,
  { start, end, missing }: VerifiedInterval,
  key: string | undefined,
): Promise<number> {
  const wanted = new Set(missing.map(({ key }) => JSON.stringify(key)))
  const names = (key ?? '').split(',').map((name) => name.split('=')[0]!.trim())
  const time = sourceTime(plan.job)
  const [from, to] = [parseInstant(start)!, parseInstant(end)!]
  const options = { ...source.options, ...timeRange(source, { start_time: start, end_time: end }) }
  const make = () =>
    countsItself(source.connector)
      ? maker(source.connector, 'readable', 'source').create(options)
      : plan.makeSource!()
  async function* lacking() {
    for await (const given of make() as AsyncIterable<object>) {
      const row = membersOf(given)
      const instant = instantOf(row[time])
      if (instant === undefined || instant < from || instant >= to) continue
      if (key === undefined || wanted.has(JSON.stringify(names.map((name) => keyText(row[name])))))
        yield given
    }
  }
  const deadLetter = await openDeadLetter(plan)
  const { rowsOut } = await runWindow(
    { id: start, start, end },
    {
      source: () => Readable.from(lacking()),
      transform: () => plan.makeStages(),
      sink: () => plan.makeSink!(deadLetter),
    },
  )
  return rowsOut
}

function rangeOf(
  { source }: Job,
  { from, to }: VerifyFlags,
  problems: string[],
): { start_time: string; end_time: string } {
  const now = fromDate(Date.now())
  const timespan = optionOf(source.options, 'timespan')
  const duration = typeof timespan === 'string' ? parseDuration(timespan) : undefined
  const instant = (flag: string, given: unknown) => {
    const found = instantOf(given)
    if (found === undefined)
      problems.push(`${flag}: expected a time in ISO 8601, such as 2026-01-01T00:00:00Z`)
    return formatInstant(found ?? now)
  }
  const start = from ?? optionOf(source.options, 'start_time') ?? (duration && formatInstant(now - duration))
  return {
    start_time: instant('--from', start),
    end_time: instant('--to', to ?? optionOf(source.options, 'end_time') ?? formatInstant(now)),
  }
}

function secondsOf(flag: string, text: string, problems: string[]): number {
  const [, amount, unit = 's'] = /^(\d+)([smhd])?$/.exec(text) ?? []
  const iso = amount === undefined ? parseDuration(text) : undefined
  if (iso !== undefined) return Number(iso / ticksPerSecond)
  if (amount === undefined) problems.push(`${flag}: expected a duration, such as 1d, 1h, 15m or 60s`)
  return Number(amount ?? 1) * { s: 1, m: 60, h: 3600, d: 86_400 }[unit as 's']
}

function jsonOf(intervals: readonly VerifiedInterval[]): string {
  return JSON.stringify({ agrees: intervals.every(({ agrees }) => agrees), intervals })
}

/** Keys of an interval that the table lists; `--json` has all. */
const mostKeys = 20

function tableOf(intervals: readonly VerifiedInterval[]): string {
  const count = (number: number) => number.toLocaleString('en')
  const lines = intervals.map(({ start, source, destination, difference, agrees, missing, doubled }) => [
    start.replace('.000Z', 'Z'),
    count(source),
    count(destination),
    count(difference),
    missing.length + doubled.length > 0
      ? `${count(missing.length)} missing, ${count(doubled.length)} too often`
      : agrees
        ? 'ok'
        : '',
  ])
  const rows = [['interval', 'source', 'destination', 'difference', ''], ...lines]
  const widths = rows[0]!.map((_, at) => Math.max(...rows.map((row) => row[at]!.length)))
  const table = rows.map((row) =>
    row
      .map((cell, at) => (at === 0 || at === 4 ? cell.padEnd(widths[at]!) : cell.padStart(widths[at]!)))
      .join('  ')
      .trimEnd(),
  )
  const keys = intervals.flatMap(({ start, missing, doubled }) => {
    const listed = (what: string, list: VerifiedInterval['missing']) =>
      list.length === 0
        ? []
        : [
            `${start} ${what}: ${list
              .slice(0, mostKeys)
              .map(({ key }) => key.join(' '))
              .join(', ')}${list.length > mostKeys ? ', …' : ''}`,
          ]
    return [...listed('missing', missing), ...listed('too often', doubled)]
  })
  const differing = intervals.filter(({ agrees }) => !agrees).length
  const total = (end: 'source' | 'destination') => intervals.reduce((sum, interval) => sum + interval[end], 0)
  const verdict =
    differing === 0
      ? `${intervals.length === 1 ? 'The interval agrees' : `All ${count(intervals.length)} intervals agree`}: ${counted(total('source'), 'row')}.`
      : `${count(differing)} of ${counted(intervals.length, 'interval')} differ: ${counted(total('source'), 'row')} in the source, ${count(total('destination'))} in the destination.`
  return `${[...table, ...(keys.length > 0 ? ['', ...keys] : []), '', verdict].join('\n')}\n`
}
