import { option, Refusal } from '../core/options.ts'
import { isTransientFault } from '../core/retry.ts'

/** The longest name of a checkpoint, in characters. */
const longestName = 500

/** The options that say which checkpoint of a database is meant. */
export const nameSpec = option.custom(
  {
    form: `a text of 1 to ${longestName} characters`,
    type: 'string',
    schema: { type: 'string', minLength: 1, maxLength: longestName },
    parse: (value: unknown): string | undefined =>
      typeof value === 'string' && value.trim() !== '' && value.length <= longestName && !value.includes('\0')
        ? value
        : undefined,
  },
  {
    required: true,
    doc: 'Tells the checkpoints of one database apart: give each query a name of its own. Names given to `open` come after it, with a slash between.',
  },
)

/** A URL with one of these schemes, and with what `check` wants of it. */
export function urlSpec(form: string, schemes: readonly string[], doc: string) {
  return option.custom(
    {
      form,
      type: 'string | URL',
      schema: { type: 'string' },
      parse(value: unknown): string | undefined {
        const text = value instanceof URL ? value.href : value
        if (typeof text !== 'string' || !schemes.some((scheme) => text.startsWith(`${scheme}//`)))
          return undefined
        // A wrong one may hold a password: it is not shown.
        if (!URL.canParse(text)) throw new Refusal(`expected ${form}, got a text that is no URL`)
        return text
      },
    },
    { required: true, secret: true, doc },
  )
}

/** Where a checkpoint is, for errors: the URL without user, password and parameters. */
export function locationOf(url: string, name: string): string {
  const { protocol, host, pathname } = new URL(url)
  return `${protocol}//${host}${pathname}, name "${name}"`
}

/** The name that `open` was given, after the store's. */
export function fullName(base: string, name: string): string {
  return name === '' ? base : `${base}/${name}`
}

/** Whether a fault of a connection will not pass, such as a refused certificate. What has no code passes. */
export function isFinalFault(error: Error): boolean {
  return (error as NodeJS.ErrnoException).code !== undefined && !isTransientFault(error)
}
