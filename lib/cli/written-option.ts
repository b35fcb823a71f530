import { type OptionSpec, type OptionSpecs, otherSpelling } from '../core/options.ts'

/**
 * An option as a flag or a job file gives it. A dead letter is the path of a file there.
 * @returns undefined for what only a program can give: a stream, a credential object
 */
export function written(spec: OptionSpec<unknown>): OptionSpec<unknown> | undefined {
  if (spec.names === 'dead letter') {
    const doc =
      'File that takes the rows which are refused for good, a line of JSON each. Without it such a row ends the run.'
    return { ...spec, doc, schema: { type: 'string', minLength: 1 } }
  }
  return spec.schema === undefined ? undefined : spec
}

/** The options of a declaration that a flag or a job file can give. */
export function writtenOptions(specs: OptionSpecs): [name: string, spec: OptionSpec<unknown>][] {
  return Object.entries(specs).flatMap(([name, spec]) => {
    const found = written(spec)
    return found ? [[name, found] as [string, OptionSpec<unknown>]] : []
  })
}

/** The given options that name a thing of this kind, in the spellings that they were given in. */
export function givenByName(
  specs: OptionSpecs,
  options: Readonly<Record<string, unknown>>,
  kind: NonNullable<OptionSpec<unknown>['names']>,
): { name: string; given: string; value: unknown }[] {
  return Object.entries(specs)
    .filter(([, { names }]) => names === kind)
    .flatMap(([name]) =>
      [...new Set([name, otherSpelling(name)])]
        .filter((given) => options[given] !== undefined)
        .map((given) => ({ name, given, value: options[given] })),
    )
}
