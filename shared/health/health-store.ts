import { type Database, publicSchema } from '../kernel/database/client.ts'
import type { TenantAddress } from '../tenant-database/address.ts'
import type { SchemaObjects, SchemaSnapshot } from '../tenant-database/fingerprint.ts'
import { storedPassword } from '../tenant-database/stored-password.ts'
import type { Metrics, Thresholds } from './evaluate.ts'
import type { HealthStatus, Reason } from './reasons.ts'

export interface HealthSettings {
  readonly concurrency: number
  readonly maxTenants: number
  readonly maxSeconds: number
  readonly timeoutMs: number
  readonly intervalSeconds: number
  /** How often services that are well are asked for, and how long a database may be changing. */
  readonly servicesMs: number
  readonly changingMs: number
}

/** A tenant whose turn it is; no other worker has it for settings.health_lease_seconds. */
export interface ClaimedTenant extends TenantAddress {
  readonly organizationId: string
  readonly tier: string
  /** By which its host knows the database; null when it is gone. */
  readonly hostedAs: string | null
  /** It is time to connect even if that wakes it. */
  readonly deepCheckDue: boolean
  /** What the last check found. */
  readonly reasons: readonly Reason[]
  /** What was measured before. */
  readonly metrics: Metrics
  readonly thresholds: Thresholds
  /** -1 never suspends. */
  readonly suspendTimeoutSeconds: number
  /** How long ago a connection was last tried. */
  readonly probedSecondsAgo: number
  /** How long ago somebody else last used it, as far as that was seen. */
  readonly usedSecondsAgo: number
  /** The last attempt to connect opened a session. */
  readonly lastProbeConnected: boolean
  /** Of its database, as it was applied: what the database itself says of that is its owner's word. */
  readonly schemaVersion: number | null
  /** Since when it is known not to be as that version, by a check or by the endpoint. */
  readonly schemaDriftAt: Date | null
}

/** A tenant on a page of the provider's list. */
export interface ListedTenant {
  readonly organizationId: string
  readonly hostedAs: string
  /** -1 never suspends. */
  readonly suspendTimeoutSeconds: number
  /** Due, or so soon that it is dealt with, too. */
  readonly dueSoon: boolean
  readonly deepCheckDue: boolean
  /** Null before the first check. */
  readonly checkedSecondsAgo: number | null
  readonly reasons: readonly Reason[]
  readonly metrics: Metrics
  readonly thresholds: Thresholds
}

export interface CheckResult {
  readonly organizationId: string
  /** ISO 8601, when the check began. */
  readonly checkedAt: string
  /** state: the provider was asked. connection: the database was. */
  readonly probe: 'state' | 'connection'
  readonly status: HealthStatus
  readonly reasons: readonly Reason[]
  readonly metrics: Metrics
  /** A session was opened, pooled or direct, whatever became of it. */
  readonly connected: boolean
  /** How long ago somebody else last used it; absent where nobody did since the last connection. */
  readonly usedSecondsAgo?: number
}

export type RecordedSchema = Pick<SchemaSnapshot, 'serverMajor' | 'fingerprint' | 'names'>

export type Plan =
  | { readonly mode: 'none' | 'each' | 'busy' }
  | { readonly mode: 'fleet'; readonly token: string; readonly cursor: string | null }

export interface FleetPage {
  readonly token: string
  readonly nextCursor: string | undefined
  readonly incomplete: boolean
  readonly seen: number
  readonly listed: readonly string[]
  readonly awake: readonly string[]
}

/** What is stored of a tenant's health, as members see it. */
export interface HealthReport {
  readonly organizationId: string
  readonly status: HealthStatus
  readonly reasons: readonly Reason[]
  readonly metrics: Metrics
  readonly checkedAt: string | null
  readonly connectedAt: string | null
  readonly nextCheckAt: string
}

/** The functions of health_checks.sql and fleet_list.sql, one method each. */
export class HealthStore {
  readonly #sql: Database

  constructor(sql: Database) {
    this.#sql = sql
  }

  async settings(): Promise<HealthSettings> {
    const [row] = await this.#sql<HealthSettings[]>`
      select health_concurrency as concurrency, health_worker_max_tenants as "maxTenants",
        health_worker_max_seconds as "maxSeconds", health_timeout_seconds * 1000 as "timeoutMs",
        health_interval_seconds as "intervalSeconds", health_services_minutes * 60000 as "servicesMs",
        health_changing_minutes * 60000 as "changingMs" from provisioning.settings`
    if (!row) throw new Error('provisioning.settings has lost its row; insert the defaults again')
    return row
  }

  claim(limit: number, awakeOnly: boolean): Promise<ClaimedTenant[]> {
    return this.#claim(limit, awakeOnly, null)
  }

  /** Whether its check is due or not. @returns undefined for an organization without a database to check */
  async claimOne(organizationId: string): Promise<ClaimedTenant | undefined> {
    const [tenant] = await this.#claim(1, false, organizationId)
    return tenant
  }

  async #claim(limit: number, awakeOnly: boolean, organizationId: string | null): Promise<ClaimedTenant[]> {
    return this.#sql<ClaimedTenant[]>`
      select organization_id as "organizationId", tier, hosted_as as "hostedAs", host, pooled_host as "pooledHost", port,
        pooled_port as "pooledPort", pooler_tenant as "poolerTenant", database_name as "databaseName", role_name as "roleName", ssl_mode as "sslMode",
        deep_check_due as "deepCheckDue", reasons, metrics, thresholds,
        suspend_timeout_seconds as "suspendTimeoutSeconds", probed_seconds_ago as "probedSecondsAgo",
        used_seconds_ago as "usedSecondsAgo", last_probe_connected as "lastProbeConnected", schema_version as "schemaVersion",
        schema_drift_at as "schemaDriftAt"
      from provisioning.claim_health_checks(${limit}, ${awakeOnly}, ${organizationId})`
  }

  /** What the files up to this version make, by the server's major version. */
  async schemas(tier: string, version: number, filesChecksum: string): Promise<RecordedSchema[]> {
    return this.#sql<RecordedSchema[]>`
      select server_major as "serverMajor", fingerprint, names from provisioning.tenant_schemas
      where tier = ${tier} and schema_version = ${version} and files_checksum = ${filesChecksum}`
  }

  async schemaObjects(fingerprint: string): Promise<SchemaObjects | undefined> {
    const [row] = await this.#sql<{ objects: SchemaObjects }[]>`
      select objects from provisioning.tenant_schemas where fingerprint = ${fingerprint} limit 1`
    return row?.objects
  }

  async plan(): Promise<Plan> {
    const [plan] = await this.#sql<Plan[]>`select mode, token, cursor from provisioning.plan_health_checks()`
    if (!plan) throw new Error('plan_health_checks returned nothing')
    return plan
  }

  /** Of the login that checks the tenant. @returns undefined when Vault does not hold it */
  async password(organizationId: string): Promise<string | undefined> {
    return storedPassword(this.#sql, organizationId, 'health')
  }

  async record(results: readonly CheckResult[]): Promise<void> {
    if (results.length === 0) return
    const rows = results.map(({ organizationId, checkedAt, usedSecondsAgo, ...result }) => ({
      organization_id: organizationId,
      checked_at: checkedAt,
      used_seconds_ago: usedSecondsAgo,
      ...result,
    }))
    await this.#sql`select provisioning.record_health_checks(${JSON.stringify(rows)}::text::jsonb)`
  }

  /** @param awake whether those that the list showed awake still count as such */
  async release(organizationIds: readonly string[], seconds: number, awake: boolean): Promise<void> {
    await this.#sql`select provisioning.release_health_checks(${[...organizationIds]}, ${seconds}, ${awake})`
  }

  async tenantsOf(ids: readonly string[]): Promise<ListedTenant[]> {
    return this.#sql<ListedTenant[]>`
      select organization_id as "organizationId", hosted_as as "hostedAs",
        suspend_timeout_seconds as "suspendTimeoutSeconds", due_soon as "dueSoon", deep_check_due as "deepCheckDue",
        checked_seconds_ago as "checkedSecondsAgo", reasons, metrics, thresholds
      from provisioning.fleet_tenants(${[...ids]})`
  }

  /** @returns whether the read goes on; not when it has ended or another worker has taken it over */
  async advance({ token, nextCursor, incomplete, seen, listed, awake }: FleetPage): Promise<boolean> {
    const [row] = await this.#sql<{ goesOn: boolean }[]>`
      select provisioning.advance_fleet_read(${token}, ${nextCursor ?? null}, ${incomplete}, ${seen}, ${[...listed]},
        ${[...awake]}) as "goesOn"`
    return row?.goesOn ?? false
  }

  /** Leaves the read to another worker, which goes on at the same page in so many seconds. */
  async abandon(token: string, seconds: number): Promise<void> {
    await this.#sql`select provisioning.abandon_fleet_read(${token}, ${seconds})`
  }

  /** Gives the read up; the next one begins at the first page. */
  async endRead(token: string): Promise<void> {
    await this.#sql`select provisioning.end_fleet_read(${token})`
  }

  /** Rings for a successor. */
  async ring(): Promise<void> {
    await this.#sql`select provisioning.ring_doorbell('health')`
  }

  async report(organizationId: string): Promise<HealthReport | undefined> {
    const [row] = await this.#sql<HealthReport[]>`
      select organization_id as "organizationId", status, reasons, metrics - 'counters' - 'sample' - 'changing' as metrics,
        to_json(checked_at) #>> '{}' as "checkedAt", to_json(connected_at) #>> '{}' as "connectedAt",
        to_json(next_check_at) #>> '{}' as "nextCheckAt"
      from ${publicSchema}.tenant_health where organization_id = ${organizationId}`
    return row
  }

  /**
   * Counts a manual check by a user: those of operators apart, so that a tenant's members cannot keep them from looking.
   * @returns 0, or the seconds until the next may be made
   */
  async countRequest(organizationId: string, userId: string): Promise<number> {
    const [row] = await this.#sql<{ seconds: number }[]>`
      select provisioning.count_health_request(${organizationId}, ${userId}) as seconds`
    return row?.seconds ?? 0
  }
}
