/** A field's value: text, or the texts of a multivalue field. */
export type FieldValue = string | string[]

/** A row as a search passes it on. `_time` is in seconds since 1970, as `eval` sees it. */
export type SearchRow = Record<string, FieldValue>

/** An error of a search: what splunkd says in a FATAL message. */
export class SearchError extends Error {
  override name = 'SearchError'
}
