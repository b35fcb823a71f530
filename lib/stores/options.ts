import { option, Refusal } from '../core/options.ts'
import { isTransientFault } from '../core/retry.ts'

/** The longest name of a checkpoint, in characters. */
const longestName = 500

/** The option `name`: which checkpoint of a database is meant. */
export const nameSpec = option.custom<string>(
  {
    form: `a text of 1 to ${longestName} characters`,
    schema: { type: 'string', minLength: 1, maxLength: longestName },
    parse: (value) =>
      typeof value === 'string' && value.trim() !== '' && value.length <= longestName && !value.includes('\0')
        ? value
        : undefined,
  },
  { required: true },
)

/** A URL with one of these schemes, and with what `check` wants of it. */
export function urlSpec(form: string, schemes: readonly string[]) {
  return option.custom<string, string | URL>(
    {
      form,
      schema: { type: 'string' },
      parse(value) {
        const text = value instanceof URL ? value.href : value
        if (typeof text !== 'string' || !schemes.some((scheme) => text.startsWith(`${scheme}//`)))
          return undefined
        // A wrong one may hold a password: it is not shown.
        if (!URL.canParse(text)) throw new Refusal(`expected ${form}, got a string that is no URL`)
        return text
      },
    },
    { required: true, secret: true },
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

/** Whether a connection fault is permanent, such as a refused certificate. A fault without a code is transient. */
export function isFinalFault(error: Error): boolean {
  return (error as NodeJS.ErrnoException).code !== undefined && !isTransientFault(error)
}
