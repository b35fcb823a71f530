import { OptionError } from '../core/errors.ts'
import { type ServiceName, services } from './fault-flag.ts'
import { readYaml } from './read-yaml.ts'

/** What may be fixed of a service, besides its port. */
const texts: Readonly<Record<ServiceName, readonly string[]>> = {
  entra: ['tenant_id', 'client_id', 'client_secret'],
  'log-analytics': [],
  ingestion: [],
  hec: ['token'],
  'splunk-search': ['token', 'username', 'password'],
  rest: ['authorization'],
  databricks: ['token', 'client_id', 'client_secret', 'credential_name'],
}

/** What stays the same each time the emulators are started, by service. */
export type EmulateSettings = Partial<Record<ServiceName, { port?: number; [setting: string]: unknown }>>

export const settingsHelp = `The file of --settings is YAML or JSON, a map from services to their port and what they take:
${Object.entries(texts)
  .map(([name, settings]) => `  ${name}: ${['port', ...settings].join(', ')}`)
  .join('\n')}
As in:
  hec: { port: 8088, token: my-token }
  entra: { tenant_id: my-tenant, client_id: my-client, client_secret: my-secret }`

export const isPort = (value: unknown): value is number =>
  Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 65_535

/** @throws OptionError that lists all that is wrong with the file, and shows no value of it */
export async function readEmulateSettings(path: string): Promise<EmulateSettings> {
  const given = await readYaml(path)
  const problems: string[] = []
  const isMap = (value: unknown): value is Record<string, unknown> =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
  if (!isMap(given)) throw new OptionError(path, ['expected a map from services to their settings'])
  for (const [name, settings] of Object.entries(given)) {
    if (!Object.hasOwn(services, name)) {
      problems.push(`there is no service "${name}"; there are ${Object.keys(services).join(', ')}`)
      continue
    }
    if (!isMap(settings)) {
      problems.push(`${name}: expected a map of settings`)
      continue
    }
    const known = texts[name as ServiceName]
    for (const [setting, value] of Object.entries(settings)) {
      if (setting === 'port') {
        if (!isPort(value)) problems.push(`${name}: port: expected an integer from 0 to 65535`)
      } else if (!known.includes(setting)) {
        problems.push(`${name}: there is no setting "${setting}"; there are ${['port', ...known].join(', ')}`)
      } else if (typeof value !== 'string' || value === '') {
        problems.push(`${name}: ${setting}: expected a text`)
      }
    }
  }
  if (problems.length > 0) throw new OptionError(path, problems)
  return given
}
