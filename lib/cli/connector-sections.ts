import { registered } from '../registry.ts'
import { sideOptions } from './connector-flags.ts'
import { type Notation, optionsHelp } from './option-help.ts'
import { declarationsOf } from './plan.ts'

/** The options of these connectors as sections of `--help`; of all connectors on a side where none is named. */
export function connectorSections(
  { from, to }: { readonly from?: string | undefined; readonly to?: string | undefined },
  notation: Notation,
): string {
  const all = [...registered()]
  const sources = all.filter(([, { readable, streamReadable }]) => readable ?? streamReadable)
  const sinks = all.filter(([, { writable }]) => writable)
  const named = (list: typeof all) => list.map(([name]) => name)
  const sections = [
    ...aliases(from === undefined ? named(sources) : [from], 'source'),
    ...aliases(to === undefined ? ['-', ...named(sinks)] : [to], 'sink'),
  ].map(({ names, noun }) => {
    const options = sideOptions(noun === 'source' ? 'from' : 'to', declarationsOf(names[0]!, noun))
    return optionsHelp(`Options of the ${noun} ${names.join(' or ')}`, options, notation)
  })
  return sections.join('\n\n')
}

/** Names of one and the same connector together. */
function aliases(names: readonly string[], noun: 'source' | 'sink') {
  const groups = new Map<unknown, { names: string[]; noun: 'source' | 'sink' }>()
  for (const name of names) {
    const [declaration] = declarationsOf(name, noun)
    const group = groups.get(declaration) ?? { names: [], noun }
    group.names.push(name)
    groups.set(declaration, group)
  }
  return [...groups.values()]
}
