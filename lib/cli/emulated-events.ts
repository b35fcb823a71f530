import { serialize } from '../core/json.ts'
import type { Emulators } from '../emulators/index.ts'

const width = 120

/** Says each event, row and request body that is taken in, a line each, cut where it is long. */
export function sayEvents({ hec, ingestion, rest }: Emulators, say: (line: string) => void): void {
  for (const [name, service] of Object.entries({ hec, ingestion, rest })) {
    service.on('taken', (rows: readonly unknown[]) => {
      for (const row of rows) {
        const text = `${name} ${serialize(row)}`
        say(text.length > width ? `${text.slice(0, width - 1)}…` : text)
      }
    })
  }
}
