/**
 * Fields that a search of events gets at its end, by which its rows are told apart. They are copies made by `eval`: an
 * export writes `_time` with an ambiguous name of its zone and three digits, and `_indextime`, `_bkt` and `_cd` may be
 * left out unless a search names them. The names sort behind all others: Splunk writes fields in alphabetical order, and
 * the last properties of an object are the ones that can be deleted without making it slow.
 */
export const privateFields = {
  bucket: 'zz_connector_bkt',
  address: 'zz_connector_cd',
  indexed: 'zz_connector_indextime',
  time: 'zz_connector_time',
} as const

/** In the order in which they are deleted: the last one first. */
export const privateNames: readonly string[] = Object.values(privateFields).reverse()

/** The search with its private fields, and with all fields that an event has. */
export function withPrivateFields(search: string, identity: boolean): string {
  const { bucket, address, indexed, time } = privateFields
  const ids = identity ? `, ${bucket}=_bkt, ${address}=_cd` : ''
  // On a line of its own: nothing that the search ends with can swallow it.
  return `${search}\n| eval ${time}=_time, ${indexed}=_indextime${ids}\n| fields *`
}
