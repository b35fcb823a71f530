import type { EncodedRow } from './sink-protocol.ts'

/**
 * Rows as the bytes of a body, with these texts before, between and after them. Written in place: joined to one long text
 * first, they would be copied two times more, which costs as much as their serialization.
 */
export function joinRows(
  rows: readonly EncodedRow[],
  before: string,
  between: string,
  after: string,
): Buffer {
  let length = before.length + between.length * (rows.length - 1) + after.length
  for (const { bytes } of rows) length += bytes
  const body = Buffer.allocUnsafeSlow(length)
  let at = body.write(before, 0)
  let first = true
  for (const { wire } of rows) {
    if (!first) at += body.write(between, at)
    first = false
    at += body.write(wire, at)
  }
  body.write(after, at)
  return body
}
