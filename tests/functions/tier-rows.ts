import type postgres from 'postgres'

/** Leaves the tier `project` these services alone. Whatever they depend on of others is taken as done, and nothing waits. */
export async function keepServices(sql: postgres.Sql, services: readonly string[]): Promise<void> {
  const names = [...services]
  await sql`delete from provisioning.step_definitions where tier = 'project' and service <> all (${names})`
  await sql`update provisioning.tiers set services = ${names} where tier = 'project'`
  await sql`update provisioning.resource_kinds set grace_hours = 0`
  await sql`update provisioning.settings set backoff_base_seconds = 0.01, breaker_failures = 1000`
  await sql`update provisioning.rate_limits set burst = 1000000, per_second = 1000000`
}

/** Everything in the rows that people see. */
export async function everythingShown(sql: postgres.Sql): Promise<string> {
  const rows = await sql<{ text: string }[]>`
    select to_jsonb(t)::text as text from public.provisioning_steps t union all
    select to_jsonb(t)::text from public.provisioning_jobs t union all
    select to_jsonb(t)::text from public.provisioning_events t union all
    select to_jsonb(t)::text from public.tenant_resources t union all
    select to_jsonb(t)::text from public.tenant_alerts t union all
    select to_jsonb(t)::text from public.organizations t union all
    select to_jsonb(t)::text from public.organization_databases t union all
    select to_jsonb(t)::text from public.audit_logs t`
  return rows.map(({ text }) => text).join('\n')
}
