import { getEventListeners } from 'node:events'
import fc from 'fast-check'
import t from 'tap'
import {
  backoff,
  isTransientFault,
  isTransientStatus,
  pause,
  retryAfter,
  retryWait,
} from '../../lib/core/retry.ts'
import { firstInstant, formatInstant, formatSeconds, fromDate, lastInstant, parseDuration, parseInstant, secondsToTicks, toDate } from '../../lib/core/time.ts' // biome-ignore format: a list
import { withDeadline } from '../../lib/http/deadline.ts'

t.test('instants', async (t) => {
  for (const [text, back] of [
    ['2024-01-02', '2024-01-02T00:00:00.000Z'],
    ['2024-01-02T03:04', '2024-01-02T03:04:00.000Z'],
    ['2024-01-02 03:04:05', '2024-01-02T03:04:05.000Z'],
    ['2024-01-02T03:04:05.1234567Z', '2024-01-02T03:04:05.1234567Z'],
    ['2024-01-02T03:04:05.12300000000Z', '2024-01-02T03:04:05.123Z'],
    ['2024-01-02t03:04:05,5z', '2024-01-02T03:04:05.500Z'],
    ['2024-01-02T03:04:05+01:00', '2024-01-02T02:04:05.000Z'],
    ['2024-01-02T03:04:05-0530', '2024-01-02T08:34:05.000Z'],
    ['2024-01-02T03:04:05+14', '2024-01-01T13:04:05.000Z'],
    ['1969-12-31T23:59:59.9999999Z', '1969-12-31T23:59:59.9999999Z'],
    ['2024-02-29T00:00:00Z', '2024-02-29T00:00:00.000Z'],
    ['0001-01-01T00:00:00Z', '0001-01-01T00:00:00.000Z'],
    ['9999-12-31T23:59:59.9999999Z', '9999-12-31T23:59:59.9999999Z'],
    [' 2024-01-02 ', '2024-01-02T00:00:00.000Z'],
  ] as const) {
    t.equal(formatInstant(parseInstant(text) ?? 0n), back, text)
  }
  for (const text of [
    '', 'now', '2024', '2024-1-2', '2024-13-01', '2023-02-29', '2024-04-31', '2024-00-10', '2024-01-02T24:00:00Z', '2024-01-02T23:60:00Z',
    '2024-01-02T23:59:60Z', '2024-01-02T03:04:05.12345678Z', '2024-01-02T03:04:05+24:00', '2024-01-02T03:04:05+01:60', '2024-01-02T',
    '2024-01-02Z', '0000-12-31T00:00:00Z', '0001-01-01T00:00:00+01:00', '9999-12-31T23:59:59-01:00', '20240102T030405Z', '2024-01-02T03:04:05.Z',
    'Tue, 02 Jan 2024 03:04:05 GMT', '1700000000',
  ]) {
    t.equal(parseInstant(text), undefined, text)
  } // biome-ignore format: a list
  fc.assert(
    fc.property(fc.bigInt({ min: firstInstant, max: lastInstant }), (ticks) => {
      t.ok(parseInstant(formatInstant(ticks)) === ticks)
      const milliseconds = toDate(ticks).getTime()
      t.ok(fromDate(milliseconds) <= ticks && ticks < fromDate(milliseconds + 1))
    }),
  )
})

t.test('seconds', async (t) => {
  for (const [ticks, text] of [
    [0n, '0'], [1n, '0.0000001'], [-1n, '-0.0000001'], [10_000_000n, '1'], [-15_000_000n, '-1.5'], [17_000_000_001_200_000n, '1700000000.12'],
  ] as const) t.equal(formatSeconds(ticks), text) // biome-ignore format: a table
  t.equal(secondsToTicks(0.5), 5_000_000n)
})

t.test('durations', async (t) => {
  for (const [text, seconds] of [
    ['P1D', 86_400], ['PT1H', 3600], ['P1DT12H', 129_600], ['PT1.5H', 5400], ['PT0,5S', 0.5], ['P2W', 1_209_600], ['PT90M', 5400], ['p1d', 86_400],
    ['P1DT2H3M4.5S', 93_784.5], ['PT0S', 0], [' PT1S ', 1],
  ] as const) t.equal(parseDuration(text), secondsToTicks(seconds), text) // biome-ignore format: a table
  for (const text of [
    '',
    'P',
    'PT',
    'P1',
    '1D',
    'P1Y',
    'P1M',
    'P-1D',
    '-P1D',
    'P1H',
    'PT1D',
    'P1DT',
    'PT1S1M',
    'PT1.5.S',
    '1 day',
    'P1D ago',
  ]) {
    t.equal(parseDuration(text), undefined, text)
  }
})

t.test('which statuses are transient', async (t) => {
  const transient = Array.from({ length: 400 }, (_, at) => at + 200).filter(isTransientStatus)
  const server = Array.from({ length: 100 }, (_, at) => at + 500).filter(
    (status) => ![501, 505].includes(status),
  )
  t.same(transient, [408, 425, 429, ...server])
  for (const status of [0, 600, 999, Number.NaN]) t.notOk(isTransientStatus(status))
})

t.test('which faults are transient', async (t) => {
  const error = (code: string, more: object = {}) => Object.assign(new Error('x'), { code, ...more })
  const outer = (cause: unknown) => new Error('outer', { cause })
  for (const code of [
    'ECONNRESET',
    'ECONNREFUSED',
    'ECONNABORTED',
    'ETIMEDOUT',
    'EPIPE',
    'ENOTFOUND',
    'EAI_AGAIN',
    'EAI_FAIL',
    'EHOSTUNREACH',
    'EHOSTDOWN',
    'ENETUNREACH',
    'ENOBUFS',
    'EMFILE',
    'EPROTO',
    'ERR_SSL_WRONG_VERSION_NUMBER',
    'ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR',
    'ERR_TLS_HANDSHAKE_TIMEOUT',
    'ERR_SOCKET_CONNECTION_TIMEOUT',
    'ERR_STREAM_PREMATURE_CLOSE',
    'HPE_INVALID_EOF_STATE',
    'HPE_INVALID_CONSTANT',
    'Z_BUF_ERROR',
    'Z_DATA_ERROR',
    'UND_ERR_SOCKET',
    'UND_ERR_HEADERS_TIMEOUT',
    'PARSE_ERROR',
    'REQUEST_SEND_ERROR',
  ]) {
    // biome-ignore format: a list
    t.ok(isTransientFault(error(code)), code)
    t.ok(isTransientFault(outer(error(code))))
    t.ok(isTransientFault(new AggregateError([new Error('x'), error(code)])))
    t.ok(isTransientFault(outer(new AggregateError([error('CERT_HAS_EXPIRED'), outer(error(code))]))))
  }
  t.ok(isTransientFault(error('EACCES', { syscall: 'connect' })), 'a firewall')
  t.ok(isTransientFault(Object.assign(new Error('x'), { name: 'TimeoutError' })))
  for (const code of [
    'DEPTH_ZERO_SELF_SIGNED_CERT',
    'SELF_SIGNED_CERT_IN_CHAIN',
    'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
    'CERT_HAS_EXPIRED',
    'CERT_NOT_YET_VALID',
    'CERT_REVOKED',
    'INVALID_CA',
    'HOSTNAME_MISMATCH',
    'ERR_TLS_CERT_ALTNAME_INVALID',
    'ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE',
    'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED',
    'HPE_HEADER_OVERFLOW',
    'ERR_INVALID_URL',
    'ERR_INVALID_CHAR',
    'ERR_UNSUPPORTED_PROTOCOL',
    'ERR_OPTION',
    'ERR_ANSWER_TOO_LONG',
    'ABORT_ERR',
    'EACCES',
    'EPERM',
    'ENOENT',
    'ENOSPC',
    'EROFS',
    'UND_ERR_INVALID_ARG',
    '57P01',
    'X',
  ]) {
    // biome-ignore format: a list
    t.notOk(isTransientFault(error(code)), code)
    t.notOk(isTransientFault(Object.assign(error('EPROTO'), { cause: error('CERT_HAS_EXPIRED') })))
  }
  for (const text of [
    'write EPROTO 80:error:0A000412:SSL routines:ssl3_read_bytes:sslv3 alert bad certificate:../deps/rec_layer_s3.c:1605:SSL alert number 42',
    'write EPROTO 80:error:0A00045C:SSL routines:ssl3_read_bytes:tlsv13 alert certificate required:../deps/x.c:1605:SSL alert number 116',
    'write EPROTO 80:error:0A000418:SSL routines:ssl3_read_bytes:tlsv1 alert unknown ca:../deps/x.c:1605:SSL alert number 48',
  ])
    t.notOk(
      isTransientFault(Object.assign(new Error(text), { code: 'EPROTO' })),
      'our own certificate is refused',
    )
  t.notOk(isTransientFault(error('EMFILE', { syscall: 'open', path: '/x' })), 'a file')
  t.notOk(isTransientFault(Object.assign(new Error('x'), { name: 'AbortError' })))
  for (const value of [undefined, null, 'ECONNRESET', {}, new Error('x')]) t.notOk(isTransientFault(value))
  const cycle = new Error('x')
  cycle.cause = cycle
  t.notOk(isTransientFault(cycle))
})

t.test('how long to wait', async (t) => {
  const policy = { max_retries: 5, initial_backoff: 1, max_backoff: 30 }
  for (const [retry, most] of [[0, 1000], [1, 2000], [4, 16_000], [5, 30_000], [1000, 30_000]] as const) {
    const waits = Array.from({ length: 200 }, () => backoff(policy, retry))
    t.ok(waits.every((wait) => wait >= 0 && wait <= most))
    t.ok(Math.max(...waits) > most * 0.8 && Math.min(...waits) < most * 0.2, 'full jitter')
  } // biome-ignore format: a table
  t.ok(backoff({ ...policy, initial_backoff: 60 }, 0) <= 30_000)

  const now = Date.parse('2024-01-02T03:04:05Z')
  for (const [header, wait] of [
    ['0', 0], ['1', 1000], ['1.5', 1500], [' 2 ', 2000], ['99999', 300_000], ['2034', 300_000],
    ['Tue, 02 Jan 2024 03:04:15 GMT', 10_000], ['Tue, 02 Jan 2034 03:04:00 GMT', 300_000],
    ['Tuesday, 02-Jan-24 03:04:15 GMT', 10_000], ['Tue Jan  2 03:04:15 2024 GMT', 10_000], ['2024-01-02T03:04:15Z', 10_000],
    // Not to be read, or in the past: the wait is our own.
    [undefined, undefined], ['', undefined], ['soon', undefined], ['1s', undefined], ['-5', undefined], ['-0', undefined], ['+5', undefined],
    ['5, 10', undefined], ['5;10', undefined], ['1e3', undefined], ['0x10', undefined], ['NaN', undefined], ['Infinity', undefined],
    ['12/31/2034', undefined], ['Tue, 99 Foo 2034 03:04:00 GMT', undefined], ['Tue, 02 Jan 2024 03:04:00 GMT', undefined],
    ['Tue, 02 Jan 2024 03:04:05 GMT', undefined], ['Thu, 01 Jan 1970 00:00:00 GMT', undefined], ['<html>', undefined],
  ] as const) t.equal(retryAfter(header, now), wait, String(header)) // biome-ignore format: a table
  fc.assert(
    fc.property(fc.string(), (header) => {
      const wait = retryAfter(header)
      t.ok(wait === undefined || (wait >= 0 && wait <= 300_000), header)
      if (/^\s*-/.test(header)) t.equal(wait, undefined)
    }),
  )

  t.equal(retryWait(policy, 0, 20), 20, 'what the server asks for wins')
  t.equal(retryWait(policy, 9, 300_000), 300_000)
  t.equal(retryWait(policy, 0, 0), 1000, 'no wait at all: the first one of the policy')
  t.equal(retryWait({ initial_backoff: 60, max_backoff: 30 }, 0, 0), 30_000)
  for (let time = 0; time < 200; time++) {
    const own = retryWait(policy, 4, 0)
    t.ok(own >= 1000 && own <= 16_000)
    t.ok(retryWait(policy, 0, undefined) <= 1000)
  }
})

t.test('pause ends at once when the signal fires, and leaves no listener', async (t) => {
  const controller = new AbortController()
  await pause(1, controller.signal)
  const long = pause(1e15, controller.signal)
  t.equal(getEventListeners(controller.signal, 'abort').length, 1)
  setImmediate(() => controller.abort())
  await t.rejects(long, { name: 'AbortError' })
  await t.rejects(pause(1e15, controller.signal), { name: 'AbortError' })
  t.equal(getEventListeners(controller.signal, 'abort').length, 0)
})

t.test('what is left of a work is not cut by the deadline of another', async (t) => {
  const { signal } = new AbortController()
  const signals: AbortSignal[] = []
  await withDeadline(60_000, signal, async (until) => signals.push(until))
  const never = (until: AbortSignal) =>
    new Promise((_, reject) => until.addEventListener('abort', () => reject(until.reason)))
  await t.rejects(withDeadline(1, signal, never), { code: 'ETIMEDOUT' })
  t.notOk(signals[0]!.aborted)
})
