import { channel } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { join } from 'node:path'
import t from 'tap'
import { startEmulators } from '../../lib/emulators/index.ts'
import { FilesStreamReadable, type RejectedEvent, RestWritable, streamingQuery } from '../../lib/index.ts'
import { serveMetrics } from '../../lib/metrics/index.ts'
import { inEachRow, WatchedQuery } from '../fixtures/watched-query.ts'
import { chromiumMissing } from '../services/chromium.ts'

t.test('the page, in a browser', { skip: chromiumMissing }, async (t) => {
  const { WatchedPage } = await import('../services/chromium.ts')
  await using watched = await WatchedPage.open()
  const { page } = watched

  await t.test('a job that goes well', async (t) => {
    await using metrics = await serveMetrics({ listen: 0 })
    const trial = await WatchedQuery.start(t)
    const query = trial.run()
    await page.goto(metrics.url)
    await trial.idle(query)
    await watched.shows('caught up')
    t.match(await watched.table('queries'), [
      ['azure-monitor', 'caught up', /^2024-05-01T00:59:57/, /d/, '60'],
    ])
    t.equal((await watched.table('windows')).length, 50)
    t.match((await watched.table('windows'))[0], { 2: 'done', 3: '10', 4: '10' })
    t.strictSame(await watched.table('troubles'), [['None.']])
    t.strictSame(await watched.table('refusals'), [['None.']])
    t.equal(await page.$eval('#state', ({ textContent }) => textContent), 'caught up')
    t.match(await page.$eval('#counts', ({ innerText }) => innerText), /600\s+rows delivered/)
    t.equal(await page.$$eval('figure canvas', ({ length }) => length), 4, 'four plots')
    const painted = await page.evaluate(`[...document.querySelectorAll('figure canvas')].map((canvas) =>
      canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some((value) => value > 0))`)
    t.strictSame(painted, [true, true, true, true])
    for (const [width, scheme] of [
      [390, 'dark'],
      [390, 'light'],
      [1200, 'dark'],
    ] as const) {
      await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }])
      await page.setViewport({ width, height: 800 })
      // Plots follow the width with the next frame.
      const fits = 'document.documentElement.scrollWidth <= document.documentElement.clientWidth'
      await page.waitForFunction(`innerWidth === ${width} && ${fits}`)
      const back = await page.evaluate('getComputedStyle(document.body).backgroundColor')
      t.equal(back, scheme === 'dark' ? 'rgb(18, 22, 28)' : 'rgb(255, 255, 255)')
    }
    t.strictSame(watched.faults, [])
    t.strictSame([...watched.origins], [metrics.url], 'nobody else is asked')
    await query.stop()
  })

  await t.test('a job that is throttled', async (t) => {
    await using metrics = await serveMetrics({ listen: 0 })
    const trial = await WatchedQuery.start(t)
    trial.hec.fail({
      status: 429,
      body: '{"text":"Server is busy <img src=x onerror=window.owned=1>","code":9}',
      retryAfter: 0,
      times: 5,
    })
    trial.hec.failRow(2, 6)
    await page.goto(metrics.url)
    const query = trial.run()
    await trial.idle(query)
    await watched.shows('caught up')
    t.match(await watched.table('troubles'), [[/:/, 'splunk, retry', /429.*Server is busy/, '5']])
    t.strictSame(await watched.table('refusals'), [['splunk', '400, code 6', '1']])
    t.match(await page.$eval('#counts', ({ innerText }) => innerText), /5\s+retries/)
    t.equal(await page.$$eval('img', ({ length }) => length), 0, "a server's text is no HTML")
    t.equal(await page.evaluate('window.owned'), undefined)
    t.notMatch(await page.content(), inEachRow)
    await query.stop()
  })

  await t.test('hostile names and texts are text', async (t) => {
    const hostile = '"><img src=x onerror=window.owned=1><script>window.owned=2</script>'
    // A file's name has no slash.
    const name = `${hostile.replaceAll('/', '')}.ndjson`
    const folder = t.testdir({ [name]: '{"n":1}\n{"n":2}\n' })
    await using emulators = await startEmulators()
    const { rest, ca } = emulators
    await using metrics = await serveMetrics({ listen: 0, job: hostile })
    await page.goto(metrics.url)
    rest.fail({ status: 503, body: hostile, retryAfter: 0 })
    const query = streamingQuery({
      source: new FilesStreamReadable({ path: folder, poll_interval_seconds: 0.05 }),
      sink: () => new RestWritable({ url: rest.url, ca, initial_backoff: 0.01 }),
      checkpointLocation: join(folder, '.offsets'),
    })
    await once(query, 'idle')
    const rejected = { connector: hostile, row: {}, status: 400, code: hostile, text: hostile }
    channel('cyber-connectors:rejected').publish(rejected satisfies RejectedEvent)
    await watched.shows('caught up')
    await watched.shows('400, code')
    t.match(await watched.table('queries'), [{ 2: /<img src=x onerror=/ }], 'the name of a file')
    t.match(await watched.table('refusals'), [[hostile, /^400, code ">/]], 'a code and a connector')
    t.equal(await page.$eval('#job', ({ textContent }) => textContent), hostile, 'the name of the job')
    t.equal(await page.$$eval('img, body script:not([src])', ({ length }) => length), 0)
    t.equal(await page.evaluate('window.owned'), undefined)
    // Faults of the pages before, whose servers are closed, are there too.
    const refused = watched.faults.filter((fault) => /content security policy/i.test(fault))
    t.strictSame(refused, [], 'and nothing was refused by the policy, for nothing was tried')
    await query.stop()
  })

  await t.test('a job that fails', async (t) => {
    await using metrics = await serveMetrics({ listen: 0 })
    const trial = await WatchedQuery.start(t)
    await page.goto(metrics.url)
    const query = trial.run({ token: '00000000-0000-0000-0000-00000000dead' })
    await t.rejects(query.done)
    await watched.shows('failed: ')
    t.match(await watched.table('queries'), [['azure-monitor', /^failed: .*token/i]])
    t.match(await watched.table('troubles'), [[/:/, 'azure-monitor, error', /token/i, '1']])
    t.equal(await page.$eval('#state', ({ textContent }) => textContent), 'failed')
    t.notMatch(await page.content(), 'dead')
    await metrics.close()
    await watched.shows('no answer: the process has ended, or can not be reached')
  })
})
