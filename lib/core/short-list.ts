/**
 * Takes an item out of an array that never has many. A Set would be the natural choice where many come and go, but each
 * time it makes itself a new table, the old one points to that: so all that ever was in it is kept until the next full
 * collection of garbage.
 */
export function remove<T>(list: T[], item: T): void {
  const at = list.indexOf(item)
  if (at >= 0) list.splice(at, 1)
}
