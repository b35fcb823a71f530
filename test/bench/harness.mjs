// Runs contestants in turn, each time in a new process, against a server in another one, and takes medians.
import { fork } from 'node:child_process'
import { once } from 'node:events'

const file = (name) => new URL(name, import.meta.url)

/** Starts a server of servers.mjs in a process of its own. */
export async function startServer(kind, options = {}, env = {}) {
  const child = fork(file('server.mjs'), [kind, JSON.stringify(options)], { env: { ...process.env, ...env } })
  const [facts] = await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(() => Promise.reject(new Error(`the server ${kind} ended`))),
  ])
  return {
    ...facts,
    pid: child.pid,
    async count() {
      child.send('count')
      const [{ count }] = await once(child, 'message')
      return count
    },
    async close() {
      child.send('stop')
      await once(child, 'exit')
    },
  }
}

/** Runs one contestant of a suite once. */
export async function trial(suite, contestant, options, { nodeOptions = [], env = {}, onMessage } = {}) {
  const child = fork(file('trial.mjs'), [suite, contestant, JSON.stringify(options)], {
    execArgv: nodeOptions,
    env: { ...process.env, ...env },
  })
  let result
  child.on('message', (message) => {
    if (message.seconds === undefined) onMessage?.(message)
    else result = message
  })
  const [code] = await once(child, 'exit')
  if (!result) throw new Error(`${suite}, ${contestant}: ended with ${code} and no result`)
  return result
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** What several rounds of contestants gave. */
class Comparison {
  /** By label, in the order of the rounds. */
  #results

  constructor(results) {
    this.#results = results
  }

  get labels() {
    return Object.keys(this.#results)
  }

  /** The median of a figure, by name or by a function of a result. */
  of(label, figure) {
    return median(this.#results[label].map(figureOf(figure)))
  }

  /** How many times as much one has as another: the median over the rounds, as what is measured next to each other compares best. */
  ratio(label, other, figure) {
    const value = figureOf(figure)
    return median(
      this.#results[label].map((result, round) => value(result) / value(this.#results[other][round])),
    )
  }
}

const figureOf = (figure) => (typeof figure === 'function' ? figure : (result) => result[figure])

/**
 * Runs contestants in turn, `rounds` times, in another order each time.
 * @param contestants as { label: { suite, contestant, options, env } }
 * @param check called with each label and result; throws where it is not what it should be
 */
export async function alternate(contestants, { rounds, check }) {
  const labels = Object.keys(contestants)
  const results = Object.fromEntries(labels.map((label) => [label, []]))
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < labels.length; turn++) {
      const label = labels[(turn + round) % labels.length]
      const { suite, contestant, options, env } = contestants[label]
      const result = await trial(suite, contestant, options, { env })
      await check?.(label, result)
      results[label].push(result)
      process.stderr.write('.')
    }
  }
  process.stderr.write('\n')
  return new Comparison(results)
}
