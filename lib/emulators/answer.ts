import type { OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import { createGzip, gzip as gzipCallback, gzipSync, constants as zlib } from 'node:zlib'
import type { Fault, RecordedRequest } from './fault.ts'

const gzip = promisify(gzipCallback)
const SMALL = 32_768
const FAST = { level: zlib.Z_BEST_SPEED }

/** What a service answers. */
export interface Answer {
  status: number
  headers?: OutgoingHttpHeaders
  /** Text and bytes go as they are, a stream is passed on, any other object becomes JSON. */
  body?: string | Uint8Array | Readable | object | undefined
}

/**
 * Sends the answer: gzipped when the request accepts it, the body has at least `gzipFrom` bytes and has no
 * content-encoding yet; cut or silenced as `fault` says.
 */
export async function sendAnswer(
  response: ServerResponse,
  request: RecordedRequest,
  answer: Answer,
  gzipFrom: number,
  fault: Fault | undefined,
): Promise<void> {
  const headers: OutgoingHttpHeaders = {}
  for (const [name, value] of Object.entries(answer.headers ?? {})) headers[name.toLowerCase()] = value
  let body = encode(answer.body, headers)
  const broken =
    fault !== undefined && (fault.reset === 'within' || fault.stall === 'within' || fault.truncate === true)
  if (broken && body instanceof Readable) body = await buffer(body)
  const mayGzip = headers['content-encoding'] === undefined && acceptsGzip(request.headers['accept-encoding'])
  if (body instanceof Readable) {
    if (mayGzip) headers['content-encoding'] = 'gzip'
    response.writeHead(answer.status, headers)
    await (mayGzip ? pipeline(body, createGzip(FAST), response) : pipeline(body, response))
    return
  }
  if (mayGzip && body.length > 0 && body.length >= gzipFrom) {
    body = body.length < SMALL ? gzipSync(body, FAST) : await gzip(body, FAST)
    headers['content-encoding'] = 'gzip'
  }
  if (broken) return sendBroken(response, answer.status, headers, body, fault)
  // 204 and 304 have no body, and so no length.
  if (answer.status !== 204 && answer.status !== 304) headers['content-length'] = body.length
  response.writeHead(answer.status, headers)
  response.end(request.method === 'HEAD' ? undefined : body)
}

function sendBroken(
  response: ServerResponse,
  status: number,
  headers: OutgoingHttpHeaders,
  body: Uint8Array,
  fault: Fault,
): void {
  const half = body.subarray(0, body.length >> 1)
  if (fault.truncate) {
    response.writeHead(status, { ...headers, 'content-length': half.length }).end(half)
    return
  }
  const stop = () => fault.reset === 'within' && response.destroy()
  if (half.length === 0) {
    // No body to cut: the cut goes through the status line.
    response.socket?.write(`HTTP/1.1 ${status}`, stop)
    return
  }
  response.writeHead(status, { ...headers, 'content-length': body.length })
  response.write(half, stop)
}

function encode(body: Answer['body'], headers: OutgoingHttpHeaders): Buffer | Readable {
  if (body === undefined) return Buffer.alloc(0)
  if (body instanceof Readable) return body
  if (body instanceof Uint8Array) return Buffer.isBuffer(body) ? body : Buffer.from(body)
  if (typeof body === 'string') {
    headers['content-type'] ??= 'text/plain; charset=utf-8'
    return Buffer.from(body)
  }
  headers['content-type'] ??= 'application/json; charset=utf-8'
  return Buffer.from(JSON.stringify(body))
}

/** Content codings are named in any case; `gzip;q=0` refuses. */
function acceptsGzip(header: string | string[] | undefined): boolean {
  if (header === undefined) return false
  return String(header)
    .split(',')
    .some((coding) => /^\s*(x-)?gzip\s*(;\s*q=(?!0(\.0*)?\s*$).*)?$/i.test(coding))
}
