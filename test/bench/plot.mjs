// Plots as SVG: lines over time, legible on white and on black.

const width = 760
const left = 64
const top = 40
const panelHeight = 150
const gap = 34
const colors = ['#2f81f7', '#e5534b', '#57ab5a', '#c69026']

/** About five round numbers from 0 up to `limit`. */
function ticks(limit) {
  const raw = limit / 4
  const power = 10 ** Math.floor(Math.log10(raw || 1))
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size >= raw) ?? power
  return Array.from({ length: Math.floor(limit / step + 1e-9) + 1 }, (_, index) => index * step)
}

const plain = (value) => value.toLocaleString('en-US', { maximumFractionDigits: 1 })

/**
 * @param title of the whole
 * @param panels one above the other, over the same time: `{ title, lines: [{ name, points: [[x, y], …] }] }`
 * @returns text of an SVG
 */
export function linePlot(title, panels, xTitle) {
  const right = width - 20
  const lastX = Math.max(
    ...panels.flatMap(({ lines }) => lines.flatMap(({ points }) => points.map(([x]) => x))),
  )
  const x = (value) => left + ((right - left) * value) / lastX
  const height = top + panels.length * (panelHeight + gap) + 30
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif" font-size="12" fill="#768390">`,
    `<text x="${left}" y="18" font-size="14" font-weight="600">${title}</text>`,
  ]
  panels.forEach((panel, index) => {
    const floor = top + index * (panelHeight + gap) + panelHeight
    const most = Math.max(...panel.lines.flatMap(({ points }) => points.map(([, y]) => y))) * 1.08 || 1
    const y = (value) => floor - (panelHeight * value) / most
    let legend = left
    parts.push(`<text x="${legend}" y="${floor - panelHeight - 6}">${panel.title}</text>`)
    legend += panel.title.length * 6.4 + 18
    for (const value of ticks(most)) {
      parts.push(
        `<path d="M${left} ${y(value).toFixed(1)}H${right}" stroke="#768390" stroke-opacity="0.25"/>`,
        `<text x="${left - 8}" y="${(y(value) + 4).toFixed(1)}" text-anchor="end">${plain(value)}</text>`,
      )
    }
    panel.lines.forEach(({ name, points }, number) => {
      const color = colors[number % colors.length]
      const path = points.map(([px, py]) => `${x(px).toFixed(1)} ${y(py).toFixed(1)}`).join('L')
      parts.push(`<path d="M${path}" fill="none" stroke="${color}" stroke-width="1.6"/>`)
      if (panel.lines.length > 1 || name) {
        parts.push(`<text x="${legend}" y="${floor - panelHeight - 6}" fill="${color}">${name}</text>`)
        legend += name.length * 6.4 + 16
      }
    })
    if (index === panels.length - 1) {
      for (const value of ticks(lastX))
        parts.push(
          `<text x="${x(value).toFixed(1)}" y="${floor + 18}" text-anchor="middle">${plain(value)}</text>`,
        )
      parts.push(`<text x="${right}" y="${floor + 34}" text-anchor="end">${xTitle}</text>`)
    }
  })
  return `${parts.join('\n')}\n</svg>\n`
}
