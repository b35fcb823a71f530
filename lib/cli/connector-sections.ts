import { sideOptions } from './connector-flags.ts'
import { connectorsByDeclaration, groupByDeclaration } from './declarations.ts'
import { type Notation, optionsHelp } from './option-help.ts'

/** The options of these connectors as sections of `--help`; of all connectors on a side where none is named. */
export function connectorSections(
  { from, to }: { readonly from?: string | undefined; readonly to?: string | undefined },
  notation: Notation,
): string {
  const sides = [
    { noun: 'source' as const, side: 'from' as const, name: from, before: [] },
    { noun: 'sink' as const, side: 'to' as const, name: to, before: groupByDeclaration(['-'], 'sink') },
  ]
  return sides
    .flatMap(({ noun, side, name, before }) => {
      const groups =
        name === undefined ? [...before, ...connectorsByDeclaration(noun)] : groupByDeclaration([name], noun)
      return groups.map(({ names, declarations }) =>
        optionsHelp(
          `Options of the ${noun} ${names.join(' or ')}`,
          sideOptions(side, declarations),
          notation,
        ),
      )
    })
    .join('\n\n')
}
