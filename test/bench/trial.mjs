// One run of one contestant, in a process of its own: `node trial.mjs <suite> <contestant> <options as JSON>`.
// A suite gives for each contestant a function of the options: it sets up and returns { warmUp?, run, close? }.
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'

const [suite, name, json] = process.argv.slice(2)
const options = JSON.parse(json)
const { contestants } = await import(new URL(`./suites/${suite}.mjs`, import.meta.url))
const { warmUp, run, close } = await contestants[name](options)

await warmUp?.()
const resolution = 1
const delay = options.loopDelay ? monitorEventLoopDelay({ resolution }) : undefined
delay?.enable()
const memory = process.memoryUsage().rss
const cpuBefore = process.cpuUsage()
const start = performance.now()
const result = await run()
const seconds = (performance.now() - start) / 1000
const { user, system } = process.cpuUsage(cpuBefore)
// A stall is noted by the first timer after it.
if (delay) await sleep(5)
delay?.disable()
await close?.()

const millisecondsOver = (nanoseconds) => Math.max(0, nanoseconds / 1e6 - resolution)
// What a contestant measured by itself stands: a peer in a process of its own, a start that counts.
process.send({
  seconds,
  cpu: (user + system) / 1e6,
  peak: process.resourceUsage().maxRSS * 1024,
  before: memory,
  ...result,
  ...(delay && { delay: millisecondsOver(delay.percentile(99.9)), longest: millisecondsOver(delay.max) }),
})
process.disconnect()
process.exitCode = 0
// Peers leave timers and sockets behind.
setTimeout(() => process.exit(), 100).unref()
