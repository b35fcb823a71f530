// Records of our own in the shapes of Windows event logs and Zeek logs, with what makes real ones hard to carry: integers
// beyond 2^53, rows of 30 kB, hundreds of sparse columns, names with dots and signs, CRLF, tabs, quotes, backslashes, text
// outside of ASCII, numbers and times written as text, empty texts, empty lists, mixed types, 7 digits of a second.

/** Numbers that look random and are the same every time (mulberry32). */
function numbers(seed) {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

const start = Date.UTC(2026, 10, 1)
const hosts = ['DC-01.corp.example', 'WS-Ünïcode.corp.example', 'データ.example', 'ws-7']
// Audit success and failure as Windows writes them, the ends of 64 bits, and neighbours of 2^53.
const keywords = [
  -9214364837600034816n,
  -9218868437227405312n,
  -9223372036854775808n,
  9223372036854775807n,
  9007199254740993n,
  -9007199254740993n,
  4611686018427387904n,
]
const messages = [
  'The Windows Filtering Platform has permitted a connection.\r\n\r\nApplication Information:\r\n\tProcess ID:\t\t696\r\n\tApplication Name:\t\\device\\harddiskvolume2\\windows\\system32\\lsass.exe\r\n',
  'Creating Scriptblock text (1 of 1):\r\n$q = "a ""quoted"" word"; Write-Host \'single\' `tick` \x24{env:PATH}\r\n\r\nPath: C:\\Users\\zoë\\évil.ps1',
  'Microsoft® Windows® Operating System — “smart quotes”, an emoji 🐍 and its family 👩‍👩‍👧, עברית, ไทย',
  'line separator \u2028 paragraph separator \u2029 no-break space \u00a0 byte order mark \ufeff in the middle',
  'controls: \u0000 \u0001 \u001b[31mred\u001b[0m \u007f and a lone backslash \\',
  ' leading and trailing spaces ',
  '{"json":"in a text","n":9007199254740993}',
  "<script>alert(1)</script> '; DROP TABLE events; -- \x24{jndi:ldap://example} %00 \\u0041",
  '',
]

/** 30 kB of script, as PowerShell logs it. */
const longScript = Array.from(
  { length: 400 },
  (_, line) =>
    `\tif ($args[${line}] -match "^\\d+\\s${line}") { Write-Output "zeile ${line}: größer" } # ✓\r\n`,
).join('')

/** @returns 160 records; their time is `@timestamp` */
export function windowsRecords() {
  const pick = numbers(1)
  const of = (list) => list[pick(list.length)]
  return Array.from({ length: 160 }, (_, index) => {
    const record = {
      '@timestamp': new Date(start + index * 977).toISOString(),
      '@version': '1',
      EventID: of([4624, 4625, 5156, 4104, 1]),
      Keywords: keywords[index % keywords.length],
      RecordNumber: 2 ** 31 + index,
      Channel: of(['Security', 'Microsoft-Windows-Sysmon/Operational', 'Windows PowerShell']),
      Hostname: of(hosts),
      host: '10.0.0.7',
      // Numbers and times as text stay text.
      ProcessId: String(pick(5000)),
      EventTime: `2026-11-01 00:0${pick(10)}:07`,
      EventReceivedTime: of(['2026-11-01 00:00:09', '', '2026-11-01T00:00:09.1234567Z']),
      ProviderGuid: '{54849625-5478-4994-A5BA-3E3B0328C30D}',
      tags: of([['lab'], [], ['lab', 'größe', '']]),
      Message: messages[index % messages.length],
      Success: index % 2 === 0,
    }
    // Each kind of event brings columns of its own, most of them seen once or twice.
    for (let more = 0; more < 6; more++)
      record[`Field_${(index * 7 + more * 31) % 190}`] = of(['%%14592', '0x3e7', '-', ' '])
    if (index % 40 === 7) record.ScriptBlockText = longScript
    if (index % 9 === 0)
      record.EventData = {
        Status: '0xc000006d',
        SubStatus: null,
        Nested: { depth: [1, [2, [3]]], id: 9007199254740993n },
      }
    if (index % 11 === 0) record.Mixed = of([1, 'one', true, [1], { one: 1 }])
    if (index % 13 === 0) record.Opcode = 'Info'
    if (index % 17 === 0) record.constructor = 'no method'
    if (index % 19 === 0) record[' odd name\t'] = 'x'
    return record
  })
}

/** @returns 160 records; their time is `ts`, in microseconds */
export function zeekRecords() {
  const pick = numbers(2)
  const of = (list) => list[pick(list.length)]
  return Array.from({ length: 160 }, (_, index) => {
    const ts = `${new Date(start + index * 1013).toISOString().slice(0, -1)}${String(pick(1000)).padStart(3, '0')}Z`
    const record = {
      _path: index % 4 === 3 ? 'weird' : 'dns',
      _write_ts: ts,
      ts,
      uid: `C${(2 ** 40 + pick(2 ** 31)).toString(36)}`,
      'id.orig_h': of(['10.47.1.100', 'fe80::1%eth0', '::ffff:10.0.0.1']),
      'id.orig_p': 1024 + pick(60_000),
      'id.resp_h': '10.0.0.100',
      'id.resp_p': 53,
      proto: of(['udp', 'tcp']),
    }
    if (record._path === 'weird') {
      record.name = of(['TCP_ack_underflow_or_misorder', 'above_hole_data_without_any_acks'])
      record.notice = index % 8 === 3
      if (index % 16 === 3) record.addl = ''
      return record
    }
    record.query = of([
      'ise.example',
      'xn--bcher-kva.example',
      '',
      'a\\x00b.example',
      '*.example',
      '_ldap._tcp.example',
    ])
    record.AA = index % 2 === 0
    if (index % 3 === 0) record.rtt = of([0.0008699893951416016, 1e-7, 1.5, 0.1 + 0.2, 5e-324])
    if (index % 5 !== 0) record.answers = of([['134.71.3.16'], ['a.example', '::1'], []])
    if (index % 5 !== 0) record.TTLs = of([[2230.5, 41830.25], [0.5], []])
    if (index % 6 === 0) record.rcode = of([0, 2, 3])
    return record
  })
}
