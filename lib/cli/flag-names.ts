import type { Option } from 'commander'

/** The flag of an option: `batch-size` for `batch_size`, `infer-schema` for `inferSchema`. */
export function flagOf(option: string): string {
  return option.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`).replaceAll('_', '-')
}

/** Spells the flags of a command line as they are declared: `--batch_size` and `--batchSize` as `--batch-size`. */
export function canonicalFlags(argv: readonly string[], options: readonly Option[]): string[] {
  const known = new Map(options.map((option) => [option.long, option]))
  const spelled: string[] = []
  for (let index = 0; index < argv.length; index++) {
    const token = argv[index]!
    if (token === '--') return [...spelled, ...argv.slice(index)]
    const [flag = '', ...value] = token.split('=')
    const canonical = known.has(flag) ? flag : `--${flagOf(flag.slice(2))}`
    const option = flag.startsWith('--') ? known.get(canonical) : undefined
    spelled.push(option ? [canonical, ...value].join('=') : token)
    // What follows is a value, whatever it looks like.
    const next = argv[index + 1]
    if (option?.required && value.length === 0 && next !== undefined) {
      spelled.push(next)
      index++
    }
  }
  return spelled
}
