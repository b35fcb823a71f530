import { isDate } from 'node:util/types'
import { OptionError } from '../../core/errors.ts'
import { JsonText } from '../../core/json.ts'
import { parseInstant } from '../../core/time.ts'
import { ColumnNames } from './column-names.ts'

/** Type of a column, as the declaration of a stream calls it. */
export type SentinelColumnType = 'string' | 'int' | 'long' | 'real' | 'boolean' | 'datetime' | 'dynamic'

export interface SentinelColumn {
  readonly name: string
  readonly type: SentinelColumnType
}

export interface SentinelTemplateOptions {
  /** Name of the table, which ends with `_CL`. */
  table: string
  /** Column of the sample with the time of an event. Default: `TimeGenerated` if the rows have it, else none. */
  time_column?: string | undefined
  /** Resource id or name of the workspace: default of the template's parameter. */
  workspace_id?: string | undefined
  /** Object id of the identity that sends rows: it gets the role on the rule. Default: no role assignment. */
  principal_id?: string | undefined
  /** Plan of the table. Default: `Analytics`. */
  plan?: 'Analytics' | 'Basic' | 'Auxiliary' | undefined
  /** Makes a data collection endpoint too, as private links need it. Default: false, the rule has endpoints of its own. */
  dce?: boolean | undefined
}

export interface SentinelTemplate {
  /** The ARM template, plain JSON. */
  readonly template: Record<string, unknown>
  /** Columns of the stream: the names and types that rows are sent with. */
  readonly columns: readonly SentinelColumn[]
  /** What was chosen and is in doubt, a line each. */
  readonly report: readonly string[]
}

/** The role Monitoring Metrics Publisher. */
const publisherRole = '3913510d-42f4-4e42-8a64-420c390055eb'
const tables = 'Microsoft.OperationalInsights/workspaces/tables'
const rules = 'Microsoft.Insights/dataCollectionRules'
const endpoints = 'Microsoft.Insights/dataCollectionEndpoints'

/**
 * The ARM template of a custom table and of the data collection rule that rows are sent to: what the Sentinel sink needs.
 * Deploy it with `az deployment group create`; its outputs are the sink's `dce`, `dcr_id` and `dcs`.
 *
 * @param rows a sample; names and types of the columns come from all of its rows. Names are those of the sink with
 *   `column_names: 'azure'`
 * @throws OptionError for a wrong option, for no rows, and for two columns that become one
 */
export async function sentinelTemplate(
  rows: Iterable<object> | AsyncIterable<object>,
  options: SentinelTemplateOptions,
): Promise<SentinelTemplate> {
  checkOptions(options)
  const report: string[] = []
  const { shapes, count } = await shapesOf(rows)
  if (count === 0) throw new OptionError('sentinel-template', ['the sample has no rows'])
  const { time_column: time = shapes.has('TimeGenerated') ? 'TimeGenerated' : undefined, plan } = options
  if (time !== undefined && !shapes.has(time)) {
    throw new OptionError('sentinel-template', [
      `time_column: the sample has no column ${JSON.stringify(time)}`,
    ])
  }
  const names = new ColumnNames()
  const columns: SentinelColumn[] = []
  let timeSource: { column: string; shape: ColumnShape } | undefined
  for (const [given, shape] of shapes) {
    let name: string
    try {
      name = names.of(given)
    } catch (error) {
      throw new OptionError('sentinel-template', [(error as Error).message])
    }
    if (name !== given) report.push(`${given}: is called ${name}; send rows with column_names: 'azure'`)
    columns.push({ name, type: shape.type((doubt) => report.push(`${name}: ${doubt}`)) })
    if (given === time) timeSource = { column: name, shape }
  }
  const eventTime = columns.some(({ name }) => name === 'EventTime') ? 'EventTime_' : 'EventTime'
  const derived = timeSource && timeExpression(timeSource.column, timeSource.shape, report)
  if (derived === undefined) {
    report.push('TimeGenerated: no time column was named, so it is the time of ingestion')
  } else {
    report.push(
      `${eventTime}: holds the time of the event. The service replaces a TimeGenerated more than 2 days old or a day ahead by the time of ingestion, so a history is found by ${eventTime}`,
    )
  }
  if (plan === 'Auxiliary') {
    report.push(
      'plan Auxiliary: a call is refused if the TimeGenerated of its rows spans more than 30 minutes: set batch_span_seconds: 1800',
    )
  }
  if (plan === 'Auxiliary' || plan === 'Basic') {
    report.push(`plan ${plan}: its rows are not read by the query API, so verify can't count them`)
  }
  const stored = [
    { name: 'TimeGenerated', type: 'datetime' as const },
    ...(derived === undefined ? [] : [{ name: eventTime, type: 'datetime' as const }]),
    ...columns.filter(({ name }) => name !== 'TimeGenerated'),
  ]
  const transform =
    derived === undefined
      ? 'source | extend TimeGenerated = now()'
      : `source | extend ${derived === 'TimeGenerated' ? '' : `TimeGenerated = ${derived}, `}${eventTime} = ${derived}`
  return { template: armTemplate(options, columns, stored, transform), columns, report }
}

function checkOptions({ table, plan, principal_id }: SentinelTemplateOptions): void {
  const problems: string[] = []
  if (typeof table !== 'string' || !/^[A-Za-z][A-Za-z0-9_]{0,59}_CL$/.test(table)) {
    problems.push(
      'table: expected a letter, then letters, digits and _, and _CL at the end, such as ZeekDns_CL',
    )
  }
  if (plan !== undefined && !['Analytics', 'Basic', 'Auxiliary'].includes(plan)) {
    problems.push('plan: expected "Analytics", "Basic" or "Auxiliary"')
  }
  if (principal_id !== undefined && !/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(principal_id)) {
    problems.push('principal_id: expected the object id of the identity, a GUID')
  }
  if (problems.length > 0) throw new OptionError('sentinel-template', problems)
}

async function shapesOf(
  rows: Iterable<object> | AsyncIterable<object>,
): Promise<{ shapes: Map<string, ColumnShape>; count: number }> {
  const shapes = new Map<string, ColumnShape>()
  let count = 0
  for await (const row of rows) {
    count++
    for (const [name, value] of Object.entries(row instanceof JsonText ? row.value : row)) {
      let shape = shapes.get(name)
      if (!shape) {
        shape = new ColumnShape()
        shapes.set(name, shape)
      }
      shape.add(value)
    }
  }
  return { shapes, count }
}

type Kind = 'boolean' | 'int' | 'long' | 'big' | 'real' | 'time' | 'local time' | 'string' | 'dynamic'

const zonedTime = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d([.,]\d+)?)?\s*(Z|[+-]\d\d(:?\d\d)?)$/i
const localTime = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d([.,]\d+)?)?$/

/** What the values of one column have in common. */
class ColumnShape {
  readonly #kinds = new Set<Kind>()
  /** Largest number without its sign. */
  largest = 0

  add(value: unknown): void {
    if (value === null || value === undefined) return
    this.#kinds.add(this.#kindOf(value))
  }

  /** @param doubt receives what is in doubt */
  type(doubt: (text: string) => void): SentinelColumnType {
    const has = (...kinds: Kind[]) => [...this.#kinds].every((kind) => kinds.includes(kind))
    if (this.#kinds.size === 0) {
      doubt('has no value in the sample; string')
      return 'string'
    }
    if (has('boolean')) return 'boolean'
    if (has('time')) return 'datetime'
    if (has('int')) return 'int'
    if (has('int', 'long')) return 'long'
    if (has('int', 'long', 'real')) {
      if (this.#kinds.has('long'))
        doubt('has integers and fractions; real, which rounds integers beyond 2^53')
      return 'real'
    }
    if (has('local time')) doubt('looks like a time without a time zone; string')
    else if (this.#kinds.has('dynamic')) {
      if (!has('dynamic')) doubt(`has ${this.#listed()}; dynamic`)
      return 'dynamic'
    } else if (this.#kinds.has('big')) doubt('has integers beyond 64 bits; string')
    else if (!has('string', 'time', 'local time')) doubt(`has ${this.#listed()}; string`)
    return 'string'
  }

  get isText(): boolean {
    return [...this.#kinds].every((kind) => kind === 'time' || kind === 'local time' || kind === 'string')
  }

  get isTime(): boolean {
    return this.#kinds.size === 1 && this.#kinds.has('time')
  }

  #kindOf(value: unknown): Kind {
    if (typeof value === 'boolean') return 'boolean'
    if (typeof value === 'bigint') {
      this.largest = Math.max(this.largest, Math.abs(Number(value)))
      return BigInt.asIntN(64, value) === value ? 'long' : 'big'
    }
    if (typeof value === 'number') {
      this.largest = Math.max(this.largest, Math.abs(value))
      if (!Number.isSafeInteger(value)) return 'real'
      return Math.abs(value) < 2 ** 31 ? 'int' : 'long'
    }
    if (isDate(value)) return 'time'
    if (typeof value !== 'string') return 'dynamic'
    if (zonedTime.test(value) && parseInstant(value) !== undefined) return 'time'
    return localTime.test(value) ? 'local time' : 'string'
  }

  #listed(): string {
    return [...this.#kinds]
      .map((kind) => (kind === 'dynamic' ? 'objects or arrays' : `${kind} values`))
      .join(' and ')
  }
}

/** KQL for the datetime that a column holds. */
function timeExpression(column: string, shape: ColumnShape, report: string[]): string {
  if (shape.isTime) return column
  if (shape.isText) {
    report.push(
      `${column}: is text, read by todatetime(); a value that is no time leaves TimeGenerated empty`,
    )
    return `todatetime(${column})`
  }
  const unit = shape.largest < 1e11 ? '1s' : '1ms'
  report.push(`${column}: is read as ${unit === '1s' ? 'seconds' : 'milliseconds'} since 1970`)
  return `datetime(1970-01-01) + ${column} * ${unit}`
}

function armTemplate(
  { table, workspace_id = '', principal_id, plan = 'Analytics', dce = false }: SentinelTemplateOptions,
  columns: readonly SentinelColumn[],
  stored: readonly SentinelColumn[],
  transformKql: string,
): Record<string, unknown> {
  const stream = `Custom-${table}`
  const workspace = workspace_id.split('/').at(-1)
  const ruleId = `resourceId('${rules}', parameters('ruleName'))`
  const endpointId = `resourceId('${endpoints}', parameters('endpointName'))`
  const named = (description: string, defaultValue?: string) => ({
    type: 'string',
    ...(defaultValue !== undefined && defaultValue !== '' && { defaultValue }),
    metadata: { description },
  })
  const slug = table.replace(/_CL$/, '').replaceAll('_', '-').toLowerCase()
  const properties = {
    ...(dce && { dataCollectionEndpointId: `[${endpointId}]` }),
    streamDeclarations: { [stream]: { columns } },
    destinations: {
      logAnalytics: [
        {
          name: 'workspace',
          workspaceResourceId:
            "[resourceId('Microsoft.OperationalInsights/workspaces', parameters('workspaceName'))]",
        },
      ],
    },
    dataFlows: [{ streams: [stream], destinations: ['workspace'], transformKql, outputStream: stream }],
  }
  const tableColumns = stored.map(({ name, type }) => ({
    name,
    type: type === 'datetime' ? 'dateTime' : type,
  }))
  return {
    $schema: 'https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#',
    contentVersion: '1.0.0.0',
    parameters: {
      workspaceName: named('Name of the Log Analytics workspace. Deploy into its resource group.', workspace),
      location: named('Region of the rule: that of the workspace.', '[resourceGroup().location]'),
      ruleName: named('Name of the data collection rule.', `dcr-${slug}`),
      ...(dce && { endpointName: named('Name of the data collection endpoint.', `dce-${slug}`) }),
      ...(principal_id !== undefined && {
        principalId: named('Object id of the identity that sends rows.', principal_id),
        principalType: {
          ...named('Kind of this identity.', 'ServicePrincipal'),
          allowedValues: ['ServicePrincipal', 'User', 'Group'],
        },
      }),
    },
    resources: [
      {
        type: tables,
        apiVersion: '2025-07-01',
        name: `[concat(parameters('workspaceName'), '/${table}')]`,
        properties: { plan, schema: { name: table, columns: tableColumns } },
      },
      ...(dce
        ? [
            {
              type: endpoints,
              apiVersion: '2023-03-11',
              name: "[parameters('endpointName')]",
              location: "[parameters('location')]",
              properties: { networkAcls: { publicNetworkAccess: 'Enabled' } },
            },
          ]
        : []),
      {
        type: rules,
        apiVersion: '2023-03-11',
        name: "[parameters('ruleName')]",
        location: "[parameters('location')]",
        ...(!dce && { kind: 'Direct' }),
        dependsOn: [
          `[resourceId('${tables}', parameters('workspaceName'), '${table}')]`,
          ...(dce ? [`[${endpointId}]`] : []),
        ],
        properties,
      },
      ...(principal_id !== undefined
        ? [
            {
              type: 'Microsoft.Authorization/roleAssignments',
              apiVersion: '2022-04-01',
              scope: `[${ruleId}]`,
              name: `[guid(${ruleId}, parameters('principalId'), '${publisherRole}')]`,
              dependsOn: [`[${ruleId}]`],
              properties: {
                roleDefinitionId: `[subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '${publisherRole}')]`,
                principalId: "[parameters('principalId')]",
                principalType: "[parameters('principalType')]",
              },
            },
          ]
        : []),
    ],
    outputs: {
      dce: {
        type: 'string',
        value: dce
          ? `[reference(${endpointId}, '2023-03-11').logsIngestion.endpoint]`
          : `[reference(${ruleId}, '2023-03-11').endpoints.logsIngestion]`,
      },
      dcr_id: { type: 'string', value: `[reference(${ruleId}, '2023-03-11').immutableId]` },
      dcs: { type: 'string', value: stream },
    },
  }
}
