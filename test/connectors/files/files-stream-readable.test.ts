import { once } from 'node:events'
import {
  appendFileSync,
  copyFileSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { FilesStreamReadable } from '../../../lib/connectors/files/files-stream-readable.ts'
import { count, type Options, type Row, Trial } from '../../fixtures/files-trial.ts'

t.test('files that grow, and new ones', async (t) => {
  const trial = new Trial(t)
  trial.append('a.log', 3)
  t.strictSame(await trial.read(), [0, 1, 2])
  t.strictSame(await trial.read(), [])
  trial.append('a.log', 2)
  trial.append('b.log', 2)
  trial.settle('b.log')
  t.strictSame(await trial.read(), [5, 6, 3, 4], 'in the order of their last change')
  trial.append('c.log', 1)
  utimesSync(trial.path('c.log'), 1, 1)
  t.strictSame(await trial.read(), [7], 'older than all that was read')
  t.strictSame(await trial.read(), [])
})

t.test('what was not committed comes again, exactly as it was', async (t) => {
  const trial = new Trial(t)
  trial.append('a.log', 3)
  t.strictSame(await trial.read({}, false), [0, 1, 2])
  trial.append('a.log', 2)
  t.strictSame(await trial.read({}, false), [0, 1, 2, 3, 4], 'the slice of before, and then what is new')
  t.strictSame(await trial.read(), [0, 1, 2, 3, 4])
  t.strictSame(await trial.read(), [])
})

t.test('slices are bounded by files and bytes; each begins with a whole record', async (t) => {
  const trial = new Trial(t)
  trial.append('a.log', 1000)
  for (const name of ['b', 'c', 'd', 'e', 'f']) trial.append(`${name}.log`, 1)
  const source = trial.source({ maxBytesPerTrigger: 2000, maxFilesPerTrigger: 2 })
  const slices: { id: string; rows: number; ranges: readonly { start: number; end: number }[] }[] = []
  source.on('window', (slice) => slices.push(slice))
  const rows = (await source.toArray()) as Row[]
  t.strictSame(
    rows.map(({ n }) => n),
    count(0, 1005),
  )
  for (const { ranges } of slices) {
    t.ok(ranges.length <= 2)
    t.ok(ranges.reduce((sum, { start, end }) => sum + end - start, 0) < 2300)
  }
  t.ok(slices.length >= 6)
  await source.commit(slices[0]!.id).then(
    () => t.pass('by id'),
    () => t.fail('a slice is committed by its id'),
  )
  const left = await trial.read()
  t.strictSame(left, count(slices[0]!.rows, 1005))
})

t.test('rotation by rename', async (t) => {
  const trial = new Trial(t)
  trial.append('app.log', 3)
  t.strictSame(await trial.read(), [0, 1, 2])
  trial.append('app.log', 1)
  renameSync(trial.path('app.log'), trial.path('app.log.1'))
  trial.append('app.log', 2)
  trial.settle('app.log.1')
  t.strictSame(await trial.read(), [3, 4, 5], 'the rest of the old file, and the new one')
  renameSync(trial.path('app.log.1'), trial.path('app.log.2'))
  renameSync(trial.path('app.log'), trial.path('app.log.1'))
  t.strictSame(await trial.read(), [], 'names alone are nothing new')
})

t.test('rotation between the look and the reading', async (t) => {
  for (const later of ['{"n":8}\n', `${'{"n":9}\n'.repeat(100)}`, '']) {
    const folder = t.testdir({ 'a.log': '{"n":1}\n{"n":2}\n', 'b.log': '{"n":3}\n{"n":4}\n' })
    const source = new FilesStreamReadable({ path: folder, available_now: true })
    const from = await source.initialOffset()
    const look = await source.planner.latestOffset(new AbortController().signal)
    renameSync(join(folder, 'a.log'), join(folder, 'a.log.1'))
    writeFileSync(join(folder, 'a.log'), later)
    truncateSync(join(folder, 'b.log'), 8)
    const ranges: [string, number][] = []
    for await (const slice of source.planner.slices(from, look))
      for (const { path, end } of slice.ranges) ranges.push([basename(path), end])
    t.strictSame(ranges[0], ['a.log', 16], 'what a look saw is read by its descriptor, under any name')
    t.strictSame(
      ranges.filter(([name]) => name === 'b.log'),
      [['b.log', 8]],
      'and nothing that was cut since',
    )
    source.destroy()
    const rows = await new FilesStreamReadable({ path: folder, available_now: true }).toArray()
    t.equal(rows.length, 3 + later.split('\n').length - 1, 'a new look reads what is there')
  }
})

t.test('rotation by copy and truncation', async (t) => {
  const trial = new Trial(t)
  trial.append('app.log', 3)
  t.strictSame(await trial.read(), [0, 1, 2])
  trial.append('app.log', 2)
  copyFileSync(trial.path('app.log'), trial.path('app.log.1'))
  truncateSync(trial.path('app.log'))
  t.strictSame(await trial.read(), [3, 4], 'what the copy has more than was read')
  trial.append('app.log', 1)
  t.strictSame(await trial.read(), [5])
  copyFileSync(trial.path('app.log'), trial.path('app.log.2'))
  truncateSync(trial.path('app.log'))
  trial.append('app.log', 30)
  t.strictSame(await trial.read(), count(6, 36), 'longer than before by the next look')
})

t.test('a copy beside its living original is a file of its own', async (t) => {
  const trial = new Trial(t)
  trial.append('a.log', 500)
  t.equal((await trial.read()).length, 500)
  copyFileSync(trial.path('a.log'), trial.path('b.log'))
  const copies: unknown[] = []
  t.strictSame(await trial.read({}, true, copies), count(0, 500))
  t.strictSame(copies, [{ path: trial.path('b.log'), original: trial.path('a.log'), offset: 0 }], 'and told')
  appendFileSync(trial.path('b.log'), '{"n":"b"}\n')
  t.strictSame(await trial.read(), ['b'])
  writeFileSync(
    trial.path('d.log'),
    readFileSync(trial.path('a.log'), 'utf8')
      .slice(0, 2000)
      .replace(/\n[^\n]*$/, '\n'),
  )
  const short = await trial.read()
  t.strictSame(short, count(0, short.length), 'also one that is shorter than what was read')
  const other = new Trial(t)
  other.append('a.log', 500)
  await other.read({ fingerprint_bytes: 0 })
  copyFileSync(other.path('a.log'), other.path('b.log'))
  truncateSync(other.path('a.log'))
  t.equal((await other.read({ fingerprint_bytes: 0 })).length, 500, 'and any copy, if content does not count')
})

t.test('packed after the rotation', async (t) => {
  const trial = new Trial(t)
  trial.append('app.log', 3)
  t.strictSame(await trial.read(), [0, 1, 2])
  trial.append('app.log', 1)
  writeFileSync(trial.path('app.log.gz'), gzipSync(readFileSync(trial.path('app.log'))))
  rmSync(trial.path('app.log'))
  const copies: unknown[] = []
  t.strictSame(await trial.read({}, true, copies), [3], 'rows that were read are passed over')
  t.strictSame(copies, [{ path: trial.path('app.log.gz'), original: trial.path('app.log'), offset: 24 }])
  t.strictSame(await trial.read(), [])
  trial.append('new.log', 400)
  t.equal((await trial.read()).length, 400)
  writeFileSync(trial.path('new.log.gz'), gzipSync(readFileSync(trial.path('new.log'))))
  t.equal((await trial.read()).length, 400, 'both there: the packed one is a file of its own')
  appendFileSync(trial.path('new.log.gz'), gzipSync('{"n":"more"}\n'))
  t.strictSame(await trial.read(), ['more'], 'a packed file that grows')
})

t.test('a file whose inode is taken by another', async (t) => {
  const trial = new Trial(t)
  trial.append('a.log', 2)
  t.strictSame(await trial.read(), [0, 1])
  writeFileSync(trial.path('a.log'), '{"n":"x"}\n{"n":"y"}\n')
  t.strictSame(await trial.read(), ['x', 'y'], 'overwritten in place, longer')
  writeFileSync(trial.path('a.log'), '{"n":"z"}\n')
  t.strictSame(await trial.read(), ['z'], 'and shorter')
  writeFileSync(trial.path('a.log'), '{"n":"w"}\n')
  utimesSync(trial.path('a.log'), 10, 10)
  t.strictSame(await trial.read(), ['w'], 'and as long')
})

t.test('a last line without its end', async (t) => {
  const trial = new Trial(t)
  appendFileSync(trial.path('a.log'), '{"n":0}\n{"n":1')
  t.strictSame(await trial.read(), [0])
  t.strictSame(await trial.read(), [])
  appendFileSync(trial.path('a.log'), '1}\n{"n":2}')
  t.strictSame(await trial.read(), [11, 2], 'released at the end of what is there, if it can be read')
  t.strictSame(await trial.read(), [])
  appendFileSync(trial.path('a.log'), '\n{"n":3}\n')
  t.strictSame(await trial.read(), [3])
  writeFileSync(trial.path('b.log'), '{"n":4}')
  t.strictSame(await trial.read({ settling_delay_seconds: 0 }), [4])
})

t.test('packed files that are still written', async (t) => {
  const trial = new Trial(t)
  const lines = count(0, 20_000)
    .map((n) => `{"n":${n}}\n`)
    .join('')
  const packed = gzipSync(lines)
  writeFileSync(trial.path('a.gz'), packed.subarray(0, packed.length / 2))
  const first = await trial.read()
  t.strictSame(first, count(0, first.length), 'whole lines of what is there')
  writeFileSync(trial.path('a.gz'), packed)
  t.strictSame(await trial.read(), count(first.length, 20_000))
  writeFileSync(trial.path('b.gz'), packed.subarray(0, 1000))
  t.strictSame(await trial.read(), [], 'one of which little can be unpacked is waited for')
  await t.rejects(
    trial.read({ settling_delay_seconds: 0.1 }),
    { code: 'ERR_FILE', path: trial.path('b.gz'), message: /is cut off/ },
    'one that stays so',
  )
  const source = trial.source({ ignoreCorruptFiles: true, settling_delay_seconds: 0.1 })
  const told: string[] = []
  source.on('skipped', ({ path }) => told.push(path))
  await source.toArray()
  t.strictSame(told, [trial.path('b.gz')])
})

t.test('other formats, slice by slice', async (t) => {
  const records = count(0, 3000).map((n) => ({ n, text: `a,"b"\n${n}` }))
  const quoted = records.map(({ n, text }) => `${n},"${text.replaceAll('"', '""')}"\n`).join('')
  const forms = {
    csv: `n,text\n${quoted}`,
    json: JSON.stringify(records, undefined, 1),
    text: records.map(({ n }) => `line ${n}\r\n`).join(''),
    utf16: Buffer.from(`\ufeff${records.map((row) => `${JSON.stringify(row)}\n`).join('')}`, 'utf16le'),
  }
  for (const [name, content] of Object.entries(forms)) {
    const trial = new Trial(t)
    writeFileSync(trial.path('file'), content)
    const format = name === 'utf16' ? 'ndjson' : name
    const source = trial.source({
      format,
      maxBytesPerTrigger: 10_000,
      ...(name === 'csv' && { inferSchema: true }),
    } as Options)
    let slices = 0
    source.on('window', () => slices++)
    const rows = await source.toArray()
    t.strictSame(rows, name === 'text' ? records.map(({ n }) => ({ value: `line ${n}` })) : records, name)
    t.ok(slices > 3, `${name}: ${slices} slices`)
    // After a crash the text is read again.
    const again = await trial.source({ format, maxBytesPerTrigger: 10_000 } as Options).toArray()
    t.strictSame(again, rows, `${name}, again`)
  }
  const trial = new Trial(t)
  writeFileSync(trial.path('a.json'), '[{"n":1},{"n":2}')
  t.strictSame(await trial.read({ format: 'json' }), [1, 2])
  appendFileSync(trial.path('a.json'), ',{"n":3}]')
  t.strictSame(await trial.read({ format: 'json' }), [3], 'a document that is still written')
})

t.test('a planned slice is what it was, or an error that says what changed', async (t) => {
  const planned = async (t: Test): Promise<Trial> => {
    const trial = new Trial(t)
    trial.append('a.log', 3)
    t.strictSame(await trial.read({}, false), [0, 1, 2])
    return trial
  }
  await t.test('moved', async (t) => {
    const trial = await planned(t)
    renameSync(trial.path('a.log'), trial.path('b.log'))
    t.strictSame(await trial.read(), [0, 1, 2])
  })
  await t.test('copied and cut', async (t) => {
    const trial = await planned(t)
    copyFileSync(trial.path('a.log'), trial.path('a.log.1'))
    truncateSync(trial.path('a.log'))
    trial.append('a.log', 1)
    t.strictSame(await trial.read(), [0, 1, 2, 3])
  })
  await t.test('packed', async (t) => {
    const trial = await planned(t)
    writeFileSync(trial.path('a.log.gz'), gzipSync(readFileSync(trial.path('a.log'))))
    rmSync(trial.path('a.log'))
    t.strictSame(await trial.read(), [0, 1, 2])
    t.strictSame(await trial.read(), [])
  })
  for (const [what, change, message] of [
    ['gone', (path: string) => rmSync(path), /is not there any more: bytes 0 to 24 of it were planned/],
    ['cut', (path: string) => truncateSync(path, 10), /has only 10 bytes now/],
    [
      'overwritten',
      (path: string) => writeFileSync(path, '{"n":7}\n'.repeat(9)),
      /begins with other content now/,
    ],
  ] as const) {
    await t.test(what, async (t) => {
      const trial = await planned(t)
      change(trial.path('a.log'))
      await t.rejects(trial.read({ ignoreMissingFiles: false }), {
        code: 'ERR_FILE',
        path: trial.path('a.log'),
        message,
      })
      const source = trial.source()
      const told: unknown[] = []
      source.on('skipped', (event) => told.push(event))
      const rows = (await source.toArray()) as Row[]
      t.equal(
        rows.some(({ n }) => n === 1 || n === 2),
        false,
        'passed over',
      )
      t.match(told, [{ path: trial.path('a.log'), problem: message }])
    })
  }
  await t.test('changed behind its begin', async (t) => {
    const trial = new Trial(t)
    trial.append('a.log', 500)
    await trial.read({}, false)
    const text = readFileSync(trial.path('a.log'), 'utf8')
    writeFileSync(trial.path('a.log'), text.replace('{"n":300}', '{"n":999}'))
    await t.rejects(trial.read({ ignoreMissingFiles: false }), {
      code: 'ERR_FILE',
      message: /has other content there now/,
    })
  })
})

t.test('the checkpoint forgets files that are gone', async (t) => {
  const trial = new Trial(t)
  for (let round = 0; round < 8; round++) {
    trial.append(`a${round}.log`, 2)
    if (round > 0) rmSync(trial.path(`a${round - 1}.log`))
    const source = trial.source()
    t.equal((await source.toArray()).length, 2)
    await source.commit()
  }
  t.equal(trial.states, 1)
  rmSync(trial.logs, { recursive: true })
  await trial.read()
  mkdirSync(trial.logs)
  t.equal(trial.states, 1, 'a folder that is not there is no reason to forget')
})

t.test('continuous: rows come as they are written, until it is stopped', async (t) => {
  const trial = new Trial(t)
  const source = trial.source({ available_now: false, poll_interval_seconds: 0.02 })
  const waiting = once(source, 'waiting')
  const seen: unknown[] = []
  source.on('data', (row: Row) => seen.push(row['n']))
  t.match(await waiting, [{ path: [trial.logs] }], 'a folder without files is waited for, and told')
  for (let round = 0; round < 5; round++) {
    const window = once(source, 'window')
    trial.append(round < 3 ? 'a.log' : 'b.log', 2)
    await window
  }
  const missing = once(source, 'idle')
  rmSync(trial.path('a.log'))
  await missing
  const ended = once(source, 'end')
  source.stop()
  await ended
  await source.commit()
  t.strictSame(seen, count(0, 10))
  t.strictSame(await trial.read(), [])
})

t.test('a change is seen by watching, long before the next look', async (t) => {
  const trial = new Trial(t)
  const source = trial.source({ available_now: false, poll_interval_seconds: 3600 })
  source.resume()
  await once(source, 'idle')
  trial.append('a.log')
  await once(source, 'window')
  trial.append('a.log')
  await once(source, 'window')
  source.destroy()
  await once(source, 'close')
})

t.test('begins at the end of what is there', async (t) => {
  const trial = new Trial(t)
  trial.append('a.log', 3)
  appendFileSync(trial.path('a.log'), '{"n":')
  t.strictSame(await trial.read({ start_at: 'end' }), [])
  appendFileSync(trial.path('a.log'), '9}\n')
  trial.append('b.log', 1)
  trial.settle('b.log')
  t.strictSame(await trial.read({ start_at: 'end' }), [3, 9])
})

t.test('two streams on one checkpoint, and another source', async (t) => {
  const trial = new Trial(t)
  trial.append('a.log', 1)
  const first = trial.source({ available_now: false })
  first.resume()
  await once(first, 'window')
  await t.rejects(trial.read(), { code: 'ERR_CHECKPOINT', message: /is in use|held|process/ })
  first.destroy()
  await once(first, 'close')
  await t.rejects(trial.read({ format: 'text' }), {
    code: 'ERR_CHECKPOINT',
    message:
      /belongs to another query: its format.*: a new one reads every file from its start, unless start_at is "end"$/,
  })
  // Options that this source does not have are no advice.
  const state = join(trial.checkpoint, 'checkpoint-0000000001.json')
  writeFileSync(state, readFileSync(state, 'utf8').slice(0, 20))
  const damaged = (await trial.read().catch((error) => error)) as Error
  t.match(damaged, {
    code: 'ERR_CHECKPOINT',
    message: /Restore it, or start a new checkpoint: a new one reads every/,
  })
  t.notMatch(damaged.message, /start_time/)
  t.ok(statSync(trial.path('a.log')))
})

t.test('a file that can not be read ends the stream, and says which', async (t) => {
  const trial = new Trial(t)
  trial.append('a.log', 1)
  writeFileSync(trial.path('core'), Buffer.alloc(100))
  await t.rejects(trial.read(), { code: 'ERR_FILE', path: trial.path('core'), message: /binary/ })
  await t.rejects(
    trial.read(
      {
        path: trial.path('a.log'),
        checkpointLocation: undefined,
        mode: 'failfast',
        format: 'csv',
        schema: { n: 'long' },
        header: false,
      },
      false,
    ),
    { code: 'ERR_RECORD' },
  )
  const wide = new Trial(t)
  writeFileSync(wide.path('a.log'), 'x'.repeat(100_000))
  await t.rejects(wide.read({ max_line_bytes: 1000 }), { code: 'ERR_FILE', message: /no end of a record/ })
})
