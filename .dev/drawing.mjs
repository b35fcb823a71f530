// Draws lib's folders and the directions of their imports as Mermaid, from what the files import. An import that another
// path of arrows already implies is left out, as in "cli -> metrics -> streaming" beside "cli -> streaming".
import { cruise } from 'dependency-cruiser'

const { output } = await cruise(['lib'], {
  includeOnly: '^lib/',
  tsPreCompilationDeps: true,
  doNotFollow: { path: 'node_modules' },
})

/** The folder that a file belongs to: each connector is one of its own. */
const folderOf = (file) =>
  /^lib\/(connectors\/[^/]+(?=\/)|streaming\/bullmq|[^/]+)/.exec(file)[1].replace(/\.ts$/, '')

const imports = new Map()
for (const { source, dependencies } of output.modules) {
  const from = folderOf(source)
  const to = imports.get(from) ?? new Set()
  for (const { resolved } of dependencies) if (folderOf(resolved) !== from) to.add(folderOf(resolved))
  imports.set(from, to)
}

/** All folders that a folder imports, directly or through others. */
function reached(from, found = new Set()) {
  for (const to of imports.get(from)) if (!found.has(to)) reached(to, found.add(to))
  return found
}
const isImplied = (from, to) =>
  [...imports.get(from)].some((between) => between !== to && reached(between).has(to))

console.log('flowchart TD')
for (const [from, folders] of [...imports].sort()) {
  const arrows = [...folders].filter((to) => !isImplied(from, to)).sort()
  console.log(arrows.length > 0 ? `  ${from} --> ${arrows.join(' & ')}` : `  ${from}`)
}
