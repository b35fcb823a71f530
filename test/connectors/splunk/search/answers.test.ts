import fc from 'fast-check'
import t from 'tap'
import { exportedResults, summaryOf } from '../../../../lib/connectors/splunk/search/export.ts'
import { decisive, meaningOf, messagesIn } from '../../../../lib/connectors/splunk/search/messages.ts'

/** The bytes of a text in pieces, cut at these places. */
async function* pieces(text: string, at: readonly number[] = []) {
  const bytes = Buffer.from(text)
  let from = 0
  for (const cut of [...at, bytes.length]) {
    yield bytes.subarray(from, cut)
    from = cut
  }
}

const survey = (text: string, at?: readonly number[]) => summaryOf(pieces(text, at))

const row = (offset: number, raw: string, more = '') =>
  `{"preview":false,"offset":${offset}${more},"result":{"_raw":${JSON.stringify(raw)}}}`

t.test('an answer is whole when its last line says so', async (t) => {
  const last = ',"lastrow":true'
  t.match(await survey(`${row(0, 'a')}\n${row(1, 'b', last)}\n`), {
    rows: 2,
    ended: true,
    torn: undefined,
    garbled: undefined,
  })
  t.match(await survey(`${row(0, 'a')}\n${row(1, 'b', last)}\n\n{"preview":false,"lastrow":true}\n`), {
    rows: 2,
    ended: true,
  })
  t.match(await survey('{"preview":false,"lastrow":true}\n'), { rows: 0, ended: true }, 'no results at all')
  t.match(await survey(row(0, 'a', last)), { rows: 1, ended: true, torn: undefined }, 'no line end')
  t.match(await survey(`${row(0, 'a', last)}\r\n\r\n`), { rows: 1, ended: true, garbled: undefined })
  t.match(await survey(''), { rows: 0, ended: false })
  t.match(await survey(`${row(0, 'a')}\n`), { rows: 1, ended: false })
  t.match(
    await survey(`${row(0, 'a', last)}\n${row(1, 'b')}\n`),
    { rows: 2, ended: false },
    'a row behind the last one',
  )
})

t.test('previews do not count', async (t) => {
  const preview = `{"preview":true,"offset":0,"lastrow":true,"result":{"a":"1"}}`
  const plain = `{"preview":true,"offset":0,"result":{"a":"1"}}`
  t.match(await survey(`${plain}\n${preview}\n`), { rows: 0, ended: false })
  t.match(await survey(`${plain}\n${row(0, 'a', ',"lastrow":true')}\n`), { rows: 1, ended: true })
})

t.test('other orders and spaces of JSON are read as well', async (t) => {
  t.match(await survey('{ "result": {"a":"1"}, "offset": 0, "lastrow": true, "preview": false }'), {
    rows: 1,
    ended: true,
  })
  t.match(await survey('{"preview":false,"offset":0,"result":{"a":"1"},"lastrow":true}'), {
    rows: 1,
    ended: true,
  })
})

t.test('a cut in mid-line is told from a line that is no JSON', async (t) => {
  const text = `${row(0, 'a')}\n${row(1, 'b', ',"lastrow":true')}`
  for (let cut = row(0, 'a').length + 2; cut < text.length; cut++) {
    const { torn, garbled, ended } = await survey(text.slice(0, cut))
    if (torn === undefined || garbled !== undefined || ended) t.fail(`cut at ${cut}`)
  }
  t.match(await survey(`<html>\n${row(0, 'a', ',"lastrow":true')}\n`), { garbled: '<html>', ended: true })
  t.match(await survey('[1]\n'), { garbled: '[1]' })
})

t.test('messages come on lines of their own, and beside results', async (t) => {
  const text = `{"messages":[{"type":"WARN","text":"w"}]}\n{"preview":false,"lastrow":true,"messages":[{"type":"FATAL","text":"f"},{"type":"WARN","text":"w"}]}\n`
  t.strictSame((await survey(text)).messages, [
    { type: 'WARN', text: 'w' },
    { type: 'FATAL', text: 'f' },
  ])
  t.strictSame(messagesIn({ messages: { fatal: ['a'], warn: 'b' } }), [
    { type: 'FATAL', text: 'a' },
    { type: 'WARN', text: 'b' },
  ])
  t.strictSame(messagesIn(null), [])
  t.strictSame(messagesIn({ messages: [null, 1, {}] }), [{ type: 'INFO', text: '' }])
})

t.test('however the bytes are cut, the same is found and parsed', async () => {
  const texts = fc.string({ unit: fc.constantFrom('a', 'é', '😀', '\n', '"', '\\', '}', '{', ',', '\u2028') })
  const line = fc.oneof(
    fc.record({ kind: fc.constant('row'), text: texts }),
    fc.record({ kind: fc.constant('preview'), text: texts }),
    fc.record({ kind: fc.constant('message'), text: texts }),
    fc.record({ kind: fc.constant('empty'), text: fc.constantFrom('', ' ', '\r') }),
  )
  await fc.assert(
    fc.asyncProperty(
      fc.array(line, { maxLength: 30 }),
      fc.array(fc.nat(), { maxLength: 10 }),
      async (lines, cuts) => {
        const text = lines
          .map(({ kind, text }, offset) => {
            const value = JSON.stringify(text)
            if (kind === 'row') return `{"preview":false,"offset":${offset},"result":{"_raw":${value}}}`
            if (kind === 'preview') return `{"preview":true,"offset":${offset},"result":{"_raw":${value}}}`
            return kind === 'message' ? `{"messages":[{"type":"INFO","text":${value}}]}` : text
          })
          .join('\n')
        const bytes = Buffer.from(text)
        const at = cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b)
        const wanted = lines.filter(({ kind }) => kind === 'row').map(({ text }) => text)
        const found = await survey(text, at)
        const rows: unknown[] = []
        for await (const results of exportedResults(pieces(text, at)))
          rows.push(...results.map(({ _raw }) => _raw))
        return (
          found.rows === wanted.length &&
          found.garbled === undefined &&
          JSON.stringify(rows) === JSON.stringify(wanted)
        )
      },
    ),
    { numRuns: 300 },
  )
})

t.test('integers that a double can not hold are exact, in text and as numbers', async (t) => {
  async function* chunks() {
    yield Buffer.from(
      '{"preview":false,"offset":0,"result":{"_raw":"{\\"id\\":12345678901234567890}","n":12345678901234567890}}\n',
    )
  }
  for await (const [result] of exportedResults(chunks())) {
    t.strictSame(result, { _raw: '{"id":12345678901234567890}', n: 12345678901234567890n })
  }
})

t.test('what messages mean', (t) => {
  const table: [string, string, string][] = [
    ['FATAL', "Error in 'search' command: Unable to parse the search: unbalanced parentheses.", 'refused'],
    ['FATAL', "Unknown search command 'foo'.", 'refused'],
    [
      'ERROR',
      'Unable to distribute to peer named idx1 at uri https://idx1:8089 because peer has status = "Down".',
      'failed',
    ],
    [
      'ERROR',
      'Search process did not exit cleanly, exit_code=255, description="exited with code 255".',
      'failed',
    ],
    ['FATAL', 'something that nobody knows', 'failed'],
    [
      'WARN',
      'The maximum number of concurrent historical searches on this instance has been reached. concurrency_category="historical"',
      'busy',
    ],
    [
      'FATAL',
      'Search not executed: The maximum number of concurrent historical searches for this user based on their role quota has been reached.',
      'busy',
    ],
    [
      'ERROR',
      'This search could not be dispatched because the role-based concurrency limit of historical searches for role "user" has been reached',
      'busy',
    ],
    [
      'WARN',
      'The maximum disk usage quota for this user has been reached. Use the job manager to delete some of your saved results.',
      'cut',
    ],
    ['WARN', 'Search auto-finalized after 60 seconds', 'cut'],
    ['WARN', 'Your search time range exceeds the limit of your role and was clipped (srchTimeWin)', 'cut'],
    ['WARN', 'Subsearch produced 50000 results, truncating to maxout 50000.', 'cut'],
    ['WARN', 'The search was finalized because an indexer is shutting down', 'failed'],
    ['FATAL', '[idx1] Could not load lookup=LOOKUP-dns_app', 'failed'],
    ['WARN', 'Peer idx2 may have returned partial results', 'failed'],
    [
      'WARN',
      'The limit has been reached for log messages in info.csv. 12 messages have not been written to info.csv.',
      'harmless',
    ],
    ['WARN', 'Field extractor name=x is unusually slow', 'harmless'],
    ['INFO', 'Your timerange was substituted based on your search string', 'timerange'],
    ['INFO', 'Your search results might be incomplete', 'harmless'],
    [
      'WARN',
      'Unable to distribute to peer named idx1:8089 at uri https://idx1:8089 using the uri-scheme=https because peer has status="Down".',
      'failed',
    ],
    ['INFO', 'Search peer idx2 did not respond within 60 seconds', 'failed'],
    ['DEBUG', 'Failed to contact the search peer https://idx2:8089', 'failed'],
    ['DEBUG', 'search context: user="admin", app="search", peers: idx1', 'harmless'],
    ['ERROR', '[idx1] Could not load lookup=LOOKUP-dns_app', 'harmless'],
    ['ERROR', "The lookup table 'assets' does not exist or is not available.", 'harmless'],
    ['ERROR', "[idx1] Invalid field extraction 'EXTRACT-user'", 'harmless'],
    ['FATAL', "Error in 'lookup' command: Could not construct lookup 'assets, host'.", 'refused'],
    ['ERROR', "Streamed search execute failed because: Error in 'lookup' command: no such lookup", 'refused'],
    ['DEBUG', 'base lispy: [ AND index::main ]', 'harmless'],
  ]
  for (const [type, text, meaning] of table) t.equal(meaningOf({ type, text }), meaning, text)
  t.equal(decisive([{ type: 'INFO', text: 'a' }]), undefined)
  t.equal(
    decisive([
      { type: 'ERROR', text: 'unknown trouble' },
      { type: 'FATAL', text: "Unknown search command 'x'" },
    ])?.meaning,
    'refused',
  )
  t.end()
})
