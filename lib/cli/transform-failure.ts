import { fileURLToPath } from 'node:url'

/** A transform of the user's threw. The message says where. */
export class TransformFailure extends Error {
  override name = 'TransformFailure'
  constructor(cause: Error) {
    const place = placeOf(cause)
    super(`the transform failed${place === undefined ? '' : ` at ${place}`}: ${cause.message}`, { cause })
  }
}

/** File and line of the first frame that is neither ours nor Node's. */
function placeOf({ stack = '' }: Error): string | undefined {
  for (const line of stack.split('\n')) {
    const [, file, number] = /(file:\/\/\/[^\s)]+?|\/[^\s)(]+?):(\d+):\d+\)?$/.exec(line) ?? []
    if (file === undefined || number === undefined) continue
    const path = file.startsWith('file:') ? fileURLToPath(file) : file
    if (!path.includes('/node_modules/') && !path.startsWith(ownFolder)) return `${path}:${number}`
  }
  return undefined
}

const ownFolder = fileURLToPath(new URL('..', import.meta.url))
