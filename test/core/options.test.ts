import { PassThrough, Writable } from 'node:stream'
import t from 'tap'
import { type SplunkOptions, SplunkWritable } from '../../lib/connectors/splunk/index.ts'
import type { OptionError } from '../../lib/core/errors.ts'
import { declareOptions, option, otherSpelling } from '../../lib/core/options.ts'

const good = { url: 'https://splunk:8088', token: 'secret-token' }

/** The problems that the Splunk sink finds in options. */
function problems(options: unknown): readonly string[] {
  try {
    new SplunkWritable(options as SplunkOptions).destroy()
    return []
  } catch (error) {
    const { name, code, connector, message, problems } = error as OptionError
    if (name !== 'OptionError' || code !== 'ERR_OPTION' || connector !== 'splunk') throw error
    if (message !== `splunk: ${problems?.join('; ')}`) throw error
    return problems ?? []
  }
}

t.test('what is missing, and what is no object of options', async (t) => {
  const missing = [
    'url: is required (an http or https URL)',
    'token: is required (a string that is not empty)',
  ]
  t.same(problems(undefined), missing)
  t.same(problems({}), missing)
  t.same(problems({ url: undefined, token: undefined }), missing)
  t.same(problems(null), ['expected an object of options, got null'])
  t.same(problems([]), ['expected an object of options, got an array'])
  t.same(problems('https://splunk'), ['expected an object of options, got a string'])
  t.same(problems({ url: good.url }), [missing[1]])
})

t.test('numbers, also as text', async (t) => {
  for (const batch_size of [1, 50, '50', ' 50 ', '5e1', '50.0', Number.MAX_SAFE_INTEGER]) {
    t.same(problems({ ...good, batch_size }), [], String(batch_size))
  }
  for (const [batch_size, shown] of [
    [0, '0'], [-1, '-1'], [1.5, '1.5'], ['abc', '"abc"'], ['', '""'], ['0', '"0"'], ['1.5', '"1.5"'], ['0x10', '"0x10"'],
    [Number.NaN, 'NaN'], [Number.POSITIVE_INFINITY, 'Infinity'], ['Infinity', '"Infinity"'], [1e300, '1e+300'],
    [null, 'null'], [true, 'true'], [5n, '5n'], [[5], 'an array'], [{}, 'an object'],
  ] as const) {
    t.same(problems({ ...good, batch_size }), [`batch_size: expected an integer of 1 or more, or "auto", got ${shown}`])
  } // biome-ignore format: a table
  for (const linger_ms of [0, '0', 0.5, '1.5', 1e12]) t.same(problems({ ...good, linger_ms }), [])
  t.same(problems({ ...good, linger_ms: -1, request_timeout: 0, ack_timeout: 'x' }), [
    'linger_ms: expected a number of 0 or more, got -1',
    'request_timeout: expected a number greater than 0, got 0',
    'ack_timeout: expected a number greater than 0, got "x"',
  ])
  t.same(problems({ ...good, max_retries: '0', initial_backoff: '0.1', max_backoff: 1 }), [])
})

t.test('booleans, also as text in any case', async (t) => {
  for (const ack of [true, false, 'true', 'FALSE', ' True ']) t.same(problems({ ...good, ack }), [])
  for (const ack of [0, 1, 'yes', '', '1', null, 'constructor', '__proto__', 'toString']) {
    t.match(problems({ ...good, ack }), [/^ack: expected true or false, got /])
  }
})

t.test('texts, URLs, choices, columns, streams', async (t) => {
  t.same(problems({ ...good, index: '', source: 5 }), [
    'index: expected a string that is not empty, got ""',
    'source: expected a string that is not empty, got 5',
  ])
  t.same(problems({ ...good, url: new URL(good.url) }), [])
  for (const url of ['splunk:8088', 'splunk', '', 'ftp://splunk', 'file:///etc', 'https://', 5]) {
    t.match(problems({ ...good, url }), [/^url: expected an http or https URL, got /], String(url))
  }
  t.same(problems({ ...good, url: 'htp://ann:password1@host' }), [
    'url: expected an http or https URL, got "htp://[redacted]@host"',
  ])
  t.same(problems({ ...good, compression: 'GZIP', mode: 'Event' }), [])
  t.same(problems({ ...good, compression: 'deflate' }), [
    'compression: expected one of "gzip", "none", got "deflate"',
  ])
  t.same(problems({ ...good, indexed_fields: 'a, b' }), [])
  t.same(problems({ ...good, indexed_fields: ['a', 'b, c'] }), [])
  t.match(problems({ ...good, indexed_fields: [1] }), [/^indexed_fields: expected column names/])
  t.same(problems({ ...good, dead_letter: new PassThrough({ objectMode: true }) }), [])
  for (const dead_letter of [new Writable(), {}, 'file.ndjson', process.stdout]) {
    t.match(problems({ ...good, dead_letter }), [/^dead_letter: expected a Writable in object mode/])
  }
})

t.test('CA certificates', async (t) => {
  const pem = '-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n'
  const folder = t.testdir({ 'ca.pem': pem, 'no.pem': 'nothing' })
  for (const ca of [pem, Buffer.from(pem), `${folder}/ca.pem`]) t.same(problems({ ...good, ca }), [])
  t.match(problems({ ...good, ca: `${folder}/none.pem` }), [
    /^ca: can't read the CA file ".*none.pem" \(ENOENT\)/,
  ])
  t.match(problems({ ...good, ca: `${folder}/no.pem` }), [/^ca: .* holds no PEM certificate/])
  t.match(problems({ ...good, ca: 5 }), [/^ca: expected CA certificates in PEM form/])
})

t.test('secrets are not shown', async (t) => {
  for (const token of [['a-token'], { token: 'a-token' }, 'a-to\nken', 'a token', 'tökén-a-token']) {
    const [problem, ...more] = problems({ ...good, token })
    t.match(problem, /^token: /)
    t.notMatch(problem, /a-to|tök/)
    t.same(more, [])
  }
  t.match(problems({ ...good, proxy: 'ann:password1@proxy' }), [
    'proxy: expected an http, https or socks URL, got a secret string',
  ])
})

t.test('both spellings of a name', async (t) => {
  t.same(
    problems({ ...good, batchSize: '5', timeColumn: 'at', indexed_fields: 'a', removeIndexedFields: 'true' }),
    [],
  )
  t.same(problems({ ...good, batchSize: 0 }), [
    'batch_size: expected an integer of 1 or more, or "auto", got 0',
  ])
  t.same(problems({ ...good, batch_size: 5, batchSize: 5 }), [
    'batch_size: given twice, as "batch_size" and as "batchSize"',
  ])
  t.same(problems({ ...good, batch_size: undefined, batchSize: 5 }), [])
  t.same(problems({ ...good, high_water_mark: 5 }), [])
  for (const [one, other] of [
    ['batch_size', 'batchSize'],
    ['max_in_flight', 'maxInFlight'],
    ['inferSchema', 'infer_schema'],
    ['url', 'url'],
  ] as const) {
    t.equal(otherSpelling(one), other)
    t.equal(otherSpelling(other), one)
  }
})

t.test('unknown names, with the nearest known one', async (t) => {
  for (const [name, nearest] of [
    ['batchsize', 'batch_size'],
    ['bacth_size', 'batch_size'],
    ['BATCH_SIZE', 'batch_size'],
    ['indexedFields_', 'indexed_fields'],
    ['soruce', 'source'],
    ['highwatermark', 'highWaterMark'],
    ['singal', 'signal'],
  ] as const) {
    t.match(
      problems({ ...good, [name]: 1 }),
      [new RegExp(`^unknown option "${name}"; did you mean "${nearest}"\\?$`, 'i')],
      name,
    )
  }
  t.same(problems({ ...good, entirely_different: 1 }), ['unknown option "entirely_different"'])
  t.same(problems({ ...good, constructor: 1 }), ['unknown option "constructor"'])
  t.match(problems(JSON.parse('{"url":"https://s","token":"t","__proto__":1}')), [
    /^unknown option "__proto__"/,
  ])
})

t.test("Node's own options pass through", async (t) => {
  const sink = new SplunkWritable({ ...good, highWaterMark: 3, emitClose: true, captureRejections: true })
  t.equal(sink.writableHighWaterMark, 3)
  sink.destroy()
  t.match(problems({ ...good, signal: 'no', highWaterMark: -1 }), [
    /^signal: expected an AbortSignal/,
    /^highWaterMark: /,
  ])
})

t.test('options together', async (t) => {
  t.same(problems({ ...good, mode: 'raw' }), ['single_event_column: is required with mode "raw"'])
  t.match(
    problems({ ...good, mode: 'raw', single_event_column: 'a', time_column: 'b', indexed_fields: 'c' }),
    [/^time_column: does not apply to mode "raw"/, /^indexed_fields: does not apply to mode "raw"/],
  )
  t.same(problems({ ...good, url: 'https://s/services/collector/raw' }), [
    'url: is the /raw endpoint, which needs mode "raw"',
  ])
  t.same(problems({ ...good, url: 'https://ann:pw@s' }), [
    'url: has a user or password, which would be sent in place of the token',
  ])
  t.same(
    problems({ ...good, remove_indexed_fields: 'true' }),
    [],
    'harmless, and allowed in the PySpark package',
  )
})

t.test('all problems at once', async (t) => {
  const found = problems({
    url: 'no',
    batch_size: 0,
    ack: 'maybe',
    bacth_bytes: 5,
    mode: 'raw',
    channel: 'x',
  })
  t.same(found.map((problem) => problem.split(/[:;]/)[0]), [
    'url', 'batch_size', 'ack', 'unknown option "bacth_bytes"', 'channel', 'token', 'single_event_column',
  ]) // biome-ignore format: a list
})

t.test("a declaration of one's own", async (t) => {
  const declaration = declareOptions(
    'mine',
    {
      name: option.text({ required: true }),
      size: option.integer({ min: 0, default: 7 }),
      kind: option.oneOf(['a', 'b']),
      broken: option.custom<string>(
        {
          form: 'anything',
          parse: () => {
            throw new TypeError('a bug')
          },
        },
        { default: '' },
      ),
    },
    ({ size, kind }, report) => {
      if (size === 0 && kind === 'b') report('kind: "b" needs a size')
    },
    { header_: option.text({ required: true }) },
  )
  t.match(declaration.resolve({ name: 'x', header_A: 'one', header_: undefined }), {
    name: 'x',
    size: 7,
    kind: undefined,
    prefixed: { A: 'one' },
  })
  t.throws(() => declaration.resolve({ name: 'x', header_A: 5 }), {
    message: 'mine: header_A: expected a string that is not empty, got 5',
  })
  t.throws(() => declaration.resolve({ size: 0, kind: 'b' }), {
    message: 'mine: name: is required (a string that is not empty); kind: "b" needs a size',
  })
  t.throws(() => declaration.resolve({ name: 'x', broken: 1 }), TypeError, 'a bug is no wrong option')
})

t.test('space and line ends around any value are taken off', async (t) => {
  const specs = {
    text: option.text(),
    secret: option.text({ secret: true }),
    url: option.url(),
    integer: option.integer({ min: 0 }),
    amount: option.amount(),
    flag: option.flag(),
    choice: option.oneOf(['a', 'b']),
    columns: option.columns(),
    custom: option.custom({ form: 'x', parse: (value) => (value === 'x' ? value : undefined) }), // biome-ignore format: a line
  }
  const header = { header_: option.text({ required: true }) } // biome-ignore format: a line
  const declaration = declareOptions('trial', specs, undefined, header)
  const given = { text: 't t', secret: 's', url: 'https://h/p', integer: '1', amount: '1.5', flag: 'true', choice: 'b', columns: 'a, b', custom: 'x', header_A: 'h' } // biome-ignore format: a line
  const plain = declaration.resolve(given)
  t.equal(plain.text, 't t')
  for (const [before, after] of [[' ', ''], ['', '\n'], ['', '\r\n'], ['\t', ' \n'], ['\u00a0', '\ufeff']] as const) {
    const spaced = Object.fromEntries(Object.entries(given).map(([name, value]) => [name, before + value + after])) // biome-ignore format: a line
    t.same(declaration.resolve(spaced), plain, JSON.stringify([before, after]))
  } // biome-ignore format: a table
})
