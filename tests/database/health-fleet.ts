import type postgres from 'postgres'
import { createTenant, only, type Project } from './project.ts'

export type Status = 'healthy' | 'degraded' | 'unhealthy' | 'sleeping' | 'unknown'

/** As a worker hands a result to record_health_checks. */
export interface Result {
  readonly organization_id: string
  readonly checked_at: string
  readonly probe: 'state' | 'connection'
  readonly status: Status
  readonly reasons: readonly { code: string; severity: string; message: string }[]
  readonly metrics: Readonly<Record<string, unknown>>
  readonly connected: boolean
  readonly used_seconds_ago?: number
}

export interface Health {
  readonly status: Status
  readonly reasons: unknown
  readonly metrics: Readonly<Record<string, unknown>>
  readonly checked_at: Date
  readonly connected_at: Date
  readonly probed_at: Date
  readonly used_at: Date
  readonly next_check_at: Date
  readonly awake: boolean
  readonly listed_at: Date
  readonly recorded_at: Date | null
  readonly leased_until: Date | null
  readonly calm_checks: number
  readonly troubled_checks: number
  readonly unhealthy_checks: number
  /** Seconds from now. */
  readonly due_in: number
  /** The copy in organization_databases. */
  readonly copied: Status
}

/** settings.health_interval_seconds: checks that are closer to each other count as one. */
export const INTERVAL_MS = 30_000

/** Tenants as rows alone, and the functions of health_checks.sql and fleet_list.sql as workers call them. */
export class HealthFleet {
  readonly #project: Project
  readonly #sql: postgres.Sql
  #owner = ''
  #made = 0

  constructor(project: Project) {
    this.#project = project
    this.#sql = project.sql
  }

  /** Forgets every tenant's health, and whatever follows from it. */
  async clear(): Promise<void> {
    await this.#sql`delete from public.tenant_health`
    await this.#sql`delete from public.tenant_health_checks`
    await this.#sql`delete from public.tenant_health_hourly`
    await this.#sql`delete from public.tenant_alerts`
    await this.#sql`delete from net.http_request_queue`
    await this
      .#sql`update provisioning.fleet_read set token = null, lease_expires_at = null, cursor = null, finished_at = null,
      projects = 0, seen = 0, incomplete = false`
    await this.#sql`delete from provisioning.settings`
    await this.#sql`insert into provisioning.settings default values`
    await this.#sql`update provisioning.alert_policies set open_after_checks = 3, notify = true,
      escalate_after_minutes = case severity when 'warning' then 60 end`
  }

  /** Adds tenants whose projects are called `project-N`, and which are due. @returns their ids, in the order of their numbers */
  async add(count: number): Promise<string[]> {
    this.#owner ||= (await createTenant(this.#project)).user.id
    await this.#sql`update provisioning.settings set organizations_per_user = 1000000`
    const first = this.#made + 1
    this.#made += count
    const rows = await this.#sql<{ id: string }[]>`
      with numbers as (select n from generate_series(${first}::int, ${this.#made}::int) n), made as (
        insert into public.organizations (name, slug, owner_id, data_region, hosting_region, provisioning_status)
        select 'Tenant ' || n, 'tenant-' || n, ${this.#owner}, 'us-east-1', 'us-east-1', '{}' from numbers
        returning id, slug
      ), located as (
        insert into public.organization_databases (organization_id, neon_project_id, region, size, host, pooled_host, port,
          database_name, role_name, ssl_mode)
        select id, replace(slug, 'tenant', 'project'), 'aws-us-east-1', 'small', 'h', 'p', 5432, 'd', 'r', 'disable' from made
      )
      select id from made order by length(slug), slug`
    const ids = rows.map(({ id }) => id)
    await this.#sql`insert into public.tenant_health (organization_id, next_check_at)
      select unnest(${ids}::uuid[]), now() - interval '1 second'`
    return ids
  }

  async addOne(): Promise<string> {
    return only(await this.add(1))
  }

  async record(results: readonly Result[]): Promise<number> {
    return only(
      await this.#sql<{ written: number }[]>`
        select provisioning.record_health_checks(${JSON.stringify(results)}::text::jsonb) as written`,
    ).written
  }

  /** Records results of one tenant one after the other, each an interval later than the one before. */
  async recordAll(id: string, statuses: readonly Status[], base = Date.now()): Promise<void> {
    for (const [index, status] of statuses.entries())
      await this.record([result(id, status, { at: base + (index - statuses.length) * INTERVAL_MS })])
  }

  async claim(limit: number, awakeOnly = false): Promise<string[]> {
    const rows = await this.#sql<{ id: string }[]>`
      select organization_id as id from provisioning.claim_health_checks(${limit}, ${awakeOnly})`
    return rows.map(({ id }) => id)
  }

  async plan(): Promise<{ mode: string; token: string | null; cursor: string | null }> {
    return only(
      await this.#sql<{ mode: string; token: string | null; cursor: string | null }[]>`
        select mode, token, cursor from provisioning.plan_health_checks()`,
    )
  }

  async advance(
    token: string | null,
    page: {
      next?: string
      incomplete?: boolean
      seen?: number
      listed?: readonly string[]
      awake?: readonly string[]
    },
  ): Promise<boolean> {
    const { next = null, incomplete = false, listed = [], awake = [], seen = listed.length } = page
    return only(
      await this.#sql<{ goesOn: boolean }[]>`
        select provisioning.advance_fleet_read(${token}, ${next}, ${incomplete}, ${seen}, ${[...listed]}, ${[...awake]}) as "goesOn"`,
    ).goesOn
  }

  async of(id: string): Promise<Health> {
    return only(
      await this.#sql<Health[]>`
        select h.*, extract(epoch from h.next_check_at - clock_timestamp())::float8 as due_in, d.health_status as copied
        from public.tenant_health h join public.organization_databases d using (organization_id)
        where organization_id = ${id}`,
    )
  }

  /** Rows in tenant_health_checks, oldest first. */
  async checksOf(id: string): Promise<{ probe: string; status: Status; latency_ms: number | null }[]> {
    return this.#sql<{ probe: string; status: Status; latency_ms: number | null }[]>`
      select probe, status, latency_ms from public.tenant_health_checks where organization_id = ${id} order by checked_at`
  }

  /** As if so much time had passed since whatever is known of these tenants. */
  async backdate(ids: readonly string[], seconds: number): Promise<void> {
    await this.#sql`
      update public.tenant_health set checked_at = checked_at - make_interval(secs => ${seconds}),
        connected_at = connected_at - make_interval(secs => ${seconds}), probed_at = probed_at - make_interval(secs => ${seconds}),
        used_at = used_at - make_interval(secs => ${seconds}), listed_at = listed_at - make_interval(secs => ${seconds}),
        recorded_at = recorded_at - make_interval(secs => ${seconds}), counted_at = counted_at - make_interval(secs => ${seconds}),
        leased_until = leased_until - make_interval(secs => ${seconds}),
        next_check_at = next_check_at - make_interval(secs => ${seconds})
      where organization_id = any (${[...ids]})`
  }

  async set(values: Readonly<Record<string, number>>): Promise<void> {
    await this.#sql`update provisioning.settings set ${this.#sql({ ...values })}`
  }
}

/** A result as a check would have it: a sleeper was only asked for, everybody else connected to. */
export function result(
  id: string,
  status: Status,
  {
    at = Date.now(),
    ...more
  }: { at?: number } & Partial<Omit<Result, 'organization_id' | 'checked_at'>> = {},
): Result {
  const connected = status === 'healthy' || status === 'degraded'
  return {
    organization_id: id,
    checked_at: new Date(at).toISOString(),
    probe: status === 'sleeping' || status === 'unknown' ? 'state' : 'connection',
    status,
    reasons: connected || status === 'unhealthy' ? reasonsOf(status) : [],
    metrics: connected ? { latency_ms: 12, size_bytes: 1000 } : {},
    connected,
    ...more,
  }
}

function reasonsOf(status: Status): Result['reasons'] {
  if (status === 'degraded')
    return [{ code: 'slow_queries', severity: 'degraded', message: 'A round trip takes 900 ms.' }]
  if (status === 'unhealthy')
    return [{ code: 'timeout', severity: 'unhealthy', message: 'The database did not answer in time.' }]
  return []
}
