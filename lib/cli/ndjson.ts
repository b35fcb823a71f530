import { isUtf8 } from 'node:buffer'
import { createReadStream } from 'node:fs'
import type { Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { parseJson } from '../core/exact-json.ts'

/** A line of NDJSON that can't be read. The message names it by its number and does not show it. */
export class BadLine extends Error {
  override name = 'BadLine'
  /** Counts from 1. */
  readonly line: number
  readonly text: string
  constructor(line: number, text: string, problem: string) {
    super(`line ${line} ${problem}`)
    this.line = line
    this.text = text
  }
}

/** Records of NDJSON bytes, one a line. Integers beyond 2^53 become bigint. Blank lines are passed over. */
export async function* readNdjson(
  bytes: AsyncIterable<Buffer>,
  onBadLine: (bad: BadLine) => void | Promise<void> = (bad) => {
    throw bad
  },
): AsyncGenerator<Record<string, unknown>> {
  let number = 0
  for await (const line of lines(bytes)) {
    number++
    // A byte order mark, as programs on Windows write it.
    const text = number === 1 ? line.toString().replace(/^\ufeff/, '') : line.toString()
    if (text.trim() === '') continue
    // Decoded all the same, it would go on with other characters in it.
    if (!isUtf8(line)) {
      await onBadLine(new BadLine(number, text, 'is not UTF-8'))
      continue
    }
    let record: unknown
    try {
      record = parseJson(text)
    } catch {
      await onBadLine(new BadLine(number, text, 'is not JSON'))
      continue
    }
    if (typeof record !== 'object' || record === null || Array.isArray(record)) {
      await onBadLine(new BadLine(number, text, 'is JSON, but not an object'))
      continue
    }
    yield record as Record<string, unknown>
  }
}

const newline = 10

async function* lines(bytes: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let rest: Buffer[] = []
  for await (const chunk of bytes) {
    let from = 0
    for (let to = chunk.indexOf(newline); to >= 0; to = chunk.indexOf(newline, from)) {
      const end = chunk.subarray(from, to)
      yield rest.length === 0 ? end : Buffer.concat([...rest, end])
      rest = []
      from = to + 1
    }
    if (from < chunk.length) rest.push(chunk.subarray(from))
  }
  if (rest.length > 0) yield Buffer.concat(rest)
}

/** The bytes of a file, unzipped where its name ends in .gz. */
export function openFile(path: string): Readable {
  const file = createReadStream(path)
  return path.endsWith('.gz') ? file.compose(createGunzip()) : file
}
