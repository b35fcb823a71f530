import { createReadStream } from 'node:fs'
import type { Readable } from 'node:stream'
import { StringDecoder } from 'node:string_decoder'
import { createGunzip } from 'node:zlib'
import { parseJson } from '../core/json.ts'

/** A line of NDJSON that can't be read. `line` counts from 1. */
export class BadLine extends Error {
  override name = 'BadLine'
  readonly line: number
  readonly text: string
  constructor(line: number, text: string, problem: string) {
    super(`line ${line}: ${problem}: ${text.length > 120 ? `${text.slice(0, 120)}…` : text}`)
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
  let line = 0
  for await (const text of lines(bytes)) {
    line++
    if (text.trim() === '') continue
    let record: unknown
    try {
      record = parseJson(text)
    } catch {
      await onBadLine(new BadLine(line, text, 'is not JSON'))
      continue
    }
    if (typeof record !== 'object' || record === null || Array.isArray(record)) {
      await onBadLine(new BadLine(line, text, 'is not a JSON object'))
      continue
    }
    yield record as Record<string, unknown>
  }
}

async function* lines(bytes: AsyncIterable<Buffer>): AsyncGenerator<string> {
  const decoder = new StringDecoder('utf8')
  let rest = ''
  for await (const chunk of bytes) {
    const parts = (rest + decoder.write(chunk)).split('\n')
    rest = parts.pop()!
    yield* parts
  }
  rest += decoder.end()
  if (rest !== '') yield rest
}

/** The bytes of a file, unzipped where its name ends in .gz. */
export function openFile(path: string): Readable {
  const file = createReadStream(path)
  return path.endsWith('.gz') ? file.compose(createGunzip()) : file
}
