// Files as a source, beside what people write by hand.
import { once } from 'node:events'
import { createReadStream, createWriteStream, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { alternate, startServer, trial } from './harness.mjs'
import { goal, megabytes, ratio, round, table } from './report.mjs'
import { recordFile, recordNames } from './rows.mjs'

const ours = 'cyber-connectors'
const rate = ({ rows, seconds }) => rows / seconds
const perCpu = ({ rows, cpu }) => rows / cpu

/** @param contestants names, or [label, name, options] */
function compared(contestants, options, rounds) {
  const all = contestants.map((each) => (typeof each === 'string' ? [each, each, {}] : each))
  return alternate(
    Object.fromEntries(
      all.map(([label, contestant, own]) => [
        label,
        { suite: 'files', contestant, options: { ...options, ...own } },
      ]),
    ),
    { rounds },
  )
}

const readers = (result) =>
  table(
    ['', 'rows/s', 'rows per CPU second', 'ours to it, rows/s'],
    result.labels.map((label) => [
      label,
      round(result.of(label, rate)),
      round(result.of(label, perCpu)),
      label === ours ? '' : ratio(result.ratio(ours, label, rate)),
    ]),
  )

async function realRecords(folder, rounds) {
  const sections = []
  const goals = []
  for (const name of recordNames().filter((name) => name !== 'zeek-weird')) {
    const packed = recordFile(name)
    const plain = join(folder, `${name}.ndjson`)
    await pipeline(createReadStream(packed), createGunzip(), createWriteStream(plain))
    const result = await compared([ours, 'readline', 'split2', 'JSON.parse'], { path: plain }, rounds)
    const gzip = await compared([ours, 'readline', 'split2'], { path: packed }, rounds)
    const hec = await startServer('hec')
    const sink = await compared(['the sink alone', 'file to sink'], { path: plain, url: hec.url }, rounds)
    await hec.close()
    sections.push(`${name}, unpacked:\n\n${readers(result)}\n\n${name}, gzip:\n\n${readers(gzip)}`)
    for (const peer of ['readline', 'split2'])
      goals.push(
        goal(`rows/s to ${peer}, ${name}`, result.ratio(ours, peer, rate), 1.5),
        goal(`rows/s to ${peer}, ${name}, gzip`, gzip.ratio(ours, peer, rate), 1.5),
      )
    goals.push(
      goal(`rows/s to JSON.parse, ${name}`, result.ratio(ours, 'JSON.parse', rate), 0.8),
      goal(
        `file to Splunk, to the sink alone, ${name}`,
        sink.ratio('file to sink', 'the sink alone', rate),
        0.8,
      ),
    )
  }
  return { sections, goals }
}

async function large(folder, bytes) {
  const path = join(folder, 'large.ndjson')
  const file = createWriteStream(path)
  const block = Array.from({ length: 10_000 }, (_, n) => `{"n":${n},"text":"${'x'.repeat(80)}"}\n`).join('')
  for (let written = 0; written < bytes; written += block.length)
    if (!file.write(block)) await once(file, 'drain')
  file.end()
  await once(file, 'close')
  const cold = await trial('files', ours, { path, passes: 1 })
  rmSync(path)
  return cold
}

async function manyFiles(folder, count) {
  const path = join(folder, `${count}`)
  mkdirSync(path)
  for (let index = 0; index < count; index++) writeFileSync(join(path, `${index}.ndjson`), `{"n":${index}}\n`)
  const options = { path, checkpointLocation: join(folder, `${count}-offsets`) }
  const read = await trial('files', 'a folder', options)
  const again = await trial('files', 'a folder', options)
  if (read.rows !== count || again.rows !== 0)
    throw new Error(`${read.rows} and ${again.rows} rows of ${count}`)
  rmSync(path, { recursive: true })
  return { count, read, again }
}

export async function files({ quick, rounds }) {
  const folder = mkdtempSync(join(tmpdir(), 'cyber-connectors-bench-'))
  try {
    const { sections, goals } = await realRecords(folder, rounds)
    const size = quick ? 100_000_000 : 1_000_000_000
    const one = await large(folder, size)
    const folders = []
    for (const count of quick ? [1_000, 10_000] : [10_000, 100_000])
      folders.push(await manyFiles(folder, count))
    const [few, many] = folders
    return `### Files as a source

NDJSON of real records, \`for await\` over the rows, each file read five times. The JSON.parse row parses lines in memory. Parsing is most of the cost of a row, so a reader that parses each line can't be 1.5 times as fast as another one that does.

${sections.length > 0 ? sections.join('\n\n') : 'Skipped: ../shared/data is not here.'}

One file of ${megabytes(size)}, cold: the first row after ${(one.first * 1000).toFixed(0)} ms, then ${round(rate(one))} rows/s; peak memory ${megabytes(one.peak)}.

Folders of one-row files, as a stream with a checkpoint; then listed again, with nothing new:

${table(
  ['', 'seconds', 'CPU seconds', 'peak memory', 'again, seconds', 'again, peak memory'],
  folders.map(({ count, read, again }) => [
    `${count.toLocaleString('en-US')} files`,
    round(read.seconds),
    round(read.cpu),
    megabytes(read.peak),
    round(again.seconds),
    megabytes(again.peak),
  ]),
)}

${goals.join('\n')}
${goal(`first row of a file of ${megabytes(size)}, ms`, one.first * 1000, 50, { most: true })}
${goal(`seconds a file, ${many.count.toLocaleString('en-US')} files to ${few.count.toLocaleString('en-US')}`, many.read.seconds / many.count / (few.read.seconds / few.count), 1.2, { most: true })}`
  } finally {
    rmSync(folder, { recursive: true })
  }
}
