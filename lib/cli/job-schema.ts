import { type OptionDeclaration, type OptionSpec, type OptionSpecs, otherSpelling } from '../core/options.ts'
import { connectorsByDeclaration, declarationsOf, sideOptions, writtenOptions } from './connector-options.ts'
import { jobOptions } from './job.ts'
import { withTexts } from './option-texts.ts'

type Schema = Record<string, unknown>
type Schemas = ReadonlyMap<string, Schema>

/** The JSON Schema of job files, from the declarations of the options: for editors. */
export function jobSchema(): Schema {
  const { source: _, sink: __, ...others } = jobMembers()
  const common = commonOptions()
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'A job of cyber-connectors',
    description: `Source and sink of a job, and how rows move. \${NAME} in a string is replaced by an environment variable.`,
    type: 'object',
    required: ['source', 'sink'],
    additionalProperties: false,
    properties: {
      $schema: { type: 'string' },
      source: endpointSchema('source', common),
      sink: endpointSchema('sink', common),
      ...properties(others),
    },
    patternProperties: otherSpellings(others),
    definitions: Object.fromEntries(common),
  }
}

const jobMembers = () => withTexts('job', jobOptions).specs

/** The options that several connectors have alike, by name: each is written once. */
function commonOptions(): Schemas {
  const seen = new Map<string, string[]>()
  for (const noun of ['source', 'sink'] as const) {
    for (const { declarations } of connectorsByDeclaration(noun)) {
      for (const [name, spec] of writtenOptions(sideOptions('from', declarations).specs)) {
        seen.set(name, [...(seen.get(name) ?? []), JSON.stringify(optionSchema(spec))])
      }
    }
  }
  const common: [string, Schema][] = []
  for (const [name, texts] of seen) {
    const twice = texts.find((text, index) => texts.indexOf(text) < index)
    if (twice) common.push([name, JSON.parse(twice)])
  }
  return new Map(common)
}

function endpointSchema(noun: 'source' | 'sink', common: Schemas): Schema {
  const groups = connectorsByDeclaration(noun)
  const names = groups.flatMap(({ names }) => names)
  const known = groups.map(({ names, declarations }) => {
    const description = `The ${noun} ${names.join(' or ')}.`
    const connector = names.length === 1 ? { const: names[0], description } : { enum: names, description }
    return connectorSchema(connector, declarations, common)
  })
  const stranger = {
    type: 'object',
    required: ['connector'],
    additionalProperties: false,
    properties: {
      connector: {
        type: 'string',
        not: { enum: [...names, '-'] },
        description: 'A connector that `imports` register.',
      },
      options: { type: 'object' },
    },
  }
  const standard = connectorSchema(
    { const: '-', description: `Standard ${noun === 'sink' ? 'output' : 'input'}.` },
    declarationsOf('-', noun),
    common,
  )
  return {
    description: jobMembers()[noun]?.doc,
    anyOf: [{ const: '-' }, ...known, standard, stranger],
  }
}

function connectorSchema(
  connector: Schema,
  declarations: readonly OptionDeclaration<OptionSpecs>[],
  common: Schemas,
): Schema {
  const { specs, prefixes } = sideOptions('from', declarations)
  const families = Object.entries(prefixes).map(([prefix, spec]) => [`^${prefix}.`, optionSchema(spec)])
  // What each of them asks for is asked for whether the job is a streaming one or not.
  const required = Object.entries(specs)
    .filter(([name, { required }]) => required && declarations.every(({ specs }) => specs[name]?.required))
    .map(([name]) => name)
  const patterns = { ...otherSpellings(specs), ...Object.fromEntries(families) }
  return {
    type: 'object',
    required: required.length > 0 ? ['connector', 'options'] : ['connector'],
    additionalProperties: false,
    properties: {
      connector,
      options: {
        type: 'object',
        additionalProperties: false,
        properties: properties(specs, common),
        ...(Object.keys(patterns).length > 0 && { patternProperties: patterns }),
        ...(required.length > 0 && { allOf: required.map(eitherSpelling) }),
      },
    },
  }
}

function properties(specs: OptionSpecs, common: Schemas = new Map()): Schema {
  const schemas = writtenOptions(specs).map(([name, spec]) => {
    const schema = optionSchema(spec)
    const alike = JSON.stringify(schema) === JSON.stringify(common.get(name))
    return [name, alike ? { $ref: `#/definitions/${name}` } : schema]
  })
  return Object.fromEntries(schemas)
}

/** The other spellings, those with values of one form together: accepted, and not proposed by an editor. */
function otherSpellings(specs: OptionSpecs): Schema {
  const byForm = new Map<string, string[]>()
  for (const [name, { schema }] of writtenOptions(specs)) {
    const other = otherSpelling(name)
    if (Object.hasOwn(specs, other)) continue
    const form = JSON.stringify(schema)
    byForm.set(form, [...(byForm.get(form) ?? []), other])
  }
  return Object.fromEntries(
    [...byForm].map(([form, names]) => [`^(${names.join('|')})$`, JSON.parse(form) as Schema]),
  )
}

function eitherSpelling(name: string): Schema {
  const other = otherSpelling(name)
  return other === name ? { required: [name] } : { anyOf: [{ required: [name] }, { required: [other] }] }
}

function optionSchema(spec: OptionSpec<unknown>): Schema {
  const secret = spec.secret ? ` A secret: give it as \${NAME}, a variable of the environment.` : ''
  const fallback = spec.default !== undefined ? { default: spec.default } : {}
  return { ...spec.schema, description: `${spec.doc ?? ''}${secret}`, ...fallback }
}
