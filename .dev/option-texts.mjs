// Reads the texts of options from the comments at their declarations, through the types that users see. The build writes
// them for `--help` and the job schema; the tables of the guides come from the same place.
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

const root = fileURLToPath(new URL('..', import.meta.url))

/** lib as TypeScript's checker understands it. */
export class OptionTypes {
  #program
  #checker

  constructor(program = ts.createProgram(...configured())) {
    this.#program = program
    this.#checker = program.getTypeChecker()
  }

  /** Options by connector and kind (`splunk writable`) and, as `job`, the members of a job file. */
  texts() {
    const texts = {}
    for (const [name, kind] of [
      ['ReadableTypes', 'readable'],
      ['StreamReadableTypes', 'streamReadable'],
      ['WritableTypes', 'writable'],
    ]) {
      for (const connector of this.#typeOf('registry', name).getProperties()) {
        const entry = this.#checker.getTypeOfSymbol(connector)
        const options = this.#checker.getTypeOfSymbol(entry.getProperty('options'))
        texts[`${connector.name} ${kind}`] = textsOf(this.#optionsOf(options))
      }
    }
    const job = this.#checker.getTypeOfSymbol(this.#exportOf('cli/job', 'jobOptions'))
    texts.job = textsOf(this.#optionsOf(this.#checker.getTypeOfSymbol(job.getProperty('specs'))))
    return texts
  }

  /** The options of a type that a module exports: name, type, text, default, and whether each must be given. */
  options(module, name) {
    return this.#optionsOf(this.#typeOf(module, name))
  }

  #exportOf(module, name) {
    const file = this.#program.getSourceFile(`${root}lib/${module}.ts`)
    const found = this.#checker
      .getExportsOfModule(this.#checker.getSymbolAtLocation(file))
      .find((each) => each.name === name)
    if (!found) throw new Error(`lib/${module}.ts exports no ${name}`)
    return found.flags & ts.SymbolFlags.Alias ? this.#checker.getAliasedSymbol(found) : found
  }

  #typeOf(module, name) {
    return this.#checker.getDeclaredTypeOfSymbol(this.#exportOf(module, name))
  }

  #optionsOf(type) {
    const members = type.isUnion() ? type.types : [type]
    const properties = new Map()
    for (const member of members) {
      for (const property of member.getApparentProperties()) {
        const found = properties.get(property.name)
        // In one member of a union an option may stand for its absence alone.
        if (!found || this.#isNever(found)) properties.set(property.name, property)
      }
    }
    const [home] = type.aliasSymbol?.declarations ?? []
    const options = [...properties].sort(inOrder(home?.getSourceFile().fileName)).map(([name, property]) => ({
      name,
      type: this.#shown(this.#checker.getTypeOfSymbol(property)),
      required: members.every((each) => {
        const own = each.getProperty(name)
        return own && !(own.flags & ts.SymbolFlags.Optional)
      }),
      ...this.#documentation(property),
    }))
    for (const { keyType, type: given, declaration } of this.#checker.getIndexInfosOfType(members[0])) {
      const prefix = keyType.texts?.[0]
      if (!prefix) continue
      const [comment] = ts.getJSDocCommentsAndTags(declaration)
      options.push({
        name: prefix,
        family: true,
        type: this.#shown(given),
        required: false,
        text: line(ts.getTextOfJSDocComment(comment?.comment) ?? ''),
      })
    }
    return options
  }

  #isNever(property) {
    return (this.#checker.getTypeOfSymbol(property).flags & ts.TypeFlags.Undefined) !== 0
  }

  #documentation(property) {
    const text = line(ts.displayPartsToString(property.getDocumentationComment(this.#checker)))
    const tags = property.getJsDocTags(this.#checker).filter(({ name }) => name === 'default')
    const fallback = tags.map((tag) => line(ts.displayPartsToString(tag.text))).at(-1)
    return fallback === undefined ? { text } : { text, default: fallback }
  }

  /** The type for a table: strings in place of a number or a boolean go without saying. */
  #shown(type) {
    const given = this.#checker.getNonNullableType(type)
    const text = this.#checker
      .typeToString(given, undefined, ts.TypeFormatFlags.NoTruncation)
      .replaceAll('Numeric', 'number')
      .replaceAll(/number \| `\$\{number\}`/g, 'number')
      .replaceAll(/\bboolean \| "true" \| "false"|"true" \| "false" \| boolean/g, 'boolean')
      .replaceAll('(string & {})', 'string')
      .replaceAll('Buffer<ArrayBufferLike>', 'Buffer')
      .replaceAll('"', "'")
      .replace(/^\((.*) \| undefined\) & \(\1\)$/, '$1')
    // The checker's order depends on what it has seen before.
    return /[{(]/.test(text) ? text : text.split(' | ').sort(literalsLast).join(' | ')
  }
}

const literalsLast = (a, b) => (a[0] === "'" ? 1 : 0) - (b[0] === "'" ? 1 : 0) || (a < b ? -1 : 1)

/** Folders in the order of their options: a connector's own before what it shares. */
const folders = ['connectors/', 'streaming/', 'source/', 'sink/', 'core/', 'http/']

/** The order of options: those of the type's own file, then by folder, each as they are declared. */
function inOrder(home) {
  const placeOf = ([, { declarations }]) => {
    const fileName = declarations[0].getSourceFile().fileName
    const folder = folders.findIndex((each) => fileName.startsWith(`${root}lib/${each}`))
    return { folder: fileName === home ? -1 : folder, fileName, at: declarations[0].pos }
  }
  return (one, other) => {
    const [a, b] = [placeOf(one), placeOf(other)]
    return a.folder - b.folder || (a.fileName < b.fileName ? -1 : a.fileName > b.fileName ? 1 : a.at - b.at)
  }
}

const line = (text) => text.replace(/\s+/g, ' ').trim()

function textsOf(options) {
  return Object.fromEntries(
    options.map(({ name, text, default: fallback }) => [
      name,
      fallback === undefined ? { text } : { text, default: fallback },
    ]),
  )
}

/** The files and the options of the build, for a program of its own. */
function configured() {
  const { config } = ts.readConfigFile(`${root}tsconfig.build.json`, ts.sys.readFile)
  const { fileNames, options } = ts.parseJsonConfigFileContent(config, ts.sys, root)
  return [fileNames, { ...options, noEmit: true, incremental: false, tsBuildInfoFile: undefined }]
}
