import type { Writable } from 'node:stream'
import t from 'tap'
import { RestWritable } from '../../../lib/connectors/rest/index.ts'
import { RestEmulator } from '../../../lib/emulators/index.ts'
import { deliver, everythingOf, LetterBox, onChannels, watch } from '../../fixtures/sink-trial.ts'

const password = 'c0okie "jar" & <pass>'
const cookie = 'SESSION-aB3dEf+gh/i=='
const other = 's3cond-cookie'

/** One case a form, as a gateway or a debugging page writes it. */
const echoes: Record<string, string> = {
  'the password inside of Basic': `user ann, password ${password}`,
  'the credentials of Basic': Buffer.from(`ann:${password}`).toString('base64'),
  'user and password': `ann:${password}`,
  'one cookie of the header': `the session ${cookie} is over`,
  'the last cookie of the header': `unknown: ${other}`,
  'form-encoded': new URLSearchParams({ password, cookie }).toString(),
  'percent-encoded': `/login?p=${encodeURIComponent(password)}&c=${encodeURIComponent(cookie)}`,
  'HTML-escaped': 'c0okie &quot;jar&quot; &amp; &lt;pass&gt;',
  '\\u-escaped': [...password].map((c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`).join(''),
  'a JSON string': JSON.stringify({ password, cookie }),
  'another case': `${password.toUpperCase()} ${cookie.toLowerCase()} ${other.toUpperCase()}`,
  'across the cut of the text': `${'y'.repeat(190)}${cookie}`,
}

/** Beginnings and middles of the secrets in any of these forms. */
const leaks = [
  /c0okie|jar|pass>|pass&gt/i,
  /SESSION-a|aB3dEf/i,
  /s3cond/i,
  /\\u006[39]/i,
  /YW5u/,
  /%22jar|jar%22/i,
]

t.test('a service that sends credentials back, in each form: none shows, also on the channels', async (t) => {
  const rest = await new RestEmulator().start()
  t.teardown(() => rest.close())
  const headers = {
    authorization: `Basic ${Buffer.from(`ann:${password}`).toString('base64')}`,
    cookie: `session=${cookie}; second=${other}`,
  }
  for (const [name, body] of Object.entries(echoes)) {
    for (const status of [400, 403, 503]) {
      rest.clearFaults().fail({ status, body, times: 4 })
      const box = new LetterBox()
      const sink = new RestWritable({
        url: rest.url,
        headers,
        max_retries: 1,
        initial_backoff: 0.001,
        max_backoff: 0.002,
        ...(status === 400 && { dead_letter: box as Writable }),
      })
      const watched = watch(sink)
      let error: unknown
      const heard = await onChannels(async () => {
        error = await deliver([{ a: 1 }], sink)
      })
      // A retry, a rejection or the error at the end shows the text, so that there is something to find.
      t.ok(heard.length > 0 || error, `${name}, ${status}: something was reported`)
      const text = everythingOf({ error, heard, watched, letters: box.letters, stats: sink.stats })
      for (const leak of leaks) t.notMatch(text, leak, `${name}, ${status}`)
      t.match(text, /\[redacted\]/, `${name}, ${status}: the text was shown, redacted`)
    }
  }
})
