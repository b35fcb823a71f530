// Rows to send: made up in the shape of Zeek's conn.log, or the real records beside the repository.
import { createReadStream, existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { createGunzip } from 'node:zlib'

/** Numbers that look random and are the same every time (mulberry32). */
export function numbers(seed) {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

const services = ['dns', 'ssl', 'http', 'ssh', 'smtp', 'krb', null]
const states = ['SF', 'S0', 'REJ', 'RSTO', 'RSTR', 'OTH']

/** Rows of about 450 bytes of JSON, 20 columns. */
export function zeekRows(count) {
  const random = numbers(7)
  const below = (limit) => Math.floor(random() * limit)
  const address = () => `10.${below(256)}.${below(256)}.${below(256)}`
  return Array.from({ length: count }, (_, index) => ({
    ts: new Date(1_700_000_000_000 + index * 37).toISOString(),
    uid: `C${random().toString(36).slice(2, 12)}${random().toString(36).slice(2, 9)}`,
    'id.orig_h': address(),
    'id.orig_p': 1024 + below(60_000),
    'id.resp_h': address(),
    'id.resp_p': [53, 443, 80, 22, 25, 88][below(6)],
    proto: random() < 0.4 ? 'udp' : 'tcp',
    service: services[below(services.length)],
    duration: Math.round(random() * 1e7) / 1e6,
    orig_bytes: below(100_000),
    resp_bytes: below(10_000_000),
    conn_state: states[below(states.length)],
    local_orig: true,
    local_resp: random() < 0.1,
    missed_bytes: 0,
    history: 'ShADadFf',
    orig_pkts: below(1000),
    orig_ip_bytes: below(200_000),
    tunnel_parents: [],
    community_id: `1:${Buffer.from(address() + address())
      .toString('base64')
      .slice(0, 27)}=`,
  }))
}

const folder = process.env.BENCH_DATA
  ? new URL(`${process.env.BENCH_DATA}/`, 'file:')
  : new URL('../../../shared/data/', import.meta.url)

/** The file of the real records of a name. */
export const recordFile = (name) => fileURLToPath(new URL(`${name}.ndjson.gz`, folder))

/** Names of the real records that there are. */
export function recordNames() {
  return ['windows-events', 'zeek-dns', 'zeek-weird'].filter((name) =>
    existsSync(new URL(`${name}.ndjson.gz`, folder)),
  )
}

/** The first `limit` of the real records of a name. */
export async function records(name, limit = Infinity) {
  const input = createReadStream(new URL(`${name}.ndjson.gz`, folder)).pipe(createGunzip())
  const rows = []
  for await (const line of createInterface({ input, crlfDelay: Infinity })) {
    if (line !== '') rows.push(JSON.parse(line))
    if (rows.length >= limit) break
  }
  input.destroy()
  return rows
}

/** The workload by name: `zeek-like` is made up, others are real records. */
export async function workload(name, limit) {
  return name === 'zeek-like' ? zeekRows(limit ?? 10_000) : records(name, limit ?? 20_000)
}
