import type { nodeStreamSpecs, OptionSpec } from './options.ts'

/** `batch_size` as `batchSize`. */
type CamelCase<N extends string> = N extends `${infer Head}_${infer Tail}`
  ? `${Head}${Capitalize<CamelCase<Tail>>}`
  : N

/** `inferSchema` as `infer_schema`. */
type SnakeCase<N extends string> = N extends `${infer First}${infer Rest}`
  ? `${First extends Lowercase<First> ? '' : '_'}${Lowercase<First>}${SnakeCase<Rest>}`
  : N

/** The other spelling of an option's name, as `otherSpelling` gives it; the name itself if there is none. */
type OtherSpelling<N> = N extends `${string}_${string}`
  ? CamelCase<N>
  : N extends string
    ? SnakeCase<N>
    : never

type Given<Spec> = Spec extends OptionSpec<unknown, infer G> ? G : never

type RequiredSpecs<S> = {
  [K in keyof S]: S[K] extends OptionSpec<unknown, unknown, true> ? K : never
}[keyof S]

/**
 * What a caller may give to a declaration. `Pick` and `Omit` keep the comments for editors.
 */
export type OptionsOf<S> = { [K in keyof Pick<S, RequiredSpecs<S>>]: Given<S[K]> } & {
  [K in keyof Omit<S, RequiredSpecs<S>>]?: Given<S[K]> | undefined
}

/** Options of Node's own streams, which every stream passes on to Node. */
export type StreamOptions = OptionsOf<typeof nodeStreamSpecs>

/** At least one of these groups of options is given completely: `AnyOf<S, 'credential' | ['client_id', 'client_secret']>`. */
export type AnyOf<S, Groups extends keyof S | readonly (keyof S)[]> = Groups extends readonly (keyof S)[]
  ? { [K in Groups[number]]: Given<S[K]> }
  : { [K in Groups & keyof S]: Given<S[K]> }

/** Exactly one of these options is given. */
export type OneOf<S, Names extends keyof S> = {
  [N in Names]: { [K in N]: Given<S[K]> } & { [K in Exclude<Names, N>]?: undefined }
}[Names]

type RequiredKeys<O> = { [K in keyof O]-?: object extends Pick<O, K> ? never : K }[keyof O]

/** Turns a union into an intersection. Members are boxed, so that unions within one survive. */
type All<Boxed> = (Boxed extends unknown ? (box: Boxed) => void : never) extends (box: infer I) => void
  ? I extends { readonly boxed: infer X }
    ? X
    : unknown
  : never

/** Each required option is given, in one spelling or the other. */
type GivenEitherWay<O> = All<
  {
    [K in RequiredKeys<O>]: {
      readonly boxed: { [N in K]: O[K] } | { [N in OtherSpelling<K>]: O[K] }
    }
  }[RequiredKeys<O>]
>

/** Options of which each name may be written in either spelling: `batch_size` or `batchSize`. */
export type EitherSpelling<O> = O extends unknown
  ? { [K in keyof O]?: O[K] | undefined } & {
      [K in keyof O as OtherSpelling<K>]?: O[K] | undefined
    } & GivenEitherWay<O>
  : never
