import { writeFile } from 'node:fs/promises'
import type postgres from 'postgres'
import type { ProjectRecord } from '../../local/emulators/neon/project.ts'

const DAY_MS = 86_400_000

export const projectIdOf = (number: number) => `synthetic-project-${number}`
export const endpointIdOf = (number: number) => `ep-synthetic-${number}`

/** Tenants that are ready and asleep, by rows alone: nothing of theirs exists outside. */
export async function insertTenants(superuser: postgres.Sql, count: number): Promise<void> {
  // Without triggers and foreign keys: a hundred thousand real sign-ups would take minutes.
  await superuser.unsafe(`
    set session_replication_role = replica;
    insert into auth.users (id, email, created_at)
      select md5('user' || n)::uuid, 'user' || n || '@example.com', now() from generate_series(1, ${count}) n
      on conflict do nothing;
    insert into public.organizations (id, name, slug, owner_id, data_region, hosting_region, provisioning_status, provisioned_at)
      select md5('tenant' || n)::uuid, 'Tenant ' || n, 'tenant-' || n, md5('user' || n)::uuid, 'eu-central-1', 'eu-central-1',
        '{"overall": "ready"}', now() from generate_series(1, ${count}) n
      on conflict do nothing;
    insert into public.organization_databases (organization_id, neon_project_id, region, size, status, health_status)
      select md5('tenant' || n)::uuid, 'synthetic-project-' || n, 'aws-eu-central-1', 'small', 'active', 'sleeping'
      from generate_series(1, ${count}) n
      on conflict do nothing;
    insert into public.tenant_health (organization_id, status, checked_at, recorded_at)
      select md5('tenant' || n)::uuid, 'sleeping', now() - interval '15 minutes', now() - interval '15 minutes'
      from generate_series(1, ${count}) n
      on conflict do nothing;
    set session_replication_role = origin;
    analyze auth.users; analyze public.organizations; analyze public.organization_databases; analyze public.tenant_health;`)
}

/** The state file of an emulator with as many projects, whose computes have been asleep for a day. */
export async function writeSleepingProjects(file: string, count: number): Promise<void> {
  const at = Date.now() - DAY_MS
  await writeProjects(
    file,
    Array.from({ length: count }, (_, index) => projectRecord(index + 1, at, `synthetic_${index + 1}`)),
  )
}

/** The state file of an emulator with these projects. */
export async function writeProjects(file: string, projects: readonly ProjectRecord[]): Promise<void> {
  const lines = projects.map((value) => JSON.stringify([{ type: 'project', id: value.id, value }]))
  await writeFile(file, `${lines.join('\n')}\n`)
}

/** A project that was made, and last used, at this time. */
export function projectRecord(number: number, at: number, physicalName: string): ProjectRecord {
  const id = projectIdOf(number)
  const settings = {
    autoscaling_limit_min_cu: 0.25,
    autoscaling_limit_max_cu: 0.25,
    suspend_timeout_seconds: 300,
  }
  return {
    id,
    name: `org-${number}`,
    orgId: 'org-local-emulator',
    regionId: 'aws-eu-central-1',
    pgVersion: 17,
    storePasswords: true,
    historyRetentionSeconds: 21_600,
    provisioner: 'k8s-neonvm',
    settings: { quota: { compute_time_seconds: 180_000 } },
    defaultEndpointSettings: settings,
    createdAt: at,
    updatedAt: at,
    branch: { id: `br-synthetic-${number}`, name: 'main' },
    endpoint: {
      id: endpointIdOf(number),
      settings,
      disabled: false,
      updatedAt: at,
      startedAt: at,
      lastActiveAt: at,
    },
    role: { name: `tenant_${number}`, password: 'not-used', updatedAt: at },
    database: { id: number, name: `tenant_${number}` },
    physicalName,
    operations: [],
  }
}
