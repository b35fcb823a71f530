import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { Writable } from 'node:stream'
import * as zlib from 'node:zlib'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { FilesReadable } from '../../../lib/connectors/files/files-readable.ts'
import type { FilesReadableOptions } from '../../../lib/connectors/files/options.ts'
import { serialize } from '../../../lib/core/json.ts'
import type { EitherSpelling } from '../../../lib/core/spelling.ts'
import { scaled } from '../../fixtures/scale.ts'

type Row = Record<string, unknown>
type Options = Partial<EitherSpelling<FilesReadableOptions>>

async function read(path: string | readonly string[], options: Options = {}): Promise<Row[]> {
  return (await new FilesReadable({ path, ...options }).toArray()) as Row[]
}

let files = 0

/** A file in a folder of its own, with this content. */
function file(t: Test, content: string | Buffer, name = 'file.ndjson'): string {
  // Made by tap, it is removed at the end.
  if (!existsSync(t.testdirName)) t.testdir()
  const path = join(t.testdirName, `${++files}`, name)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, content)
  return path
}

const three = [{ n: 1 }, { n: 2 }, { n: 3 }]
const lines = '{"n":1}\n{"n":2}\n{"n":3}\n'

t.test('which files are read', async (t) => {
  const folder = t.testdir({
    'b.ndjson': '{"f":"b"}\n',
    'a.ndjson': '{"f":"a"}\n',
    'c.log': '{"f":"c"}\n',
    _temporary: '{"f":"_"}\n',
    '.hidden': '{"f":"."}\n',
    empty: {},
    sub: { 'd.ndjson': '{"f":"d"}\n', deep: { 'e.ndjson': '{"f":"e"}\n' } },
  })
  const at = (name: string, second: number) => utimesSync(join(folder, name), second, second)
  for (const [index, name] of [
    'a.ndjson',
    'b.ndjson',
    'c.log',
    'sub/d.ndjson',
    'sub/deep/e.ndjson',
  ].entries()) {
    at(name, 1_700_000_000 + index)
  }
  const names = async (path: string | string[], options: Options = {}) =>
    (await read(path, options)).map(({ f }) => f).join('')

  t.equal(await names(folder), 'abc', 'a folder: its files, in the order of their last change')
  t.equal(await names(folder, { recursiveFileLookup: true }), 'abcde')
  t.equal(await names(folder, { recursive_file_lookup: 'true', pathGlobFilter: '*.ndjson' }), 'abde')
  t.equal(await names(join(folder, 'a.ndjson')), 'a')
  t.equal(
    await names([join(folder, 'sub'), join(folder, 'a.ndjson'), join(folder, 'a.ndjson')]),
    'ad',
    'each once',
  )
  t.equal(await names(join(folder, '*.ndjson')), 'ab')
  t.equal(await names(join(folder, '**/*.ndjson')), 'abde')
  t.equal(await names(join(folder, '*/*.ndjson')), 'd')
  t.equal(await names(join(folder, '{sub,empty}/**')), 'de')
  t.equal(await names(join(folder, '[ac].*')), 'ac')
  t.equal(await names(join(folder, '_*')), '_', 'a hidden file that is named')
  at('a.ndjson', 1_800_000_000)
  t.equal(await names(folder), 'bca', 'a name says nothing about the order')
  t.equal(await names(folder, { modifiedAfter: new Date(1_700_000_001_000) }), 'ca')
  t.equal(await names(folder, { modifiedBefore: '2023-11-14T22:13:22Z' }), 'b')

  symlinkSync(folder, join(folder, 'sub', 'circle'))
  symlinkSync(join(folder, 'c.log'), join(folder, 'sub', 'link.ndjson'))
  t.equal((await names(folder, { recursiveFileLookup: true })).includes('e'), true, 'a circle of links ends')
})

t.test('names with the characters of a pattern', async (t) => {
  const folder = t.testdir({ 'a[1].ndjson': lines })
  t.strictSame(await read(join(folder, 'a[1].ndjson')), three)
})

t.test('how text is packed and encoded', async (t) => {
  const text = '{"n":1,"ä":"ü€𝄞"}\r\n\r\n{"n":2}\r\n{"n":3}'
  const rows = [{ n: 1, ä: 'ü€𝄞' }, { n: 2 }, { n: 3 }]
  const utf16be = Buffer.from(`\ufeff${text}`, 'utf16le').swap16()
  const forms: Record<string, Buffer> = {
    'plain.ndjson': Buffer.from(text),
    'mark.ndjson': Buffer.from(`\ufeff${text}`),
    'utf16le.ndjson': Buffer.from(`\ufeff${text}`, 'utf16le'),
    'utf16be.ndjson': utf16be,
    'gzip.ndjson.gz': zlib.gzipSync(text),
    'gzip.without.its.name': zlib.gzipSync(text),
    'parts.gz': Buffer.concat([zlib.gzipSync(text.slice(0, 30)), zlib.gzipSync(text.slice(30))]),
    'utf16.gz': zlib.gzipSync(utf16be),
    'brotli.ndjson.br': zlib.brotliCompressSync(text),
    'not.packed.gz': Buffer.from(text),
  }
  const { zstdCompressSync } = zlib as unknown as { zstdCompressSync?: (text: string) => Buffer }
  if (zstdCompressSync) forms['zstd.zst'] = zstdCompressSync(text)
  for (const [name, bytes] of Object.entries(forms)) {
    t.strictSame(await read(file(t, bytes, name)), rows, name)
  }
  t.strictSame(await read(file(t, '')), [], 'an empty file has no rows')
  t.strictSame(await read(file(t, zlib.gzipSync(''), 'e.gz')), [], 'nor has an empty archive')
  if (!zstdCompressSync) {
    const zstd = file(t, Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, 0]), 'a.zst')
    await t.rejects(read(zstd), { code: 'ERR_FILE', message: /zstd.*22\.15/ })
  }
})

t.test('any rows, cut anywhere, come as they were written', async (t) => {
  const row = fc.dictionary(
    fc.string(),
    fc.oneof(
      fc.string(),
      fc.bigInt(-(2n ** 64n), 2n ** 64n),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
    ),
  )
  await fc.assert(
    fc.asyncProperty(
      fc.array(row, { maxLength: 30 }),
      fc.constantFrom('\n', '\r\n', '\n\n'),
      async (rows, end) => {
        const texts = rows.map((each) => serialize(each))
        const found = await read(file(t, texts.join(end)))
        t.strictSame(
          found.map((each) => serialize(each)),
          texts,
        )
      },
    ),
    { numRuns: scaled(15, 50) },
  )
  const long = Array.from({ length: 20_000 }, (_, n) => ({ n, pad: 'ä'.repeat(n % 97) }))
  const found = await read(file(t, long.map((each) => `${JSON.stringify(each)}\n`).join('')))
  t.strictSame(found, long, 'over many blocks')
})

t.test('text: a row each line', async (t) => {
  const syslog = '<34>Oct 11 22:14:15 host su: failed\n\n  indented \r\nlast'
  t.strictSame(await read(file(t, syslog), { format: 'text' }), [
    { value: '<34>Oct 11 22:14:15 host su: failed' },
    { value: '  indented ' },
    { value: 'last' },
  ])
})

t.test('json: one document', async (t) => {
  const json = (text: string, options: Options = {}) =>
    read(file(t, text, 'a.json'), { format: 'json', ...options })
  t.strictSame(await json('[{"n":1},{"n":2},{"n":3}]'), three)
  t.strictSame(await json('\ufeff [\n {"n":1} ,\n\t{"n":2},{"n":3}\n]\n'), three)
  t.strictSame(await json('{"a":{"b":["]}",{}]},"big":12345678901234567890}\n'), [
    { a: { b: [']}', {}] }, big: 12_345_678_901_234_567_890n },
  ])
  t.strictSame(await json('[]'), [])
  t.strictSame(await json(' \n'), [])
  t.strictSame(await json('{"n":1}\n{"n":2}\n{"n":3}'), three, 'objects after one another')
  const many = Array.from({ length: 30_000 }, (_, n) => ({ n, text: '\\"]}'.repeat(n % 9) }))
  t.strictSame(await json(JSON.stringify(many, undefined, 1)), many, 'over many blocks')

  await t.rejects(json('[{"n":1},\n{"n":2'), {
    code: 'ERR_RECORD',
    line: 2,
    column: 7,
    message: /ends in the middle of an object/,
  })
  await t.rejects(json('[{"n":1}'), { code: 'ERR_RECORD', message: /the array does not end/ })
  await t.rejects(json('[{"n":1} {"n":2}]'), { code: 'ERR_RECORD', message: /not JSON/ })
  await t.rejects(json('[{"n":1},5]'), { code: 'ERR_RECORD', message: /not an object/, column: 1 })
  await t.rejects(json('hello'), { code: 'ERR_RECORD', line: 1, column: 1 })
  t.strictSame(await json('[{"n":1},{n:2},{"n":3}]', { mode: 'dropmalformed' }), [{ n: 1 }, { n: 3 }])
})

t.test('csv', async (t) => {
  const csv = (text: string, options: Options = {}) =>
    read(file(t, text, 'a.csv'), { format: 'csv', ...options })
  t.strictSame(await csv('a,b\r\n1,"x, ""y""\r\nz"\r\n\r\n2,\r\n'), [
    { a: '1', b: 'x, "y"\r\nz' },
    { a: '2', b: null },
  ])
  t.strictSame(await csv('a,b\n1,2', { header: false }), [
    { _c0: 'a', _c1: 'b' },
    { _c0: '1', _c1: '2' },
  ])
  t.strictSame(await csv('1;x\n', { header: false, sep: ';', schema: { n: 'long', s: 'string' } }), [
    { n: 1, s: 'x' },
  ])
  t.strictSame(await csv('a\tb\n1\t2\n', { sep: '\\t' }), [{ a: '1', b: '2' }])
  t.strictSame(await csv('a,a,\n1,2,3\n'), [{ a: '1', a_1: '2', _c2: '3' }])
  t.strictSame(await csv('a,b\n-,x\n', { nullValue: '-' }), [{ a: null, b: 'x' }])
  t.strictSame(await csv("a,b\n'x,y',\"\n", { quote: "'", escape: "'" }), [{ a: 'x,y', b: '"' }])
  t.strictSame(await csv('a,b\n"x\\"y",1\n', { escape: '\\' }), [{ a: 'x"y', b: '1' }])
  const [odd] = await csv('__proto__,b\n1,2\n')
  t.equal(Object.hasOwn(odd!, '__proto__'), true)
  t.strictSame(await csv('\ufeffid,zip,big,f,ok\n7,007,9007199254740993,1.5,true\n', { inferSchema: true }), [
    { id: 7, zip: '007', big: 9_007_199_254_740_993n, f: 1.5, ok: true },
  ])
  t.strictSame(
    await csv('at,n\n2024-05-01T00:00:00Z,12345678901234567\n', {
      schema: { at: 'datetime', n: 'long', more: 'real' },
    }),
    [{ at: new Date('2024-05-01T00:00:00Z'), n: 12_345_678_901_234_567n, more: null }],
  )
  const many = Array.from({ length: 30_000 }, (_, n) => ({
    n: String(n),
    text: n % 3 === 0 ? `a,"\n${n}` : `b${n}`,
  }))
  const quoted = many.map(({ n, text }) => `${n},"${text.replaceAll('"', '""')}"\n`).join('')
  t.strictSame(await csv(`n,text\n${quoted}`), many, 'over many blocks')

  await t.rejects(csv('a,b\n1,2\n1,2,3\n'), {
    code: 'ERR_RECORD',
    line: 3,
    message: /has 3 fields, where the file has 2 columns/,
  })
  t.strictSame(await csv('a,b\n1,2\n1,2,3\n4\n5,"x"y\n6,7\n', { mode: 'permissive' }), [
    { a: '1', b: '2' },
    { _corrupt_record: '1,2,3' },
    { _corrupt_record: '4' },
    { _corrupt_record: '5,"x"y' },
    { a: '6', b: '7' },
  ])
})

t.test('records that can not be read', async (t) => {
  const text = '{"n":1}\n{"n":\r\n[2]\n{"n":2}\n"x"\n{"n":3}\n'
  const path = file(t, text)

  await t.test('failfast names file, line and column', async (t) => {
    const error = await read(path).catch((each) => each)
    t.match(error, {
      code: 'ERR_RECORD',
      name: 'RecordError',
      path,
      line: 2,
      column: 6,
      offset: 8,
      connector: 'files',
    })
    t.match(error.message, `${path}, line 2, column 6: is not JSON: it ends in the middle of an object`)
    const packed = file(t, zlib.gzipSync(`{"n":1}\n\n${'{"n":2}\n'.repeat(40_000)}{"n"x}\n`), 'a.gz')
    await t.rejects(read(packed), { code: 'ERR_RECORD', line: 40_003, column: 5 })
  })

  await t.test('dropmalformed leaves them out, counted and told', async (t) => {
    const source = new FilesReadable({ path, mode: 'dropmalformed' })
    const told: unknown[] = []
    source.on('malformed', (event) => told.push(event))
    t.strictSame(await source.toArray(), three)
    t.strictSame(told, [
      { path, offset: 8, column: 6, problem: 'is not JSON: it ends in the middle of an object' },
      { path, offset: 15, column: 1, problem: 'is JSON, but not an object' },
      { path, offset: 27, column: 1, problem: 'is JSON, but not an object' },
    ])
    t.equal(source.malformed, 3)
  })

  await t.test('permissive puts their text into a column', async (t) => {
    t.strictSame(await read(path, { mode: 'PERMISSIVE' as 'permissive', columnNameOfCorruptRecord: 'bad' }), [
      { n: 1 },
      { bad: '{"n":' },
      { bad: '[2]' },
      { n: 2 },
      { bad: '"x"' },
      { n: 3 },
    ])
  })

  await t.test('a dead letter takes them, with the reason', async (t) => {
    const letters: { row: unknown; connector: string; reason: { code: string; text: string } }[] = []
    const dead_letter = new Writable({
      objectMode: true,
      write(letter, _encoding, callback) {
        letters.push(letter)
        setImmediate(callback)
      },
    })
    t.strictSame(await read(path, { dead_letter }), three)
    t.strictSame(
      letters.map(({ row }) => row),
      ['{"n":', '[2]', '"x"'],
    )
    t.match(letters[0], {
      connector: 'files',
      reason: { code: 'ERR_RECORD', text: `${path}, byte 8, column 6: is not JSON` },
    })
    const broken = new Writable({
      objectMode: true,
      write: (_row, _encoding, callback) => callback(new Error('full')),
    })
    await t.rejects(read(path, { dead_letter: broken }), { message: /full/ })
  })

  await t.test('bytes that are no UTF-8', async (t) => {
    const bad = file(
      t,
      Buffer.concat([Buffer.from('{"n":1}\n{"n":"'), Buffer.from([0xff]), Buffer.from('"}\n{"n":3}\n')]),
    )
    await t.rejects(read(bad), { code: 'ERR_RECORD', line: 2, column: 7, message: /not UTF-8/ })
    t.strictSame(await read(bad, { mode: 'dropmalformed' }), [{ n: 1 }, { n: 3 }])
  })

  await t.test('lines over the limit', async (t) => {
    const long = `{"n":1}\n{"pad":"${'x'.repeat(300_000)}"}\n{"n":2}\n{"pad":"${'x'.repeat(200)}"}\n{"n":3}`
    const bad = file(t, long)
    await t.rejects(read(bad, { max_line_bytes: 100 }), {
      code: 'ERR_RECORD',
      line: 2,
      message: /is longer than max_line_bytes \(100\)/,
    })
    t.strictSame(await read(bad, { max_line_bytes: 100, mode: 'dropmalformed' }), three)
    const permissive = await read(bad, { max_line_bytes: 100, mode: 'permissive' })
    t.equal((permissive[1]!['_corrupt_record'] as string).length, 100)
    t.equal((await read(bad)).length, 5, 'and within it')
  })
})

t.test('schema', async (t) => {
  const path = file(t, '{"n":"1","at":"2024-05-01T00:00:00.1234567Z","x":true}\n{"n":"one"}\n')
  const schema = { n: 'long', at: 'datetime' } as const
  await t.rejects(read(path, { schema }), {
    code: 'ERR_RECORD',
    line: 2,
    column: 2,
    message: /column "n" is no long/,
  })
  t.strictSame(await read(path, { schema, mode: 'permissive', datetime: 'string' }), [
    { n: 1, at: '2024-05-01T00:00:00.1234567Z' },
    { n: null, at: null, _corrupt_record: '{"n":"one"}' },
  ])
  const standard = {
    '~standard': {
      version: 1 as const,
      vendor: 'test',
      validate: async (value: unknown) => {
        const n = Number((value as Row)['n'])
        return Number.isNaN(n)
          ? { issues: [{ message: 'expected a number', path: ['n'] }] }
          : { value: { n } }
      },
    },
  }
  t.strictSame(await read(path, { schema: standard, mode: 'dropmalformed' }), [{ n: 1 }])
  await t.rejects(read(path, { schema: standard }), {
    message: /does not fit the schema: n: expected a number/,
  })
})

t.test("columns with the file's path, places and time", async (t) => {
  const path = file(t, '{"ä":1}\r\n\n{"n":2}\n')
  utimesSync(path, 1_700_000_000, 1_700_000_000)
  t.strictSame(
    await read(path, {
      file_path_column: 'path',
      file_offset_column: 'offset',
      file_modification_time_column: 'time',
    }),
    [
      { ä: 1, path, offset: 0, time: new Date(1_700_000_000_000) },
      { n: 2, path, offset: 11, time: new Date(1_700_000_000_000) },
    ],
  )
  const csv = file(t, 'a\n"x\ny"\nz\n', 'a.csv')
  t.strictSame(await read(csv, { format: 'csv', file_offset_column: 'at' }), [
    { a: 'x\ny', at: 2 },
    { a: 'z', at: 8 },
  ])
})

t.test('files that can not be read', async (t) => {
  const folder = t.testdir({ 'a.ndjson': lines, none: {} })
  await t.rejects(read(join(folder, 'b.ndjson')), {
    code: 'ERR_FILE',
    path: join(folder, 'b.ndjson'),
    message: /is not there/,
  })
  await t.rejects(read(join(folder, 'a.ndjson', 'b')), { code: 'ERR_FILE', message: /is not there/ })
  await t.rejects(read(join(folder, 'none')), { code: 'ERR_FILE', message: /nothing matches/ })
  await t.rejects(read(join(folder, '*.log')), { code: 'ERR_FILE', message: /nothing matches/ })
  await t.rejects(read(join(folder, 'nowhere/*.log')), { code: 'ERR_FILE', message: /is not there/ })
  t.strictSame(await read(join(folder, '*.log'), { ignoreMissingFiles: true }), [])

  const binary = file(t, Buffer.from([0x7f, 0x45, 0x4c, 0x46, 0, 1, 2, 10]), 'program')
  await t.rejects(read(binary, { mode: 'dropmalformed' }), {
    code: 'ERR_FILE',
    message: /looks like a binary file/,
  })

  const whole = zlib.gzipSync('{"n":1}\n'.repeat(50_000), { level: 0 })
  const cut = file(t, whole.subarray(0, whole.length - 100_000), 'cut.gz')
  const source = new FilesReadable({ path: cut })
  let rows = 0
  source.on('data', () => rows++)
  const [error] = await Promise.all([new Promise<Error>((resolve) => source.once('error', resolve))])
  t.match(error, { code: 'ERR_FILE', path: cut, message: /is cut off: its gzip data ends early/ })
  const told: unknown[] = []
  const passing = new FilesReadable({ path: [cut, binary], ignoreCorruptFiles: true })
  passing.on('skipped', ({ path }) => told.push(path))
  t.ok((await passing.toArray()).length > 30_000, 'rows before the cut are given out')
  t.strictSame(told.sort(), [cut, binary].sort())
  const damaged = Buffer.from(zlib.gzipSync(lines))
  damaged[damaged.length - 6]! ^= 0xff
  await t.rejects(read(file(t, damaged, 'damaged.gz')), { code: 'ERR_FILE', message: /gzip data is damaged/ })

  if (process.getuid?.() !== 0) {
    const closed = file(t, lines, 'closed.ndjson')
    chmodSync(closed, 0)
    await t.rejects(read(closed), { code: 'ERR_FILE', message: /may not be read by this user/ })
  }
  if (process.platform !== 'win32') {
    const pipe = join(folder, 'pipe')
    execFileSync('mkfifo', [pipe])
    await t.rejects(read(pipe), { code: 'ERR_FILE', message: /neither a file nor a folder/ })
  }
})

t.test('wrong options are all named at once', async (t) => {
  const wrong = (options: object) => {
    try {
      new FilesReadable(options as never)
      return []
    } catch (error) {
      return (error as { problems: string[] }).problems
    }
  }
  t.strictSame(wrong({ path: '', format: 'xml', max_line_bytes: 0, paths: 'x' }), [
    'path: expected a path, or a list of paths, got ""',
    'format: expected one of "ndjson", "json", "csv", "text", "zeek", got "xml"',
    'max_line_bytes: expected an integer of 1 or more, got 0',
    'unknown option "paths"; did you mean "path"?',
  ])
  t.strictSame(wrong({ path: 'a', sep: ';', columnNameOfCorruptRecord: 'x' }), [
    'sep: is for format "csv" only',
    'columnNameOfCorruptRecord: needs mode "permissive"',
  ])
  t.match(wrong({ path: 'a', modifiedAfter: '2024-01-02', modifiedBefore: '2024-01-01' }), [
    /modifiedBefore: is not after/,
  ])
  t.match(wrong({ path: 'a', dead_letter: new Writable() }), [/object-mode/])
})

t.test('it ends early without a trace', async (t) => {
  const path = file(t, '{"n":1}\n'.repeat(100_000))
  for await (const row of new FilesReadable({ path })) {
    t.strictSame(row, { n: 1 })
    break
  }
  const source = new FilesReadable({ path, signal: AbortSignal.timeout(0) })
  await t.rejects(source.toArray(), { name: 'AbortError' })
  const health = await new FilesReadable({ path }).healthy()
  t.match(health, { healthy: true, text: '1 file found' })
})
