import { leaseSpec } from '../checkpoint/lease.ts'
import { type OptionSpecs, option, Refusal } from '../core/options.ts'
import { isTransientFault } from '../core/retry.ts'

/** The longest name of a checkpoint, in characters. */
const longestName = 500

const nameSpec = option.custom<string>(
  {
    form: `a string of 1 to ${longestName} characters`,
    schema: { type: 'string', minLength: 1, maxLength: longestName },
    parse: (value) =>
      typeof value === 'string' && value.trim() !== '' && value.length <= longestName && !value.includes('\0')
        ? value
        : undefined,
  },
  { required: true },
)

/** Options of the stores in a database. */
export const databaseSpecs = {
  /** Name of the checkpoint: each query has its own. Names given to `open` follow it after a slash. */
  name: nameSpec,
  /**
   * Time after which another process may take over from a holder that was killed, frozen or cut off, in seconds: 1 to
   * 3600. The holder renews its lease four times in that time.
   * @default 15
   */
  lease_seconds: leaseSpec(1, 3600),
  /**
   * Further options of the client: of [pg](https://node-postgres.com/apis/pool), such as `ssl` or a `password` function, or
   * of [ioredis](https://redis.github.io/ioredis/interfaces/CommonRedisOptions.html), such as `tls` or `sentinels`.
   */
  connection: option.custom<object>({
    form: 'an object of options of the client',
    parse: (value) => (typeof value === 'object' && value !== null ? value : undefined),
  }),
} satisfies OptionSpecs

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

/** Location of a checkpoint, for errors: the URL without user, password and parameters. */
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
