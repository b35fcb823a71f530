import { existsSync } from 'node:fs'
import { registered } from '../registry.ts'

/**
 * The connector that a source is given by, or the path of files in its place: what is no connector's name and is there,
 * or can only be a path or pattern.
 */
export function endpointOf(from: string): { connector: string; path?: string }
export function endpointOf(from: string | undefined): { connector: string | undefined; path?: string }
export function endpointOf(from: string | undefined): { connector: string | undefined; path?: string } {
  if (from === undefined || from === '-' || registered().has(from)) return { connector: from }
  const isPath = /[/\\*?.]/.test(from) || existsSync(from)
  return isPath ? { connector: 'files', path: from } : { connector: from }
}
