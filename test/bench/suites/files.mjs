// Readers of NDJSON files.
import { createReadStream, readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
// Comes with pino.
import split2 from 'split2'
import { product } from '../product.mjs'

const bytesOf = (path) =>
  path.endsWith('.gz') ? createReadStream(path).pipe(createGunzip()) : createReadStream(path)

/**
 * `make(options)` gives a function that reads all rows, and calls back for each. The file is read `passes` times, as one
 * pass takes a tenth of a second; and as often before, unless there is one pass: then it is cold.
 */
const reader = (make) => async (options) => {
  const read = await make(options)
  const { passes = 5 } = options
  const times = async (row) => {
    for (let pass = 0; pass < passes; pass++) await read(row)
  }
  return {
    warmUp: () => (passes > 1 ? times(() => {}) : undefined),
    async run() {
      const start = performance.now()
      let rows = 0
      let first = 0
      await times(() => {
        if (rows++ === 0) first = (performance.now() - start) / 1000
      })
      return { rows, first }
    },
  }
}

const each = async (stream, row) => {
  for await (const _ of stream) row()
}

export const contestants = {
  'cyber-connectors': reader(async ({ path }) => {
    const { FilesReadable } = await product('connectors/files/files-readable')
    return (row) => each(new FilesReadable({ path }), row)
  }),

  readline: reader(({ path }) => async (row) => {
    for await (const line of createInterface({ input: bytesOf(path) })) {
      JSON.parse(line)
      row()
    }
  }),

  split2: reader(
    ({ path }) =>
      (row) =>
        each(bytesOf(path).pipe(split2(JSON.parse)), row),
  ),

  'JSON.parse': reader(({ path }) => {
    const lines = readFileSync(path, 'utf8').split('\n').filter(Boolean)
    return (row) => {
      for (const line of lines) {
        JSON.parse(line)
        row()
      }
    }
  }),

  /** What is sent has been parsed before: the sink alone. */
  'the sink alone': reader(async ({ path, url }) => {
    const { SplunkWritable } = await product('connectors/splunk/index')
    const stock = readFileSync(path, 'utf8').split('\n').filter(Boolean).map(JSON.parse)
    return (row) => intoSplunk(Readable.from(stock), new SplunkWritable(sinkOptions(url)), row)
  }),

  'file to sink': reader(async ({ path, url }) => {
    const { SplunkWritable } = await product('connectors/splunk/index')
    const { FilesReadable } = await product('connectors/files/files-readable')
    return (row) => intoSplunk(new FilesReadable({ path }), new SplunkWritable(sinkOptions(url)), row)
  }),

  /** A stream looks at a folder, reads what is new, and commits. */
  'a folder': async ({ path, checkpointLocation }) => {
    const { FilesStreamReadable } = await product('connectors/files/files-stream-readable')
    return {
      async run() {
        const source = new FilesStreamReadable({ path, available_now: true, checkpointLocation })
        let rows = 0
        for await (const _ of source) rows++
        await source.commit()
        return { rows }
      },
    }
  },
}

const sinkOptions = (url) => ({
  url,
  token: '11111111-2222-3333-4444-555555555555',
  batch_size: 500,
})

async function intoSplunk(source, sink, row) {
  const { pipeline } = await import('node:stream/promises')
  sink.on('batch', ({ rows }) => {
    for (let index = 0; index < rows; index++) row()
  })
  await pipeline(source, sink)
}
