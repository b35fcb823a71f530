import { getEventListeners } from 'node:events'
import { Readable, Transform, Writable } from 'node:stream'
import t from 'tap'
import { AzureMonitorStreamReadable } from '../../lib/connectors/azure-monitor/azure-monitor-stream-readable.ts'
import { SplunkWritable } from '../../lib/connectors/splunk/index.ts'
import { ConnectorError, type ErrorCode } from '../../lib/core/errors.ts'
import { HecEmulator } from '../../lib/emulators/index.ts'
import { planWindows } from '../../lib/streaming/plan-windows.ts'
import { runWindow, type WindowProgress } from '../../lib/streaming/run-window.ts'
import { AzureTrial } from '../fixtures/azure-trial.ts'

const [window] = planWindows({ start_time: '2024-05-01T00:00:00Z', end_time: '2024-05-01T01:00:00Z' })
const rows = (count: number) => Readable.from(Array.from({ length: count }, (_, n) => ({ n })))

function collector(fail?: Error) {
  const taken: unknown[] = []
  const sink = () =>
    new Writable({
      objectMode: true,
      write(row, _encoding, callback) {
        taken.push(row)
        callback()
      },
      final: (callback) => callback(fail),
    })
  return { sink, taken }
}

t.test('a window goes from source to sink', async (t) => {
  const { sink, taken } = collector()
  const asked: unknown[] = []
  const result = await runWindow(window!, {
    source: (given) => {
      asked.push(given)
      return rows(10)
    },
    transform: () =>
      async function* (given) {
        for await (const row of given) if ((row['n'] as number) % 2 === 0) yield row
      },
    sink,
  })
  t.same(asked, [window])
  t.equal(taken.length, 5)
  t.match(result, { rowsIn: 10, rowsOut: 5, retries: 0, duration: Number })
})

t.test('the verdict of an error says what is to become of the window', async (t) => {
  const verdicts: [part: 'source' | 'sink', error: Error, verdict: string][] = [
    ['source', new ConnectorError('ERR_QUERY', 'throttled', { status: 429, retryAfter: 7000 }), 'retry'],
    ['source', new ConnectorError('ERR_QUERY', 'gone', { cause: withCode('ECONNRESET') }), 'retry'],
    ['source', new ConnectorError('ERR_QUERY', 'syntax', { status: 400 }), 'fatal'],
    ['source', new ConnectorError('ERR_QUERY', 'no such workspace', { status: 404 }), 'fatal'],
    [
      'source',
      new ConnectorError('ERR_QUERY', 'certificate', { cause: withCode('CERT_HAS_EXPIRED') }),
      'fatal',
    ],
    ['source', new ConnectorError('ERR_QUERY', 'only a part came', { status: 200 }), 'refused'],
    ['source', new ConnectorError('ERR_QUERY', 'the answer can not be read'), 'refused'],
    ['source', new ConnectorError('ERR_AUTH', 'refused', { status: 401 }), 'fatal'],
    ['source', new ConnectorError('ERR_AUTH', 'busy', { status: 503 }), 'retry'],
    ['source', new ConnectorError('ERR_AUTH', 'down', { cause: withCode('ECONNREFUSED') }), 'retry'],
    ['source', new Error('own'), 'retry'],
    ['sink', new Error('own'), 'retry'],
    ['sink', new ConnectorError('ERR_DELIVERY', 'down'), 'retry'],
    ['sink', new ConnectorError('ERR_DEAD_LETTER', 'disk full'), 'retry'],
    ...(
      ['ERR_RESULT_TOO_LARGE', 'ERR_RESULT', 'ERR_REJECTED', 'ERR_ROW', 'ERR_TRANSFORM'] as ErrorCode[]
    ).map((code) => ['sink', new ConnectorError(code, 'no'), 'refused'] as ['sink', Error, string]),
    ['sink', new ConnectorError('ERR_OPTION', 'no'), 'fatal'],
    ['sink', new ConnectorError('ERR_CHECKPOINT', 'no'), 'fatal'],
    ['sink', new ConnectorError('ERR_AUTH', 'no', { status: 403 }), 'fatal'],
  ]
  for (const [part, error, verdict] of verdicts) {
    const source = () => {
      if (part === 'sink') return rows(1)
      const stream = new Readable({ objectMode: true, read() {} })
      process.nextTick(() => stream.destroy(error))
      return stream
    }
    const { sink } = collector(part === 'sink' ? error : undefined)
    const { code, retryAfter } = error as ConnectorError
    await t.rejects(
      runWindow(window!, { source, sink }),
      {
        name: 'WindowError',
        code: code ?? (part === 'sink' ? 'ERR_DELIVERY' : 'ERR_QUERY'),
        part,
        verdict,
        cause: error,
        window: { start: window!.start, end: window!.end },
        message: `the ${part} failed in the window ${window!.id}: ${error.message}`,
        ...(retryAfter !== undefined && { retryAfter }),
      },
      `${part} ${error.message}`,
    )
  }
  const transform = () =>
    new Transform({ objectMode: true, transform: (_row, _encoding, callback) => callback(new Error('x')) })
  await t.rejects(
    runWindow(window!, {
      source: () => rows(1),
      transform: () => transform(),
      sink: collector().sink,
    }),
    { code: 'ERR_TRANSFORM', part: 'transform', verdict: 'refused' },
  )
})

t.test('a throttled service: the error carries the wait that it asked for', async (t) => {
  const hec = await new HecEmulator().start()
  t.teardown(() => hec.close())
  hec.fail({ status: 503, headers: { 'retry-after': '17' }, times: Infinity })
  const sink = () => new SplunkWritable({ url: hec.url, token: hec.token, max_retries: 0 })
  await t.rejects(runWindow(window!, { source: () => rows(3), sink }), {
    code: 'ERR_DELIVERY',
    status: 503,
    verdict: 'retry',
    retryAfter: 17_000,
  })
})

t.test('a signal ends it at once, and nothing of it stays', async (t) => {
  const abort = new AbortController()
  const reason = new Error('the lock is lost')
  let sink: Writable | undefined
  let source: Readable | undefined
  const running = runWindow(window!, {
    source: () => (source = new Readable({ objectMode: true, read() {} })),
    sink: () => (sink = collector().sink()),
    signal: abort.signal,
  })
  abort.abort(reason)
  await t.rejects(running, { name: 'AbortError', code: 'ABORT_ERR', cause: reason })
  t.ok(sink!.destroyed && source!.destroyed)
  t.equal(getEventListeners(abort.signal, 'abort').length, 0)
  let made = 0
  await t.rejects(
    runWindow(window!, { source: () => rows(made++), sink: collector().sink, signal: abort.signal }),
    reason,
  )
  t.equal(made, 0, 'nothing is made once the signal has fired')
})

t.test('progress is told each second', async (t) => {
  const told: WindowProgress[] = []
  let release = () => {}
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  const sink = () =>
    new Writable({
      objectMode: true,
      write: (_row, _encoding, callback) => callback(),
      final: (callback) => void held.then(() => callback()),
    })
  await runWindow(window!, {
    source: () => rows(5),
    sink,
    onProgress(progress) {
      told.push(progress)
      release()
    },
  })
  t.match(told, [{ rowsIn: 5, rowsOut: 5, retries: 0, duration: Number }])
})

t.test('wrong arguments are told before anything is made', async (t) => {
  await t.rejects(runWindow({} as never, { source: {}, transform: 1, sink: {} } as never), {
    code: 'ERR_OPTION',
    problems: [/window: expected/, /source: expected/, /transform: expected/, /sink: expected/],
  })
  await t.rejects(runWindow(window!, { source: () => ({}) as Readable, sink: collector().sink }), {
    code: 'ERR_OPTION',
    part: 'source',
    verdict: 'fatal',
  })
})

t.test(
  'windows share the connections and the token of their source, also those by ingestion time',
  async (t) => {
    const trial = await AzureTrial.start(t)
    const begin = Date.parse('2024-05-01T00:00:00Z')
    trial.service.addTable(
      'T',
      [
        { name: 'TimeGenerated', type: 'datetime' },
        { name: 'n', type: 'long' },
      ],
      Array.from({ length: 200 }, (_, n) => [new Date(begin + n * 60_000).toISOString(), n]),
    )
    const windows = planWindows({ start_time: new Date(begin), end_time: new Date(begin + 200 * 60_000), partition_duration: 60 }) // biome-ignore format: short
    t.equal(windows.length, 200)
    const source = new AzureMonitorStreamReadable({ ...trial.target, query: 'T' })
    const { sink, taken } = collector()
    const queue = [...windows]
    const worker = async () => {
      for (let next = queue.shift(); next; next = queue.shift()) await runWindow(next, { source, sink })
    }
    await Promise.all([worker(), worker(), worker(), worker()])
    t.same(
      taken.map((row) => (row as { n: number }).n).sort((a, b) => a - b),
      Array.from({ length: 200 }, (_, n) => n),
    )
    t.equal(trial.emulators.entra.requests.filter(({ path }) => path.endsWith('/token')).length, 1)
    t.ok(trial.service.connectionCount <= 4)
    source.destroy()

    const byIngestion = new AzureMonitorStreamReadable({
      ...trial.target,
      query: 'T',
      window_by: 'ingestion_time',
    })
    const before = trial.service.requests.length
    await runWindow(windows[0]!, { source: byIngestion, sink })
    t.match(trial.service.requests[before]!.body.toString(), /ingestion_time\(\)/)
    byIngestion.destroy()
  },
)

function withCode(code: string): Error {
  return Object.assign(new Error(code), { code })
}
