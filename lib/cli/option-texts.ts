import { existsSync, readFileSync } from 'node:fs'
import type { OptionDeclaration, OptionSpec, OptionSpecs } from '../core/options.ts'

/** The text and the default of an option, as the comment at its declaration has them. */
interface OptionText {
  readonly text: string
  readonly default?: string
}

type OptionTexts = Readonly<Record<string, Readonly<Record<string, OptionText>>>>

/** Made by the build, from the comments. Beside the bundle; from the sources, in `dist`. */
const files = ['../option-texts.json', '../../dist/option-texts.json']

let loaded: OptionTexts | undefined

function optionTexts(): OptionTexts {
  if (loaded) return loaded
  const file = files.map((path) => new URL(path, import.meta.url)).find((url) => existsSync(url))
  loaded = file ? (JSON.parse(readFileSync(file, 'utf8')) as OptionTexts) : {}
  return loaded
}

const documented = new WeakMap<OptionDeclaration<OptionSpecs>, OptionDeclaration<OptionSpecs>>()

/**
 * A declaration with the texts of its options.
 * @param key whose texts: `splunk writable`, `job`
 */
export function withTexts(
  key: string,
  declaration: OptionDeclaration<OptionSpecs>,
): OptionDeclaration<OptionSpecs> {
  let found = documented.get(declaration)
  if (!found) {
    const texts = optionTexts()[key] ?? {}
    const { specs, prefixes } = declaration
    found = { ...declaration, specs: textsOf(specs, texts), prefixes: textsOf(prefixes, texts) }
    documented.set(declaration, found)
  }
  return found
}

function textsOf<T extends OptionSpec<unknown>>(
  specs: Readonly<Record<string, T>>,
  texts: Readonly<Record<string, OptionText>>,
): Record<string, T> {
  return Object.fromEntries(
    Object.entries(specs).map(([name, spec]) => {
      const text = texts[name]
      if (!text) return [name, spec]
      // A default that is a value is shown by whoever shows the option.
      const inWords = spec.default === undefined && text.default !== undefined
      return [name, { ...spec, doc: inWords ? `${text.text} Default: ${text.default}.` : text.text }]
    }),
  )
}
