/** `batch_size` as `batchSize`. */
type CamelCase<N extends string> = N extends `${infer Head}_${infer Tail}`
  ? `${Head}${Capitalize<CamelCase<Tail>>}`
  : N

/** `inferSchema` as `infer_schema`. */
type SnakeCase<N extends string> = N extends `${infer First}${infer Rest}`
  ? `${First extends Lowercase<First> ? '' : '_'}${Lowercase<First>}${SnakeCase<Rest>}`
  : N

/** The other spelling of an option's name, as `otherSpelling` gives it; the name itself where there is none. */
export type OtherSpelling<N> = N extends `${string}_${string}`
  ? CamelCase<N>
  : N extends string
    ? SnakeCase<N>
    : never

/** Options of which each name may be written in either spelling: `batch_size` or `batchSize`. */
export type EitherSpelling<Fields> = Fields & {
  [Name in keyof Fields as OtherSpelling<Name>]?: Fields[Name] | undefined
}

/** All of these options are given, each in either spelling. */
type Given<Fields, Names extends readonly unknown[]> = Names extends readonly [
  infer Name extends keyof Fields,
  ...infer Rest,
]
  ? ({ [N in Name]-?: NonNullable<Fields[N]> } | { [N in OtherSpelling<Name>]: NonNullable<Fields[Name]> }) &
      Given<Fields, Rest>
  : unknown

/** None of these options is given. */
type Absent<Names> = { [N in (Names & string) | OtherSpelling<Names>]?: undefined }

/** Options of which at least one group, such as `['client_id', 'client_secret']`, is given whole. */
export type AnyOf<Fields, Groups extends readonly unknown[]> = Groups extends readonly unknown[]
  ? Given<Fields, Groups>
  : never

/** Options of which one is given, and no other of them. */
export type OneOf<Fields, Names extends keyof Fields> = {
  [N in Names]: Given<Fields, [N]> & Absent<Exclude<Names, N>>
}[Names]
