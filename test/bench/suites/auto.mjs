// A sink that always has something to send, for so many seconds.
import { product } from '../product.mjs'

const { RestWritable } = await product('connectors/rest/index')

export const contestants = {
  async sender({ url, seconds, max_in_flight }) {
    return {
      async run() {
        const sink = new RestWritable({ url, batch_size: 50, max_in_flight, max_retry_seconds: 600 })
        const end = performance.now() + seconds * 1000
        const broken = new Promise((_, reject) => sink.on('error', reject))
        broken.catch(() => {})
        for (let id = 0; performance.now() < end; id++) {
          if (sink.write({ id })) continue
          let timer
          const late = new Promise((resolve) => { timer = setTimeout(resolve, end - performance.now()) }) // biome-ignore format: a line
          await Promise.race([new Promise((resolve) => sink.once('drain', resolve)), broken, late])
          clearTimeout(timer)
        }
        const { delivered } = sink.stats
        sink.on('error', () => {})
        sink.destroy()
        return { rows: delivered }
      },
    }
  },
}
