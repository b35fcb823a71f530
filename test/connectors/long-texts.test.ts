import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { TransformFailure } from '../../lib/cli/transforms.ts'
import { meaningOf } from '../../lib/connectors/splunk/search/messages.ts'
import { instantTicks } from '../../lib/connectors/splunk/search/values.ts'
import { retryAfter } from '../../lib/core/retry.ts'
import { parseDuration, parseInstant } from '../../lib/core/time.ts'
import { indexEvent } from '../../lib/emulators/splunk-search/events.ts'
import { plainText } from '../../lib/http/response.ts'
import { FilesReadable, OptionError, RestWritable } from '../../lib/index.ts'
import { cellCaster } from '../../lib/source/column-values.ts'

/**
 * Texts that make a pattern start over at each character. A million of them take milliseconds if the pattern is linear,
 * and many minutes if it is quadratic: then this file runs into the time limit of a test.
 */
const length = 1_000_000
const of = (part: string) => part.repeat(length / part.length)
const texts = {
  digits: `${of('1')}x`,
  'digits and points': `${of('1.')}x`,
  zeros: `${of('0')}x`,
  'spaces before a letter': `1${of(' ')}x`,
  'spaces before a zone': `x${of(' ')}GM`,
  'tabs and lines': `x${of('\t\n')}x`,
  letters: `${of('A')} `,
  'letters and points': `${of('A.')}`,
  slashes: of('/'),
  'places of code': of('/a:1'),
  tags: of('<style>'),
  'open tags': of('<'),
  exponents: `1${of('e1')}`,
  dates: of('2024-05-01T'),
  'starts of pairs': of('a="'),
  backslashes: of('\\'),
  'failures of a peer': of('fail connect '),
  'states of a peer': of('peer status= '),
}

const forms = { datetime: 'date', long: 'bigint' } as const
const types = [
  'string',
  'bool',
  'int',
  'long',
  'real',
  'decimal',
  'datetime',
  'timespan',
  'guid',
  'dynamic',
] as const
const readers: Record<string, (text: string) => unknown> = {
  'a number of an option': (text) => {
    try {
      return new RestWritable({ url: 'http://localhost', request_timeout: text as never })
    } catch (error) {
      if (!(error instanceof OptionError)) throw error
      return error
    }
  },
  'an instant': parseInstant,
  'a duration': parseDuration,
  'an instant of Splunk': instantTicks,
  'a Retry-After': (text) => retryAfter(text),
  'an error page': plainText,
  'a message of splunkd': (text) => meaningOf({ type: 'ERROR', text }),
  'an error of a transform': (text) => new TransformFailure(new Error(text)).message.length,
  'an event of the emulated Splunk': (event) => indexEvent({ event }, 0, 0).row['_raw'],
  ...Object.fromEntries(types.map((type) => [`a cell as ${type}`, cellCaster(type, forms)])),
}

for (const [name, read] of Object.entries(readers)) {
  t.test(name, async (t) => {
    for (const [what, text] of Object.entries(texts)) {
      t.doesNotThrow(() => read(text), what)
      t.doesNotThrow(() => read(`${text}\n${text}`), `${what}, two lines`)
    }
  })
}

t.test('fields of files', async (t) => {
  const folder = t.testdir({})
  const path = join(folder, 'a.csv')
  for (const [what, text] of Object.entries(texts)) {
    const field = text.replaceAll('"', '""')
    writeFileSync(path, `a,b\n1,"${field}"\n`)
    const [row] = await new FilesReadable({ path, format: 'csv', inferSchema: true }).toArray()
    t.ok((row as { b: unknown }).b === text, what)
  }
})

t.test('a header of Zeek that nests types', async (t) => {
  const folder = t.testdir({})
  const path = join(folder, 'a.log')
  const type = `${'vector['.repeat(20_000)}count${']'.repeat(20_000)}`
  const rows = 'x\n'.repeat(2000)
  writeFileSync(path, `#separator \\x09\n#set_separator\t,\n#fields\ta\n#types\t${type}\n${rows}`)
  const read = await new FilesReadable({ path, format: 'zeek' }).toArray()
  t.equal(read.length, 2000)
  t.same(read[0], { a: 'x' })
})
