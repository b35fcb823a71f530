/** Removes an item from a short array. Not a Set: V8 keeps entries of a rehashed Set alive until a full collection. */
export function remove<T>(list: T[], item: T): void {
  const at = list.indexOf(item)
  if (at >= 0) list.splice(at, 1)
}
