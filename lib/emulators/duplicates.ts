/** The items whose key was there before, in order: each further time counts. Default key: all of the item. */
export function repeated<Item>(items: readonly Item[], keyOf: (item: Item) => unknown = wholeItem): Item[] {
  const seen = new Set<unknown>()
  return items.filter((item) => {
    const key = keyOf(item)
    return seen.size === seen.add(key).size
  })
}

function wholeItem(item: unknown): string {
  return JSON.stringify(item, (_key, value) => (typeof value === 'bigint' ? `${value}n` : value))
}
