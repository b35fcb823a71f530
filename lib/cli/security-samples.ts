import { inferColumns } from '../emulators/index.ts'
import { pseudoRandom, type SampleTable } from './sample-table.ts'

type Pick = <T>(list: readonly T[]) => T

const hosts = ['dc01', 'web-07', 'laptop-ada', 'sql02']
const accounts = ['CONTOSO\\ada', 'CONTOSO\\svc-backup', 'NT AUTHORITY\\SYSTEM', 'CONTOSO\\björn']
const activities = [
  [4624, 'An account was successfully logged on.'],
  [4625, 'An account failed to log on.'],
  [4672, 'Special privileges assigned to new logon.'],
  [4688, 'A new process has been created.'],
] as const
const alerts = [
  ['Suspicious sign-in from an unfamiliar location', 'Medium', 'InitialAccess'],
  ['Mass download by a single user', 'High', 'Exfiltration'],
  ['Password spray attack', 'High', 'CredentialAccess'],
  ['Unusual process started by a service account', 'Low', 'Execution'],
] as const

/** The other tables that the guides query, over the day that ends at `until`: the same rows for the same time. */
export function securityTables(until: Date): SampleTable[] {
  return [
    table('SecurityEvent', 1000, until, (index, pick) => {
      const [EventID, activity] = pick(activities)
      return {
        Computer: `${pick(hosts)}.contoso.example`,
        Account: pick(accounts),
        Channel: 'Security',
        EventID,
        Activity: `${EventID} - ${activity}`,
        IpAddress: `198.51.100.${index % 256}`,
        LogonType: pick([2, 3, 10]),
        EventRecordId: String(100_000 + index),
      }
    }),
    table('SecurityAlert', 120, until, (index, pick) => {
      const [DisplayName, AlertSeverity, Tactics] = pick(alerts)
      return {
        SystemAlertId: id(index),
        DisplayName,
        AlertName: DisplayName,
        AlertSeverity,
        Tactics,
        Status: pick(['New', 'InProgress', 'Resolved']),
        ProviderName: 'ASI Scheduled Alerts',
        CompromisedEntity: `${pick(hosts)}.contoso.example`,
        ExtendedProperties: { 'Query Period': '01:00:00', 'Alert generation status': 'Full alert created' },
        IsIncident: false,
      }
    }),
    table('SecurityIncident', 60, until, (index, pick) => {
      const [Title, Severity] = pick(alerts)
      return {
        IncidentName: id(index),
        IncidentNumber: 1000 + index,
        Title,
        Severity,
        Status: pick(['New', 'Active', 'Closed']),
        Owner: { assignedTo: pick(['ada', null]), email: null },
        AlertIds: [id(index), id(index + 1)],
      }
    }),
  ]
}

function table(
  name: string,
  count: number,
  until: Date,
  rowOf: (index: number, pick: Pick) => Record<string, unknown>,
): SampleTable {
  const random = pseudoRandom(count)
  const pick: Pick = (list) => list[Math.floor(random() * list.length)]!
  const step = 86_400_000 / count
  const records = Array.from({ length: count }, (_, index) => ({
    TimeGenerated: new Date(until.getTime() - (count - index) * step),
    ...rowOf(index, pick),
  }))
  const columns = inferColumns(records)
  const rows = records.map((record) => Object.values(record))
  return { name, columns, rows, timeColumn: 'TimeGenerated', untimed: 0 }
}

function id(index: number): string {
  return `00000000-0000-4000-a000-${String(index).padStart(12, '0')}`
}
