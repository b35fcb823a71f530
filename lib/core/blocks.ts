/** Whole records of a text, or one that is too long. */
export interface Block {
  readonly bytes: Buffer
  /** Where they begin in the text. */
  readonly offset: number
  /** A record that passes the limit: its first bytes only. */
  readonly isTooLong: boolean
  /** The text ends behind it. Its last record may lack its end. */
  readonly isLast: boolean
}

/** Finds the ends of records as bytes come in. */
export interface Scanner {
  /** @returns where the first and the last end among these bytes are, behind the end; undefined where there is none */
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
 * Cuts a text into blocks at the ends of records, so that each can be parsed at once.
 * @param offset where the text begins
 * @param limit bytes that one record may have
 */
export async function* blocksOf(
  chunks: AsyncIterable<Buffer>,
  scanner: Scanner,
  offset: number,
  limit: number,
): AsyncGenerator<Block, void> {
  /** The begin of a record whose end has not come. */
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
      // Only the first record is copied together.
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

/** Blocks joined to at least so many bytes each, but for the last one and before one that is too long. */
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
