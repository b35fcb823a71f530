import t from 'tap'
import { cleanError, credentialsOf, redacted, redactor, urlSecrets } from '../../lib/core/redaction.ts'

/** Has each character that some encoding writes in another way. */
const secret = `Pa55 w/ö+"rd"&<'\\=\u{1f511}`

const upper = (text: string) =>
  text.replace(/%[0-9a-f]{2}|\\u[0-9a-f]{4}/gi, (code) => code.toUpperCase().replace('\\U', '\\u'))
const eachUnit = (write: (code: number) => string) =>
  Array.from({ length: secret.length }, (_, at) => write(secret.charCodeAt(at))).join('')
const eachPoint = (write: (code: number) => string) =>
  Array.from(secret, (character) => write(character.codePointAt(0)!)).join('')
const html = (text: string, apostrophe: string) =>
  text.replace(
    /[&<>"']/g,
    (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c] ?? apostrophe,
  )

const forms: Record<string, string> = {
  'as given': secret,
  'form-encoded': new URLSearchParams({ '': secret }).toString().slice(1),
  'percent-encoded': encodeURIComponent(secret),
  'percent-encoded as a whole URL': encodeURI(secret),
  'percent-encoded, small digits': encodeURIComponent(secret).replace(/%../g, (code) => code.toLowerCase()),
  'every byte percent-encoded': [...Buffer.from(secret)].map((byte) => `%${byte.toString(16)}`).join(''),
  'escaped for HTML': html(secret, '&#39;'),
  'escaped for HTML, the name of the apostrophe': html(secret, '&apos;'),
  'escaped for HTML, leading zeros': html(secret, '&#039;'),
  'every character as a decimal reference': eachPoint((code) => `&#${code};`),
  'every character as a hexadecimal reference': eachPoint((code) => `&#x${code.toString(16)};`),
  'a reference with capitals': eachPoint((code) => `&#X${code.toString(16).toUpperCase()};`),
  'a JSON string': JSON.stringify(secret).slice(1, -1),
  'a JSON string with escaped slashes': JSON.stringify(secret).slice(1, -1).replaceAll('/', '\\/'),
  'every character \\u-escaped': eachUnit((code) => `\\u${code.toString(16).padStart(4, '0')}`),
  'every character \\u-escaped, with capitals': upper(eachUnit((code) => `\\u${code.toString(16).padStart(4, '0')}`)),
  'small letters': secret.toLowerCase(),
  'capital letters': secret.toUpperCase(),
  'two encodings in one text': `${encodeURIComponent(secret.slice(0, 6))}${html(secret.slice(6), '&#39;')}`,
} // biome-ignore format: a list

t.test('each form in which a secret comes back is found', async (t) => {
  const redact = redactor([secret])
  for (const [name, form] of Object.entries(forms)) {
    t.equal(redact(`before ${form} after`), `before ${redacted} after`, name)
    t.equal(redact(`${form}${form}`), `${redacted}${redacted}`, `${name}, twice`)
  }
})

t.test('control characters too, as JSON and as a URL write them', async (t) => {
  const key = '-----BEGIN KEY-----\r\n\tMIIE\b\f\n-----END KEY-----'
  const redact = redactor([key])
  for (const form of [key, JSON.stringify(key).slice(1, -1), encodeURIComponent(key)])
    t.equal(redact(form), redacted)
})

t.test('a GUID in another case, as Splunk answers with a HEC token', async (t) => {
  const token = '0A1B2C3D-4E5F-6789-ABCD-EF0123456789'
  t.equal(redactor([token])(`Invalid token ${token.toLowerCase()}.`), `Invalid token ${redacted}.`)
})

t.test('a secret that is part of another does not leave the rest of it', async (t) => {
  for (const secrets of [['abcd', 'abcd-efgh'], ['abcd-efgh', 'abcd']])
    t.equal(redactor(secrets)('x abcd-efgh y abcd'), `x ${redacted} y ${redacted}`)
}) // biome-ignore format: a table

t.test('characters that patterns know are characters', async (t) => {
  const redact = redactor(['a.c|(d)[e]{2}^$*+?-/'])
  t.equal(redact('abc'), 'abc')
  t.equal(redact('a.c|(d)[e]{2}^$*+?-/'), redacted)
})

t.test('without a secret a text stays as it is', async (t) => {
  t.equal(redactor(['', undefined])('any text'), 'any text')
})

t.test('a URL: user, password, the pair in a Basic header, path, query, decoded too', async (t) => {
  const url = 'https://ann:p%40ss-w0rd@host/services/T00000000/k3y%2Dlong?sig=a%2Bb%3Dcdefgh'
  const redact = redactor(urlSecrets(url))
  const basic = Buffer.from('ann:p@ss-w0rd').toString('base64')
  for (const form of ['p%40ss-w0rd', 'p@ss-w0rd', basic, 'k3y%2Dlong', 'k3y-long', 'a+b=cdefgh', 'T00000000'])
    t.equal(redact(`(${form})`), `(${redacted})`, form)
  const proxy = redactor(credentialsOf('http://ann:p%40ss-w0rd@proxy:3128'))
  for (const form of ['p%40ss-w0rd', 'p@ss-w0rd', basic]) t.equal(proxy(`(${form})`), `(${redacted})`, form)
})

t.test('an error, its stack and its causes', async (t) => {
  const inner = new Error(`inner ${encodeURIComponent(secret)}`)
  const error = Object.assign(new Error(`outer ${secret}`, { cause: inner }), {
    code: 'ECONNRESET',
    headers: { secret },
  })
  const clean = cleanError(error, redactor([secret])) as NodeJS.ErrnoException
  t.match(clean, {
    message: `outer ${redacted}`,
    code: 'ECONNRESET',
    cause: { message: `inner ${redacted}` },
  })
  t.notOk(clean.stack?.includes('Pa55'))
  t.notOk('headers' in clean)
})

t.test('the search is linear: starts of secrets without an end', async (t) => {
  // Each is a start of some form, so that a pattern that tries forms again would take hours, not seconds.
  const redact = redactor([secret, '&'.repeat(60)])
  for (const start of ['&#', '&#0', '&#x0', '&#38;', '\\', '%', '%5', 'Pa55 w', '&#x000026'])
    t.equal(redact(start.repeat(100_000)).includes('Pa55 w/'), false, start)
})
