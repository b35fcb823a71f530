// Where a contestant's time goes: runs it under Node's CPU profiler and gives the ten functions and the places with the
// largest share of their own time. `node test/bench/profile.mjs <suite> <contestant> [options as JSON]` prints it, for a
// suite that needs no server but one of its name in servers.mjs.
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { trial } from './harness.mjs'

/** @returns shares of the time that the process was busy, `{ functions, places }`, largest first */
export async function profile(suite, contestant, options, { env } = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'bench-profile-'))
  try {
    await trial(suite, contestant, options, {
      nodeOptions: ['--cpu-prof', `--cpu-prof-dir=${folder}`, '--cpu-prof-interval=500'],
      env,
    })
    const [name] = (await readdir(folder)).filter((file) => file.endsWith('.cpuprofile'))
    return shares(JSON.parse(await readFile(join(folder, name), 'utf8')))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function shares({ nodes, samples, timeDeltas }) {
  const own = new Map()
  samples.forEach((id, index) => {
    own.set(id, (own.get(id) ?? 0) + timeDeltas[index])
  })
  const functions = new Map()
  const places = new Map()
  let total = 0
  for (const { id, callFrame } of nodes) {
    const time = own.get(id) ?? 0
    if (time === 0 || callFrame.functionName === '(idle)') continue
    total += time
    const place = placeOf(callFrame)
    const key = `${callFrame.functionName || '(anonymous)'}, ${place}${callFrame.url ? `:${callFrame.lineNumber + 1}` : ''}`
    functions.set(key, (functions.get(key) ?? 0) + time)
    const group = groupOf(callFrame, place)
    places.set(group, (places.get(group) ?? 0) + time)
  }
  const ranked = (map) =>
    [...map].map(([name, time]) => ({ name, share: time / total })).sort((a, b) => b.share - a.share)
  return { functions: ranked(functions), places: ranked(places), milliseconds: total / 1000 }
}

function placeOf({ url, functionName }) {
  if (url.startsWith('node:')) return url
  if (url === '') return functionName.startsWith('(') ? '' : 'native'
  const [, dependency] = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+\/.*)$/.exec(url) ?? []
  return dependency ?? url.replace(/^.*\/(dist|bench)\//, '$1/').replace(/^dist\//, 'lib/')
}

function groupOf({ url, functionName }, place) {
  if (url.startsWith('node:')) return `Node: ${place.replace(/^node:(internal\/)?/, '').split('/')[0]}`
  if (functionName === '(garbage collector)') return 'garbage collector'
  if (functionName === '(program)') return 'Node, native: sockets, JSON, strings'
  if (url === '') return 'Node, native: sockets, JSON, strings'
  return place.startsWith('lib/')
    ? place
    : place
        .split('/')
        .slice(0, place.startsWith('@') ? 2 : 1)
        .join('/')
}

if (import.meta.filename === process.argv[1] || process.argv[1]?.endsWith('profile.mjs')) {
  const { startServer } = await import('./harness.mjs')
  const [suite, contestant, json = '{}'] = process.argv.slice(2)
  const { serverOf } = await import(`./suites/${suite}.mjs`)
  const server = serverOf && (await startServer(serverOf))
  const options = { batch: 50, rows: 100_000, warmUp: 20_000, ...server, ...JSON.parse(json) }
  const { functions, places, milliseconds } = await profile(suite, contestant, options)
  const line = ({ name, share }) => `${(share * 100).toFixed(1).padStart(5)} %  ${name}`
  console.log(`${contestant}, ${Math.round(milliseconds)} ms busy\n`)
  console.log(
    functions
      .slice(0, Number(process.env.TOP ?? 10))
      .map(line)
      .join('\n'),
    '\n',
  )
  console.log(places.slice(0, 14).map(line).join('\n'))
  await server?.close()
}
