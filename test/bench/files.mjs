// Files as a source beside what people write by hand: `npm run build && node test/bench/files.mjs [--large]`. Figures are
// milliseconds of CPU, which tell more than those of the clock on a busy machine; the best of some rounds.

import { once } from 'node:events'
import {
  createReadStream,
  createWriteStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
// Comes with pino.
import split2 from 'split2'
import { FilesReadable } from '../../dist/connectors/files/files-readable.js'
import { FilesStreamReadable } from '../../dist/connectors/files/files-stream-readable.js'

const records = new URL('../../../shared/data/', import.meta.url).pathname
const folder = mkdtempSync(join(tmpdir(), 'bench-files-'))
const cpu = () => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}
const isLarge = process.argv.includes('--large')
const rounds = 3

async function drain(rows) {
  let count = 0
  for await (const _ of rows) count++
  return count
}

/** Each in turn, so that what else the machine does falls on all. */
async function compare(cases) {
  const best = {}
  for (let round = 0; round < rounds; round++) {
    for (const [name, run] of Object.entries(cases)) {
      const begun = cpu()
      await run()
      best[name] = Math.round(Math.min(best[name] ?? Number.POSITIVE_INFINITY, cpu() - begun))
    }
  }
  return best
}

for (const name of ['zeek-dns', 'windows-events']) {
  const packed = join(records, `${name}.ndjson.gz`)
  if (!existsSync(packed)) {
    console.log(`${name}: skipped, ../shared/data is not here`)
    continue
  }
  const plain = join(folder, `${name}.ndjson`)
  await pipeline(createReadStream(packed), createGunzip(), createWriteStream(plain))
  const lines = readFileSync(plain, 'utf8').split('\n').filter(Boolean)
  const best = await compare({
    'JSON.parse in memory': () => {
      for (const line of lines) JSON.parse(line)
    },
    readline: async () => {
      for await (const line of createInterface({ input: createReadStream(plain) })) JSON.parse(line)
    },
    split2: () => drain(createReadStream(plain).pipe(split2(JSON.parse))),
    FilesReadable: () => drain(new FilesReadable({ path: plain })),
    'FilesReadable, .gz': () => drain(new FilesReadable({ path: packed })),
  })
  console.log(name, `${lines.length} rows`, best)
}

const many = isLarge ? 100_000 : 10_000
const small = join(folder, 'many')
mkdirSync(small)
for (let index = 0; index < many; index++) writeFileSync(join(small, `${index}.ndjson`), `{"n":${index}}\n`)
const checkpointLocation = join(folder, 'offsets')
for (const what of ['read', 'looked at again']) {
  const source = new FilesStreamReadable({ path: small, available_now: true, checkpointLocation })
  const [begun, time] = [cpu(), performance.now()]
  const rows = await drain(source)
  await source.commit()
  const seconds = ((performance.now() - time) / 1000).toFixed(1)
  const megabytes = Math.round(process.memoryUsage().rss / 1e6)
  console.log(
    `${many} files ${what}: ${rows} rows, ${Math.round(cpu() - begun)} ms of CPU, ${seconds} s, ${megabytes} MB`,
  )
}

if (isLarge) {
  const large = join(folder, 'large.ndjson')
  const file = createWriteStream(large)
  const block = Array.from({ length: 10_000 }, (_, n) => `{"n":${n},"text":"${'x'.repeat(80)}"}\n`).join('')
  for (let bytes = 0; bytes < 1e9; bytes += block.length) if (!file.write(block)) await once(file, 'drain')
  file.end()
  await once(file, 'close')
  const begun = performance.now()
  let [rows, first, most] = [0, 0, 0]
  for await (const _ of new FilesReadable({ path: large })) {
    if (rows === 0) first = performance.now() - begun
    if (++rows % 100_000 === 0) most = Math.max(most, process.memoryUsage().rss)
  }
  const seconds = (performance.now() - begun) / 1000
  console.log(
    `1 GB: first row after ${Math.round(first)} ms, ${Math.round(rows / seconds)} rows/s, at most ${Math.round(most / 1e6)} MB`,
  )
}
rmSync(folder, { recursive: true })
