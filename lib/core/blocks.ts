/** Whole records, or one that is too long. */
export interface Block {
  readonly bytes: Buffer
  /** Their offset in the input. */
  readonly offset: number
  /** The record exceeds the limit; these are only its first bytes. */
  readonly isTooLong: boolean
  /** The input ends here. The last record may lack its terminator. */
  readonly isLast: boolean
}

/** Finds the ends of records as bytes come in. */
export interface Scanner {
  /** @returns the offsets after the first and the last end among these bytes; undefined if there is none */
  scan(bytes: Buffer): Ends | undefined
}

export interface Ends {
  readonly first: number
  readonly last: number
}

const newline = 10

/** Records that are lines. */
export const lineScanner: Scanner = {
  scan(bytes) {
    const last = bytes.lastIndexOf(newline)
    return last < 0 ? undefined : { first: bytes.indexOf(newline) + 1, last: last + 1 }
  },
}

/**
 * Cuts bytes into blocks of whole records, so that each block can be parsed at once.
 * @param offset of the first byte
 * @param limit maximum size of a record, in bytes
 */
export async function* blocksOf(
  chunks: AsyncIterable<Buffer>,
  scanner: Scanner,
  offset: number,
  limit: number,
): AsyncGenerator<Block, void> {
  /** Start of a record whose end has not come. */
  let held: Buffer[] = []
  let heldBytes = 0
  let isSkipping = false
  const take = (more: Buffer): Buffer => {
    const whole = heldBytes === 0 ? more : Buffer.concat([...held, more])
    held = []
    heldBytes = 0
    return whole
  }
  const block = (bytes: Buffer, { isTooLong = false, isLast = false } = {}): Block => {
    const made = { bytes, offset, isTooLong, isLast }
    offset += bytes.length
    return made
  }
  for await (const chunk of chunks) {
    const ends = scanner.scan(chunk)
    let from = 0
    if (ends && (heldBytes > 0 || isSkipping)) {
      from = ends.first
      if (isSkipping) offset += from
      // Only the first record needs a copy.
      else yield block(take(chunk.subarray(0, from)))
      isSkipping = false
    }
    if (ends && ends.last > from) yield block(chunk.subarray(from, ends.last))
    const rest = ends ? chunk.subarray(ends.last) : chunk
    if (isSkipping) offset += rest.length
    else if (rest.length > 0) {
      held.push(rest)
      heldBytes += rest.length
    }
    if (heldBytes > limit) {
      const whole = take(Buffer.alloc(0))
      yield { bytes: whole.subarray(0, limit), offset, isTooLong: true, isLast: false }
      offset += whole.length
      isSkipping = true
    }
  }
  yield block(take(Buffer.alloc(0)), { isLast: true })
}

/** Joins blocks to at least `atLeast` bytes, except the last one and the one before a record that is too long. */
export async function* joined(blocks: AsyncIterable<Block>, atLeast: number): AsyncGenerator<Block, void> {
  let parts: Block[] = []
  let size = 0
  const take = (): Block => {
    const [first] = parts
    const whole =
      parts.length === 1
        ? first!
        : { ...parts.at(-1)!, offset: first!.offset, bytes: Buffer.concat(parts.map(({ bytes }) => bytes)) }
    parts = []
    size = 0
    return whole
  }
  for await (const block of blocks) {
    if (block.isTooLong) {
      if (size > 0) yield take()
      yield block
      continue
    }
    parts.push(block)
    size += block.bytes.length
    if (size >= atLeast || block.isLast) yield take()
  }
}
