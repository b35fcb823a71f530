import { OptionError } from '../core/errors.ts'
import { declareOptions, type OptionDeclaration, type OptionSpecs } from '../core/options.ts'
import { maker, registered } from '../registry.ts'
import { sinkSpecs } from '../sink/options.ts'

const { dead_letter } = sinkSpecs({ batch_size: 1, batch_bytes: 1, max_in_flight: 1 })

/** The options of `-`, by what it is. */
export const standardStreams = {
  source: declareOptions('standard input', {}),
  sink: declareOptions('standard output', { dead_letter }),
}

/** The declarations that the options of an endpoint may be of. */
export function declarationsOf(
  connector: string,
  noun: 'source' | 'sink',
): readonly OptionDeclaration<OptionSpecs>[] {
  if (connector === '-') return [standardStreams[noun]]
  const kinds = noun === 'sink' ? (['writable'] as const) : (['readable', 'streamReadable'] as const)
  const found: OptionDeclaration<OptionSpecs>[] = []
  for (const kind of kinds) {
    try {
      const { declaration } = maker(connector, kind, noun)
      if (declaration) found.push(declaration)
    } catch (error) {
      if (!(error instanceof OptionError)) throw error
    }
  }
  // An unknown name is told of as maker() tells it.
  if (found.length === 0) maker(connector, noun === 'sink' ? 'writable' : 'readable', noun)
  return found
}

/** The connectors of one side, those that share their declaration (two names for one) together. */
export function connectorsByDeclaration(noun: 'source' | 'sink') {
  const names = [...registered()]
    .filter(([, { readable, streamReadable, writable }]) =>
      noun === 'sink' ? writable : (readable ?? streamReadable),
    )
    .map(([name]) => name)
  return groupByDeclaration(names, noun)
}

/** Names of one and the same connector together. */
export function groupByDeclaration(names: readonly string[], noun: 'source' | 'sink') {
  type Group = { names: string[]; declarations: readonly OptionDeclaration<OptionSpecs>[] }
  const groups = new Map<unknown, Group>()
  for (const name of names) {
    const declarations = declarationsOf(name, noun)
    // One without a declaration is a group of its own.
    const key = declarations[0] ?? name
    const group = groups.get(key) ?? { names: [], declarations }
    group.names.push(name)
    groups.set(key, group)
  }
  return [...groups.values()]
}
