import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'

/** A text that tells one opening of a checkpoint from every other, and who it was. */
export function holderText(): string {
  return JSON.stringify({
    pid: process.pid,
    host: hostname(),
    since: new Date().toISOString(),
    id: randomUUID(),
  })
}

/** The holder in words, for errors. */
export function describeHolder(text: string): string {
  try {
    const { pid, host, since } = JSON.parse(text)
    return `process ${pid} on host "${host}" since ${since}`
  } catch {
    return 'another process'
  }
}
