// The page of a job: shows server-sent events as counts, plots and tables. It sets text only, never HTML.
import uPlot from '/uplot.js'

const byId = (id) => document.getElementById(id)
const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 })
const short = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 })
const precise = new Intl.NumberFormat('en', { maximumFractionDigits: 3 })
const clock = new Intl.DateTimeFormat('en', { timeStyle: 'medium', hour12: false })

const mostSamples = 900
const mostWindows = 200
const shownWindows = 50
let samples = []
let windows = new Map()

/** Seconds in words: `1.2 s`, `3 min 20 s`, `2 h 5 min`. */
function span(seconds) {
  if (seconds === undefined) return '–'
  if (seconds < 60) return `${precise.format(Number(seconds.toPrecision(3)))} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`
  const hours = Math.floor(minutes / 60)
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`
}

function element(name, text, className) {
  const made = document.createElement(name)
  if (text !== undefined) made.textContent = text
  if (className) made.className = className
  return made
}

/** Fills a table. A column is [heading, row => cell], a cell is a number, a string, or { text, className }. */
function fill(table, columns, rows, none) {
  const head = element('tr')
  for (const [heading, , className] of columns) head.append(element('th', heading, className))
  const lines = rows.map((row) => {
    const line = element('tr')
    for (const [, cell, className = ''] of columns) {
      const value = cell(row)
      const { text, className: own = '' } = typeof value === 'object' ? value : { text: value }
      line.append(element('td', String(text), `${className} ${own}`.trim()))
    }
    return line
  })
  table.replaceChildren(...(lines.length > 0 ? [head, ...lines] : [wrap('tr', element('td', none))]))
}

function wrap(name, child) {
  const made = element(name)
  made.append(child)
  return made
}

const colours = () => {
  const style = getComputedStyle(document.documentElement)
  return (name) => style.getPropertyValue(`--${name}`).trim()
}

/** A plot as wide as its figure. It is drawn again if width or colours change. */
class Plot {
  #figure
  #series
  #data
  #plot
  #points

  constructor(id, series, { points = false } = {}) {
    this.#figure = byId(id)
    this.#series = series
    this.#points = points
    this.#data = [[], ...series.map(() => [])]
    new ResizeObserver(() => this.#plot?.setSize(this.#size())).observe(this.#figure)
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#make())
    this.#make()
  }

  set(data) {
    this.#data = data
    this.#plot.setData(data)
  }

  #size() {
    return { width: Math.max(200, this.#figure.clientWidth - 16), height: 140 }
  }

  #make() {
    this.#plot?.destroy()
    const colour = colours()
    const axis = {
      stroke: colour('faint'),
      grid: { stroke: colour('line'), width: 1 },
      ticks: { show: false },
    }
    const options = {
      ...this.#size(),
      legend: { show: this.#series.length > 1 },
      cursor: { y: false },
      scales: { y: { range: (_, _low, high) => [0, high > 0 ? high * 1.1 : 1] } },
      axes: [
        {
          ...axis,
          size: 28,
          space: 80,
          values: (_, ticks) => ticks.map((tick) => clock.format(tick * 1000)),
        },
        { ...axis, size: 55, values: (_, ticks) => ticks.map((tick) => short.format(tick)) },
      ],
      series: [
        { value: (_, time) => (time ? clock.format(time * 1000) : '') },
        ...this.#series.map(({ label, colour: name }) => ({
          label,
          stroke: colour(name),
          width: 2,
          ...(this.#points ? { paths: () => null, points: { show: true, size: 6, fill: colour(name) } } : {}),
          value: (_, value) => (value === null || value === undefined ? '–' : precise.format(value)),
        })),
      ],
    }
    this.#plot = new uPlot(options, this.#data, this.#figure)
  }
}

const rates = new Plot('rates', [
  { label: 'in', colour: 'in' },
  { label: 'out', colour: 'out' },
])
const lag = new Plot('lag', [{ label: 'lag', colour: 'in' }])
const durations = new Plot('durations', [{ label: 'duration', colour: 'out' }], { points: true })
const flight = new Plot('flight', [{ label: 'in flight', colour: 'in' }])

/** Growth of a count a second, from each sample to the next. */
function perSecond(count) {
  return samples.map((sample, at) => {
    const before = samples[at - 1]
    return before ? ((sample[count] - before[count]) * 1000) / (sample.at - before.at) : null
  })
}

/** Growth a second over the last ten samples, which is steadier than one. */
function recent(count) {
  const last = samples.at(-1)
  const before = samples.at(-11) ?? samples[0]
  if (!last || last === before) return 0
  return ((last[count] - before[count]) * 1000) / (last.at - before.at)
}

function showCounts({ totals, lag: behind, inFlight, queue }) {
  const flying = Object.values(inFlight).reduce((sum, count) => sum + count, 0)
  const counts = [
    ['rows a second, in', short.format(recent('rowsIn'))],
    ['rows a second, out', short.format(recent('rowsOut'))],
    ['rows delivered', whole.format(totals.rowsOut)],
    ['lag', span(behind)],
    ['in flight', whole.format(flying)],
    ['retries', whole.format(totals.retries)],
    ['rows rejected', whole.format(totals.rejected)],
  ]
  if (queue) {
    counts.push(['windows waiting', whole.format(queue.waiting + queue.delayed)])
    counts.push(['windows in flight', whole.format(queue.active)])
    counts.push(['windows done', whole.format(queue.completed)])
    counts.push(['windows failed', whole.format(queue.failed)])
  }
  byId('counts').replaceChildren(
    ...counts.map(([name, value]) => {
      const box = element('div', undefined, 'count')
      box.append(element('b', value), element('span', name))
      return box
    }),
  )
}

const stateClass = {
  failed: 'bad',
  retrying: 'busy',
  retried: 'busy',
  'waiting for its checkpoint': 'busy',
  done: 'good',
  running: 'good',
  delivering: 'good',
  'caught up': 'good',
}

function showHead({ standing, process, started, now }) {
  const { job, version, sources, sinks } = process
  const name = job ?? 'cyber-connectors'
  document.title = `${name}: ${standing.state}`
  byId('job').textContent = name
  byId('route').textContent = [sources, sinks].map((names) => names.join(', ') || '…').join(' → ')
  byId('since').textContent =
    `since ${clock.format(started)}, for ${span(Math.floor((now - started) / 1000))}`
  byId('version').textContent = `cyber-connectors ${version}`
  showState(standing.state, standing.text)
}

function showState(state, text) {
  byId('state').textContent = state
  byId('reason').textContent = text
  byId('standing').className = `standing ${stateClass[state] ?? ''}`
}

const stateOf = ({ state, error, text }) => ({
  text: (error ?? text) ? `${state}: ${error ?? text}` : state,
  className: stateClass[state] ?? '',
})
const number = 'number'

function showTables({ queries, troubles, refusals }) {
  fill(
    byId('queries'),
    [
      ['source', ({ source }) => source],
      ['state', stateOf, 'text'],
      ['read up to', ({ offset }) => offset ?? '–', 'text'],
      ['lag', ({ lag: behind }) => span(behind), number],
      ['windows', ({ windows: count }) => whole.format(count), number],
    ],
    queries,
    'No streaming query. The counts above cover all streams.',
  )
  fill(
    byId('troubles'),
    [
      ['last at', ({ at }) => clock.format(at)],
      [
        'what',
        ({ kind, connector }) => ({
          text: `${connector}, ${kind}`,
          className: kind === 'error' ? 'bad' : 'busy',
        }),
      ],
      ['text', ({ text }) => text, 'text'],
      ['times', ({ count }) => whole.format(count), number],
    ],
    troubles,
    'None.',
  )
  fill(
    byId('refusals'),
    [
      ['connector', ({ connector }) => connector],
      ['reason', ({ reason }) => reason],
      ['rows', ({ rows }) => whole.format(rows), number],
    ],
    refusals,
    'None.',
  )
  const latest = [...windows.values()].sort((a, b) => b.at - a.at).slice(0, shownWindows)
  fill(
    byId('windows'),
    [
      ['at', ({ at }) => clock.format(at)],
      ['window', ({ window }) => window, 'text'],
      ['state', stateOf, 'text'],
      ['rows in', ({ rowsIn }) => whole.format(rowsIn), number],
      ['rows out', ({ rowsOut }) => whole.format(rowsOut), number],
      ['duration', ({ duration }) => span(duration), number],
      ['retries', ({ retries }) => whole.format(retries), number],
    ],
    latest,
    'None yet.',
  )
}

function showPlots() {
  const times = samples.map(({ at }) => at / 1000)
  rates.set([times, perSecond('rowsIn'), perSecond('rowsOut')])
  lag.set([times, samples.map((sample) => sample.lag ?? null)])
  flight.set([times, samples.map(({ inFlight }) => inFlight)])
  const done = [...windows.values()].filter(({ state }) => state === 'done').sort((a, b) => a.at - b.at)
  durations.set([done.map(({ at }) => at / 1000), done.map(({ duration }) => duration)])
}

const events = new EventSource('/events')
events.addEventListener('message', ({ data }) => {
  const state = JSON.parse(data)
  if (state.first) {
    samples = []
    windows = new Map()
  }
  samples = [...samples, ...state.samples].slice(-mostSamples)
  for (const window of state.windows) {
    const key = `${window.source} ${window.window}`
    windows.delete(key)
    windows.set(key, window)
  }
  for (const key of [...windows.keys()].slice(0, -mostWindows)) windows.delete(key)
  showHead(state)
  showCounts(state)
  showTables(state)
  showPlots()
})
events.addEventListener('error', () =>
  showState('failed', 'no answer: the process has ended, or can not be reached'),
)
