import type { Pool, PoolConfig } from 'pg'
import { type Lease, NumberedWrites, type Outcome, openLeased } from '../../checkpoint/lease.ts'
import {
  type CheckpointSession,
  type CheckpointStore,
  describeHolder,
  HeldError,
  holderText,
  LostError,
  type OpenOptions,
  type StoredText,
  TransientError,
} from '../../checkpoint/store.ts'
import { CheckpointError } from '../../core/errors.ts'
import { declareOptions, type OptionDeclaration, type OptionSpecs } from '../../core/options.ts'
import { cleanError, credentialsOf, redactor } from '../../core/redaction.ts'
import type { EitherSpelling, OptionsOf } from '../../core/spelling.ts'
import { databaseSpecs, fullName, isFinalFault, locationOf, urlSpec } from '../options.ts'
import { loadPeer } from '../peer.ts'

export const postgresSpecs = {
  ...databaseSpecs,
  /**
   * `postgres://` URL of the database, with parameters of the client such as `sslmode=verify-full`:
   * https://node-postgres.com/features/connecting#connection-uri
   */
  url: urlSpec('a postgres:// URL', ['postgres:', 'postgresql:']),
} satisfies OptionSpecs

export type PostgresStoreOptions = OptionsOf<typeof postgresSpecs>

const postgresDeclaration: OptionDeclaration<typeof postgresSpecs> = declareOptions(
  'checkpoint-postgres',
  postgresSpecs,
)

/**
 * Checkpoints in PostgreSQL, 12 or newer, by the package `pg`. Two tables in the schema that is first in the search path
 * are made where they are not there: `cyber_connectors_checkpoint` and `cyber_connectors_checkpoint_line`. A pooler such as
 * PgBouncer may be in between: each call is one statement of its own.
 *
 *     const store = new PostgresStore({ url: 'postgres://user:secret@db/security?sslmode=verify-full', name: 'sign-ins' })
 */
export class PostgresStore implements CheckpointStore {
  readonly #values: ReturnType<typeof postgresDeclaration.resolve>

  constructor(options: PostgresStoreOptions)
  /** Names in camelCase are accepted too. */
  constructor(options: EitherSpelling<PostgresStoreOptions>)
  constructor(options: unknown) {
    this.#values = postgresDeclaration.resolve(options)
  }

  async open(name: string, options: OpenOptions = {}): Promise<CheckpointSession> {
    const { database, whole, duration } = await this.#connect(name)
    try {
      const holder = holderText()
      return await openLeased(() => acquire(database, whole, holder, duration), duration, options)
    } catch (error) {
      await database.close()
      throw error
    }
  }

  async read(name: string): Promise<StoredText> {
    const { database, whole } = await this.#connect(name)
    const { location } = database
    try {
      const [tables] = await database.rows<{ found: string | null }>(statements.find)
      if (tables?.found === null) return { text: undefined, location }
      const [there] = await database.rows<{ text: string | null }>(statements.read, whole)
      return { text: there?.text ?? undefined, location }
    } finally {
      await database.close()
    }
  }

  async #connect(name: string): Promise<{ database: Database; whole: string; duration: number }> {
    const { default: pg } = await loadPeer('pg@^8', () => import('pg'))
    const { url, connection, lease_seconds } = this.#values
    const duration = lease_seconds * 1000
    const whole = fullName(this.#values.name, name)
    const pool = new pg.Pool({ connectionString: url, ...poolOptions(duration), ...connection })
    return { database: new Database(pool, url, locationOf(url, whole)), whole, duration }
  }
}

function poolOptions(duration: number): PoolConfig {
  return {
    application_name: 'cyber-connectors',
    // One to renew the lease while the other writes.
    max: 2,
    keepAlive: true,
    // Queries fail soon: the session repeats them, until its lease is lost.
    connectionTimeoutMillis: duration / 4,
    query_timeout: duration / 2,
    allowExitOnIdle: true,
  }
}

const tables = `
  CREATE TABLE IF NOT EXISTS cyber_connectors_checkpoint (
    name text PRIMARY KEY,
    holder text NOT NULL,
    epoch bigint NOT NULL,
    written bigint NOT NULL,
    expires timestamptz NOT NULL
  );
  CREATE TABLE IF NOT EXISTS cyber_connectors_checkpoint_line (
    name text NOT NULL,
    number bigint NOT NULL,
    text text NOT NULL,
    PRIMARY KEY (name, number)
  )`

/**
 * A lease is a row; each holder gets the next epoch, and what comes with an older one is refused. The text lies in lines:
 * appending to a long value would rewrite it.
 */
const statements = {
  find: `SELECT to_regclass('cyber_connectors_checkpoint_line') AS found`,
  look: `SELECT holder, epoch, written, ceil(extract(epoch FROM expires - clock_timestamp()))::int AS left
    FROM cyber_connectors_checkpoint WHERE name = $1`,
  acquire: `INSERT INTO cyber_connectors_checkpoint AS there (name, holder, epoch, written, expires)
    VALUES ($1, $2, 1, 0, clock_timestamp() + $3::int * interval '1 ms')
    ON CONFLICT (name) DO UPDATE SET holder = $2, epoch = there.epoch + 1, expires = excluded.expires
    WHERE there.expires <= clock_timestamp() OR there.holder = $2
    RETURNING epoch, written`,
  read: `SELECT string_agg(text, '' ORDER BY number) AS text FROM cyber_connectors_checkpoint_line WHERE name = $1`,
  renew: `UPDATE cyber_connectors_checkpoint SET expires = clock_timestamp() + $3::int * interval '1 ms'
    WHERE name = $1 AND epoch = $2 RETURNING 1`,
  // The next epoch: a renewal still in flight comes too late.
  release: `UPDATE cyber_connectors_checkpoint SET expires = to_timestamp(0), epoch = epoch + 1
    WHERE name = $1 AND epoch = $2`,
  append: `WITH turn AS (
      UPDATE cyber_connectors_checkpoint SET written = $3::bigint
      WHERE name = $1 AND epoch = $2 AND written = $3::bigint - 1 RETURNING 1
    )
    INSERT INTO cyber_connectors_checkpoint_line (name, number, text) SELECT $1, $3::bigint, $4 FROM turn RETURNING 1`,
  write: `WITH turn AS (
      UPDATE cyber_connectors_checkpoint SET written = $3::bigint
      WHERE name = $1 AND epoch = $2 AND written = $3::bigint - 1 RETURNING 1
    ), before AS (
      DELETE FROM cyber_connectors_checkpoint_line
      WHERE name = $1 AND number < $3::bigint AND EXISTS (SELECT FROM turn)
    )
    INSERT INTO cyber_connectors_checkpoint_line (name, number, text) SELECT $1, $3::bigint, $4 FROM turn RETURNING 1`,
} as const

interface LeaseRow {
  readonly holder: string
  /** bigint, as text. */
  readonly epoch: string
  readonly written: string
  /** Seconds until the lease frees itself. */
  readonly left: number
}

async function acquire(
  database: Database,
  name: string,
  holder: string,
  duration: number,
): Promise<PostgresLease> {
  await database.makeTables()
  // Standbys look before they try: a refused INSERT writes too.
  const [there] = await database.rows<LeaseRow>(statements.look, name)
  if (there && there.left > 0 && there.holder !== holder) throw held(database.location, there)
  const [mine] = await database.rows<LeaseRow>(statements.acquire, name, holder, duration)
  if (mine) {
    const [read] = await database.rows<{ text: string | null }>(statements.read, name)
    return new PostgresLease(database, name, mine, duration, read?.text ?? undefined)
  }
  const [winner] = await database.rows<LeaseRow>(statements.look, name)
  throw held(database.location, winner)
}

function held(location: string, row: LeaseRow | undefined): HeldError {
  return new HeldError(
    `the checkpoint in ${location} is held by ${describeHolder(row?.holder ?? '')}. Its lease frees itself in ` +
      `${Math.max(1, row?.left ?? 1)} s unless it is renewed: stop that process first, or wait as a standby does`,
  )
}

class PostgresLease implements Lease {
  readonly text: string | undefined
  readonly location: string
  readonly #database: Database
  readonly #name: string
  readonly #epoch: string
  readonly #duration: number
  readonly #writes: NumberedWrites

  constructor(database: Database, name: string, row: LeaseRow, duration: number, text: string | undefined) {
    this.text = text
    this.location = database.location
    this.#database = database
    this.#name = name
    this.#epoch = row.epoch
    this.#duration = duration
    this.#writes = new NumberedWrites(this.location, Number(row.written))
  }

  async renew(): Promise<void> {
    const renewed = await this.#database.rows(statements.renew, this.#name, this.#epoch, this.#duration)
    if (renewed.length === 0) throw new LostError(this.location, 'another process has taken it over')
  }

  async write(text: string): Promise<void> {
    await this.#put(statements.write, text)
  }

  async append(text: string): Promise<void> {
    await this.#put(statements.append, text)
  }

  async release(): Promise<void> {
    try {
      await this.#database.rows(statements.release, this.#name, this.#epoch)
    } finally {
      await this.#database.close()
    }
  }

  async #put(statement: string, all: string): Promise<void> {
    await this.#writes.put(all, async (text, number): Promise<Outcome> => {
      const done = await this.#database.rows(statement, this.#name, this.#epoch, number, text)
      if (done.length > 0) return 'done'
      const [there] = await this.#database.rows<LeaseRow>(statements.look, this.#name)
      if (there?.epoch !== this.#epoch) return 'lost'
      return Number(there.written) === number ? 'repeated' : 'behind'
    })
  }
}

/**
 * Classes of SQLSTATE that are final: no such feature, data, sign-in, database, schema, wrong statement or right. All
 * others are transient: https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
const finalState = /^(?:0A|22|23|28|3D|3F|42)...$/

/** Two that make the tables at once: the one that comes second finds them at its next attempt. */
const madeMeanwhile = new Set(['23505', '42P07'])

/** A database whose errors hold no secret. */
class Database {
  readonly location: string
  readonly #pool: Pool
  readonly #redact: ReturnType<typeof redactor>
  #hasTables = false

  constructor(pool: Pool, url: string, location: string) {
    this.location = location
    this.#pool = pool
    this.#redact = redactor(credentialsOf(url))
    // An idle connection that breaks is replaced by the next query.
    pool.on('error', () => {})
  }

  /** @throws TransientError, CheckpointError */
  async rows<T extends object>(statement: string, ...values: (string | number)[]): Promise<T[]> {
    try {
      const { rows } = await this.#pool.query<T>(statement, values)
      return rows
    } catch (error) {
      throw this.#fault(error)
    }
  }

  /** Made only where they are not there: who only may use them needs no right to make any. */
  async makeTables(): Promise<void> {
    if (this.#hasTables) return
    const [row] = await this.rows<{ found: string | null }>(statements.find)
    if (row?.found === null) {
      try {
        await this.#pool.query(tables)
      } catch (error) {
        throw this.#fault(error, madeMeanwhile.has((error as { code?: string }).code ?? ''))
      }
    }
    this.#hasTables = true
  }

  async close(): Promise<void> {
    await this.#pool.end().catch(() => {})
  }

  #fault(error: unknown, isTransient = false): CheckpointError {
    const clean = cleanError(error, this.#redact)
    const { code } = clean as NodeJS.ErrnoException
    const text = `the checkpoint in ${this.location} can't be used: PostgreSQL: ${clean.message}`
    const isState = code !== undefined && /^[0-9A-Z]{5}$/.test(code) && /\d/.test(code)
    const isFinal = isState ? finalState.test(code) : isFinalFault(clean)
    if (isTransient || !isFinal) return new TransientError(text, clean)
    return new CheckpointError('ERR_CHECKPOINT', text, { cause: clean })
  }
}
