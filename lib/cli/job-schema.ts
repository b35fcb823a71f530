import type { OptionDeclaration, OptionSpec, OptionSpecs } from '../core/options.ts'
import { otherSpelling } from '../core/options.ts'
import { registered } from '../registry.ts'
import { isWritable, sideOptions } from './connector-flags.ts'
import { jobSpecs } from './job.ts'
import { declarationsOf } from './plan.ts'

type Schema = Record<string, unknown>

/** The JSON Schema of job files, from the declarations of the options: for editors. */
export function jobSchema(): Schema {
  const { source: _, sink: __, ...others } = jobSpecs
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'A job of cyber-connectors',
    description: `What is to be moved from where to where. \${NAME} in a text stands for a variable of the environment.`,
    type: 'object',
    required: ['source', 'sink'],
    additionalProperties: false,
    properties: {
      $schema: { type: 'string' },
      source: endpointSchema('source'),
      sink: endpointSchema('sink'),
      ...properties(others),
      ...otherSpellings(others),
    },
  }
}

function endpointSchema(noun: 'source' | 'sink'): Schema {
  const names = [...registered()]
    .filter(([, connector]) =>
      noun === 'sink' ? connector.writable : (connector.readable ?? connector.streamReadable),
    )
    .map(([name]) => name)
  const known = names.map((name) =>
    connectorSchema({ const: name, description: `The ${noun} ${name}.` }, declarationsOf(name, noun)),
  )
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
  )
  return {
    description: jobSpecs[noun].doc,
    anyOf: [{ const: '-' }, ...known, standard, stranger],
  }
}

function connectorSchema(connector: Schema, declarations: readonly OptionDeclaration<OptionSpecs>[]): Schema {
  const { specs, prefixes } = sideOptions('from', declarations)
  const patterns = Object.entries(prefixes).map(([prefix, spec]) => [
    `^${prefix}.`,
    optionSchema(prefix, spec),
  ])
  // What each of them asks for is asked for whether the job is a streaming one or not.
  const required = Object.entries(specs)
    .filter(([name, { required }]) => required && declarations.every(({ specs }) => specs[name]?.required))
    .map(([name]) => name)
  return {
    type: 'object',
    required: required.length > 0 ? ['connector', 'options'] : ['connector'],
    additionalProperties: false,
    properties: {
      connector,
      options: {
        type: 'object',
        additionalProperties: false,
        properties: { ...properties(specs), ...otherSpellings(specs) },
        ...(patterns.length > 0 && { patternProperties: Object.fromEntries(patterns) }),
        ...(required.length > 0 && { allOf: required.map(eitherSpelling) }),
      },
    },
  }
}

const writable = (specs: OptionSpecs) =>
  Object.entries(specs).filter(([name, spec]) => isWritable(name, spec))

function properties(specs: OptionSpecs): Schema {
  return Object.fromEntries(writable(specs).map(([name, spec]) => [name, optionSchema(name, spec)]))
}

/** Accepted, and not proposed: an editor lists what has a description first. */
function otherSpellings(specs: OptionSpecs): Schema {
  return Object.fromEntries(
    writable(specs)
      .map(
        ([name, spec]) =>
          [otherSpelling(name), { ...valueSchema(name, spec), description: `Same as ${name}.` }] as const,
      )
      .filter(([name]) => !Object.hasOwn(specs, name)),
  )
}

function eitherSpelling(name: string): Schema {
  const other = otherSpelling(name)
  return other === name ? { required: [name] } : { anyOf: [{ required: [name] }, { required: [other] }] }
}

function valueSchema(name: string, spec: OptionSpec<unknown>): Schema {
  return name === 'dead_letter' ? { type: 'string', minLength: 1 } : { ...spec.schema }
}

function optionSchema(name: string, spec: OptionSpec<unknown>): Schema {
  const doc =
    name === 'dead_letter'
      ? 'File that takes the rows which are refused for good, a line of JSON each. Without it such a row ends the run.'
      : spec.doc
  const secret = spec.secret ? ` A secret: give it as \${NAME}, a variable of the environment.` : ''
  const fallback = spec.default !== undefined ? { default: spec.default } : {}
  const inWords = spec.default === undefined && spec.defaultText ? ` Default: ${spec.defaultText}.` : ''
  return { ...valueSchema(name, spec), description: `${doc}${secret}${inWords}`, ...fallback }
}
