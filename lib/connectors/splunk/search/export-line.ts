const [zero, nine, brace] = [0x30, 0x39, 0x7d]
const wholeStart = Buffer.from('{"preview":false,"offset":')
const previewStart = Buffer.from('{"preview":true,"offset":')
const last = Buffer.from(',"lastrow":true')
const result = Buffer.from(',"result":')
const resultStart = Buffer.from(',"result":{')

/**
 * A line of an export answer, told by its first and last bytes, without being parsed: nearly all lines are
 * `{"preview":false,"offset":7,"result":{…}}`, the last one with `"lastrow":true`. One object serves for many lines.
 */
export class ExportLine {
  isPreview = false
  isLast = false
  /** Where its result lies. */
  start = 0
  end = 0

  /** @returns whether it has that form; a line that has not must be parsed as a whole */
  read(bytes: Buffer, from: number, to: number): boolean {
    this.isPreview = !begins(bytes, from, to, wholeStart)
    if (this.isPreview && !begins(bytes, from, to, previewStart)) return false
    let at = from + (this.isPreview ? previewStart : wholeStart).length
    while (bytes[at]! >= zero && bytes[at]! <= nine) at++
    this.isLast = begins(bytes, at, to, last)
    if (this.isLast) at += last.length
    this.start = at + result.length
    this.end = to - 1
    return begins(bytes, at, to, resultStart) && bytes[to - 1] === brace && bytes[to - 2] === brace
  }
}

function begins(bytes: Buffer, start: number, end: number, head: Buffer): boolean {
  if (start + head.length > end) return false
  for (let at = 0; at < head.length; at++) if (bytes[start + at] !== head[at]) return false
  return true
}
