import postgres from 'postgres'
import type { Journal, JournalEntry } from '../journal.ts'

/** A database that no project uses yet, complete with its role. */
export interface FreshDatabase {
  readonly physicalName: string
  readonly password: string
}

const ADMIN_CONNECTIONS = 4
/** The passwords are random, so stretching them would only slow down creation and every connection. */
const SCRAM_ITERATIONS = 64
const PASSWORD_ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'
const NAME = /^[a-z]+_[0-9a-f]{16}$/

/** How a provider makes the role that owns a project's database. */
export interface OwnerRole {
  /** The first part of a database's name, and with that of its owner's. */
  readonly prefix: string
  /** What all projects share on the server; run once, before the first. May be run again. */
  readonly shared: string
  /** The options of CREATE ROLE. */
  readonly options: string
  /** Run in each new database, with the owner's name. */
  prepare?(owner: string): string
  newPassword(): string
}

/**
 * The real databases behind the projects, on one Postgres server. Each is owned by a login role of its own, which is as those
 * that the provider makes. Both carry the same name, unique on the server. Nobody else may connect but whom that role lets in.
 */
export class TenantDatabases {
  readonly #adminUrl: string
  readonly #sql: postgres.Sql
  readonly #journal: Journal
  readonly #owner: OwnerRole
  readonly #spares: FreshDatabase[] = []
  #shared: Promise<unknown> | undefined
  #filling: Promise<void> | undefined
  #closing = false

  constructor(adminUrl: string, journal: Journal, owner: OwnerRole) {
    this.#adminUrl = adminUrl
    this.#owner = owner
    this.#sql = postgres(adminUrl, {
      max: ADMIN_CONNECTIONS,
      idle_timeout: 30,
      onnotice: () => undefined,
      connection: {
        application_name: `${owner.prefix}-emulator`,
        scram_iterations: SCRAM_ITERATIONS,
      },
    })
    this.#journal = journal
  }

  /** Drops what an emulator that was killed half-way left behind: databases that no project of ours uses. */
  async dropUnused(entries: readonly JournalEntry[], used: ReadonlySet<string>): Promise<void> {
    const known = entries.filter(({ type }) => type === 'database').map(({ id }) => id)
    for (const name of known) if (!used.has(name)) await this.drop(name)
  }

  /** A spare one at once, or a new one in some 40 ms of the server's time. */
  async claim(): Promise<FreshDatabase> {
    return this.#spares.pop() ?? this.#create()
  }

  /** Makes databases ahead of time, until there are that many spares. */
  fillSpares(count: number): Promise<void> {
    this.#filling ??= this.#fill(count).finally(() => {
      this.#filling = undefined
    })
    return this.#filling
  }

  async setPassword(physicalName: string, password: string): Promise<void> {
    await this.#sql.unsafe(`alter role ${checkedName(physicalName)} password '${password}'`)
  }

  /** Size in bytes. Reading it wakes nothing: it is the server's own bookkeeping. */
  async size(physicalName: string): Promise<number> {
    const [row] = await this.#sql<{ size: string | null }[]>`
      select pg_database_size(oid) as size from pg_database where datname = ${physicalName}`
    return Number(row?.size ?? 0)
  }

  /** Ends the database's connections and removes it together with its role and those that this one has made. */
  async drop(physicalName: string): Promise<void> {
    const name = checkedName(physicalName)
    await this.#sql.unsafe(`drop database if exists ${name} with (force)`)
    await this.#sql.unsafe(`do $$ begin
      execute (select 'drop role ' || string_agg(distinct quote_ident(r.rolname), ', ') from pg_roles r
        where r.rolname = '${name}' or exists (select from pg_auth_members m
          where m.roleid = r.oid and m.member = to_regrole('${name}') and m.admin_option)
        and r.rolname <> all ('{anon,authenticated,service_role}') and r.rolname not like 'pg\\_%');
    exception when null_value_not_allowed then null;
    end $$`)
    this.#journal.append([{ type: 'database', id: physicalName, value: null }])
  }

  /** Stops making spares and drops those that nobody claimed. */
  async dropSpares(): Promise<void> {
    this.#closing = true
    await this.#filling?.catch(() => undefined)
    for (const { physicalName } of this.#spares.splice(0)) {
      await this.drop(physicalName)
    }
  }

  async close(): Promise<void> {
    await this.#sql.end({ timeout: 5 })
  }

  async #fill(count: number): Promise<void> {
    while (this.#spares.length < count && !this.#closing) {
      const missing = Math.min(ADMIN_CONNECTIONS, count - this.#spares.length)
      this.#spares.push(...(await Promise.all(Array.from({ length: missing }, () => this.#create()))))
    }
  }

  async #create(): Promise<FreshDatabase> {
    const physicalName = `${this.#owner.prefix}_${crypto.randomUUID().replaceAll('-', '').slice(0, 16)}`
    const password = this.#owner.newPassword()
    // Written first: whatever happens from here on, the next start knows the name and can clean up.
    this.#journal.append([{ type: 'database', id: physicalName, value: {} }])
    this.#shared ??= this.#sql.unsafe(this.#owner.shared)
    await this.#shared
    // The setting is for the roles that this one makes: their passwords need no more stretching than its own.
    await this.#sql.unsafe(`create role ${physicalName} ${this.#owner.options} password '${password}';
      alter role ${physicalName} set scram_iterations = ${SCRAM_ITERATIONS}`)
    await this.#sql.unsafe(
      `create database ${physicalName} owner ${physicalName} template template0 strategy wal_log`,
    )
    await this.#sql.unsafe(`revoke connect, temporary on database ${physicalName} from public`)
    await this.#enter(physicalName)
    return { physicalName, password }
  }

  /**
   * The first session in a database reads all of its catalogue and leaves later ones a summary of it. At the provider that is its
   * own, which looks into each database before anybody else may.
   */
  async #enter(physicalName: string): Promise<void> {
    const sql = postgres(this.#adminUrl, { database: physicalName, max: 1, fetch_types: false })
    await sql.unsafe(this.#owner.prepare?.(physicalName) ?? 'select 1')
    await sql.end({ timeout: 5 })
  }
}

/** Letters and digits alone, so it needs no escaping in a URL or a statement. */
export function randomLetters(count: number): string {
  const letters = Array.from(crypto.getRandomValues(new Uint32Array(count)), (value) =>
    PASSWORD_ALPHABET.charAt(value % PASSWORD_ALPHABET.length),
  )
  return letters.join('')
}

/** The name goes into statements that cannot take it as a parameter. */
function checkedName(name: string): string {
  if (!NAME.test(name)) throw new Error(`${JSON.stringify(name)} is not a database of this emulator.`)
  return name
}
