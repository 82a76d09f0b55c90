import { readFile } from 'node:fs/promises'
import postgres from 'postgres'
import { PUBLIC_SCHEMA } from '../../shared/kernel/database/schema.ts'
import { type Accounts, readAccounts } from './accounts.ts'
import type { Tier } from './faults.ts'
import { insist } from './insist.ts'
import type { ChaosProject } from './project.ts'
import type { Dice } from './random.ts'

export interface Check {
  readonly name: string
  readonly ok: boolean
  /** Ids, each with what is wrong; empty when all is well. */
  readonly offending: readonly string[]
}

interface Evidence {
  readonly project: ChaosProject
  /** Users whose sign-up was committed. */
  readonly userIds: readonly string[]
  /** Organizations whose databases were removed to make room: they cannot be opened any more. */
  readonly emptied: ReadonlySet<string>
  readonly accounts: Accounts
  readonly dice: Dice
}

type Finding = (evidence: Evidence) => Promise<readonly string[]>

const SAMPLE = 20
/** How the emulators' passwords and keys begin, and what marks a plaintext one wherever it is found. */
const SECRET =
  'npg_[A-Za-z0-9]{20}|sk_test_|napi_|sb_secret_|sbp_local|github_pat_|vcp_local|n8n_api_local|postgresql://[^:]+:[^@]+@'

/** What a statement fails with when the database goes away under it. */
const DATABASE_GONE =
  /ECONN|EPIPE|CONNECTION_|CONNECT_TIMEOUT|starting up|shutting down|recovery mode|not yet accepting|terminating connection|socket|lease was lost/i

const CHECKS: Readonly<Record<string, Finding>> = {
  'every committed sign-up is still there': lostUsers,
  'every sign-up has its rows, one of each': incompleteTenants,
  'every sign-up is ready': unreadyTenants,
  'no job is open': openJobs,
  'no job runs without a live lease': orphanedJobs,
  'no step is unfinished': unfinishedSteps,
  'no sign-up is left for repair': unrepairedSignUps,
  'one Stripe customer each, the one that the row names': ({ project, accounts }) =>
    mismatches(project, 'stripe_customer_id', accounts.customers),
  'one secret in Vault each, and no others': secretsAmiss,
  'the secret opens the database (sample)': closedDatabases,
  'the history is complete and nothing happened twice': historyAmiss,
  'no secret outside Vault, in a table or in a log': leakedSecrets,
  'no step crashed, except with the database': crashedSteps,
}

/** What each tier has outside. */
const CHECKS_OF_TIER: Readonly<Record<Tier, Readonly<Record<string, Finding>>>> = {
  database: {
    'one Neon project each, the one that the row names': ({ project, accounts }) =>
      mismatches(project, 'neon_project_id', accounts.projects),
    'what is recorded as outside is what the rows name, and no request is open': recordsAmiss,
    'no customer or project without an organization': strangers,
  },
  project: {
    'one Supabase project, repository, Vercel project and set of workflows each, those that the rows name, and no others':
      thingsAmiss,
    'each workflow is there once, and active': workflowsAmiss,
  },
}

/** Looks at everything that was made. The system is at rest by now; reading the accounts lifts their rate limits. */
export async function verify(seen: Omit<Evidence, 'accounts'>, signal: AbortSignal): Promise<Check[]> {
  const evidence = { ...seen, accounts: await readAccounts(seen.project) }
  const checks: Check[] = []
  for (const [name, find] of Object.entries({ ...CHECKS, ...CHECKS_OF_TIER[seen.project.tier] })) {
    const offending = await insist(() => find(evidence), signal).catch((error: unknown) => [
      `the check itself failed: ${String(error)}`,
    ])
    checks.push({ name, ok: offending.length === 0, offending })
  }
  return checks
}

async function lines(rows: Promise<readonly { line: string }[]>): Promise<string[]> {
  return (await rows).map(({ line }) => line)
}

async function lostUsers({ project, userIds }: Evidence): Promise<string[]> {
  return lines(project.superuser<{ line: string }[]>`
    select 'user ' || id as line from unnest(${[...userIds]}::uuid[]) id
    where not exists (select from auth.users u where u.id = id.id)`)
}

async function incompleteTenants({ project, userIds }: Evidence): Promise<string[]> {
  return lines(project.superuser<{ line: string }[]>`
    with counted as (
      select u.id, (select count(*) from public.profiles p where p.id = u.id) as profiles,
        (select count(*) from public.wallets w where w.user_id = u.id) as wallets,
        (select count(*) from public.organizations o where o.owner_id = u.id) as organizations,
        (select count(*) from public.organization_members m where m.user_id = u.id and m.role = 'owner') as memberships,
        (select count(*) from public.organizations o join public.organization_databases d on d.organization_id = o.id
         where o.owner_id = u.id) as databases,
        (select count(*) from public.organizations o join public.provisioning_jobs j on j.organization_id = o.id
         where o.owner_id = u.id) as jobs
      from unnest(${[...userIds]}::uuid[]) u (id)
    )
    select 'user ' || id || ': ' || (to_jsonb(counted) - 'id')::text as line from counted
    where (profiles, wallets, organizations, memberships, databases, jobs) is distinct from (1, 1, 1, 1, 1, 1)`)
}

async function unreadyTenants({ project, userIds }: Evidence): Promise<string[]> {
  return lines(project.superuser<{ line: string }[]>`
    select format('organization %s: %s, job %s, %s', o.id, o.provisioning_status, j.status, j.last_error) as line
    from public.organizations o left join public.provisioning_jobs j on j.organization_id = o.id
    where o.owner_id = any (${[...userIds]}::uuid[])
      and (o.provisioning_status ->> 'overall' is distinct from 'ready' or o.provisioned_at is null)`)
}

async function openJobs({ project }: Evidence): Promise<string[]> {
  return lines(project.superuser<{ line: string }[]>`
    select format('job %s: %s, due %s, %s', id, status, next_attempt_at, last_error) as line
    from public.provisioning_jobs where status in ('queued', 'running')`)
}

async function orphanedJobs({ project }: Evidence): Promise<string[]> {
  return lines(project.superuser<{ line: string }[]>`
    select format('job %s: lease until %s', job_id, expires_at) as line
    from provisioning.job_leases where expires_at <= now()`)
}

async function recordsAmiss({ project }: Evidence): Promise<string[]> {
  return lines(project.superuser<{ line: string }[]>`
    with named as (
      select id as organization_id, 'stripe_customer' as kind, stripe_customer_id as external_id from public.organizations
      union all
      select organization_id, 'neon_project', neon_project_id from public.organization_databases
    )
    select format('organization %s: %s %s, %s %s', organization_id, kind, named.external_id, r.state, r.external_id) as line
    from named full join public.tenant_resources r using (organization_id, kind)
    where r.state is distinct from 'active' or r.external_id is distinct from named.external_id or r.details ? 'request'`)
}

async function unfinishedSteps({ project }: Evidence): Promise<string[]> {
  return lines(project.superuser<{ line: string }[]>`
    select format('step %s of job %s: %s, %s', step, job_id, status, error) as line
    from public.provisioning_steps where status <> 'succeeded'`)
}

async function unrepairedSignUps({ project }: Evidence): Promise<string[]> {
  return lines(project.superuser<{ line: string }[]>`
    select format('user %s: %s (%s), attempt %s', user_id, message, sqlstate, attempts) as line
    from provisioning.sign_up_failures`)
}

async function mismatches(
  { superuser }: ChaosProject,
  column: 'stripe_customer_id' | 'neon_project_id',
  made: ReadonlyMap<string, readonly string[]>,
): Promise<string[]> {
  const rows = await superuser<{ organizationId: string; id: string | null }[]>`
    select o.id as "organizationId", ${superuser(column)} as id
    from public.organizations o join public.organization_databases d on d.organization_id = o.id`
  return rows.flatMap(({ organizationId, id }) => {
    const found = made.get(organizationId) ?? []
    return found.length === 1 && found[0] === id
      ? []
      : [
          `organization ${organizationId}: its row names ${id}, the provider has ${found.join(', ') || 'none'}`,
        ]
  })
}

async function strangers({ project, accounts }: Evidence): Promise<string[]> {
  const rows = await project.superuser<{ id: string }[]>`select id from public.organizations`
  const known = new Set(rows.map(({ id }) => id))
  return [...accounts.customers, ...accounts.projects].flatMap(([owner, ids]) =>
    known.has(owner) ? [] : [`${ids.join(', ')} of ${owner}`],
  )
}

/** By the lists of the providers, as reconciliation reads them. */
async function thingsAmiss({ project, accounts }: Evidence): Promise<string[]> {
  const rows = await project.superuser<
    { organizationId: string; kind: string; id: string | null; open: boolean }[]
  >`
    select o.id as "organizationId", k.kind, r.external_id as id, r.details ? 'request' or r.state <> 'active' as open
    from public.organizations o cross join unnest(${[...accounts.things.keys()]}::text[]) k (kind)
    left join public.tenant_resources r on r.organization_id = o.id and r.kind = k.kind`
  const amiss = rows.flatMap(({ organizationId, kind, id, open }) => {
    const found = accounts.things.get(kind)?.get(organizationId) ?? []
    return found.length === 1 && found[0] === id && !open
      ? []
      : [
          `organization ${organizationId}: its row names the ${kind} ${id}, the provider has ${found.join(', ') || 'none'}`,
        ]
  })
  const known = new Set(rows.map(({ organizationId }) => organizationId))
  const foreign = [...accounts.things].flatMap(([kind, things]) =>
    [...things.keys()].filter((owner) => !known.has(owner)).map((owner) => `a ${kind} of ${owner}`),
  )
  return [...amiss, ...foreign]
}

async function workflowsAmiss({ project, accounts }: Evidence): Promise<string[]> {
  const rows = await project.superuser<{ id: string }[]>`select id from public.organizations`
  return rows.flatMap(({ id }) => {
    const workflows = accounts.workflows.get(id) ?? []
    const isRight =
      workflows.length === new Set(workflows).size &&
      workflows.length > 0 &&
      workflows.every((one) => one.endsWith(' active'))
    return isRight ? [] : [`organization ${id}: ${workflows.join(', ') || 'no workflow'}`]
  })
}

async function secretsAmiss({ project }: Evidence): Promise<string[]> {
  return lines(project.superuser<{ line: string }[]>`
    select format('organization %s has no secret', d.organization_id) as line from public.organization_databases d
    where not exists (select from vault.secrets s where s.id = d.credentials_secret_id)
    union all
    select format('secret %s (%s) is nobody''s', s.id, s.name) from vault.secrets s
    where s.name not in ('functions_base_url', 'provisioning_doorbell_key', 'provisioning_sealing_key', 'alert_webhook_secret')
      and not exists (select from public.organization_databases d
        where d.credentials_secret_id is not null and (s.name like provisioning.login_secret(d.organization_id, '%')
          or s.name = provisioning.project_secret(d.organization_id)))
    union all
    select format('secret %s is shared by %s', d.credentials_secret_id, count(*)) from public.organization_databases d
    where d.credentials_secret_id is not null group by d.credentials_secret_id having count(*) > 1`)
}

interface Credentials {
  readonly organizationId: string
  readonly host: string
  readonly port: number
  readonly database: string
  readonly username: string
  readonly password: string
}

async function readCredentials({ superuser }: ChaosProject): Promise<readonly Credentials[]> {
  return superuser<Credentials[]>`
    select d.organization_id as "organizationId", d.pooled_host as host, coalesce(d.pooled_port, d.port) as port,
      d.database_name as database, d.role_name || coalesce('.' || d.pooler_tenant, '') as username, s.decrypted_secret as password
    from public.organization_databases d join vault.decrypted_secrets s on s.id = d.credentials_secret_id
    order by d.organization_id`
}

async function closedDatabases({ project, emptied, dice }: Evidence): Promise<string[]> {
  const whole = (await readCredentials(project)).filter(({ organizationId }) => !emptied.has(organizationId))
  const sample = dice.shuffled(whole).slice(0, SAMPLE)
  if (sample.length === 0) return ['there are no credentials at all']
  const problems = await Promise.all(sample.map(connectionProblem))
  return problems.flatMap((problem) => problem ?? [])
}

/** Undefined when the database opens and has the tenant schema. */
async function connectionProblem({
  organizationId,
  ...credentials
}: Credentials): Promise<string | undefined> {
  const sql = postgres({ ...credentials, max: 1, connect_timeout: 10, onnotice: () => undefined })
  try {
    const { count } = await sql`select where to_regclass('public.contacts') is not null`
    return count > 0 ? undefined : `organization ${organizationId}: its database has no tenant schema`
  } catch (error) {
    return `organization ${organizationId}: ${String(error)}`
  } finally {
    await sql.end({ timeout: 1 })
  }
}

async function historyAmiss({ project }: Evidence): Promise<string[]> {
  return lines(project.superuser<{ line: string }[]>`
    with counted as (
      select o.id,
        count(*) filter (where e.event_type = 'sign_up') as sign_ups,
        count(*) filter (where e.event_type = 'job.succeeded') as jobs_succeeded,
        count(*) filter (where e.event_type = 'step.succeeded') as steps_succeeded,
        count(distinct e.resource_type) filter (where e.event_type = 'step.succeeded') as different_steps,
        (select count(*) from public.provisioning_steps s where s.organization_id = o.id) as steps
      from public.organizations o left join public.provisioning_events e on e.organization_id = o.id group by o.id
    )
    select 'organization ' || id || ': ' || (to_jsonb(counted) - 'id')::text as line from counted
    where sign_ups <> 1 or jobs_succeeded <> 1 or steps_succeeded <> steps or different_steps <> steps`)
}

async function leakedSecrets(evidence: Evidence): Promise<string[]> {
  return [...(await secretsInTables(evidence)), ...(await secretsInLogs(evidence.project))]
}

/** By what secrets look like, and by what they are (a sample), in the text of every row outside Vault. */
async function secretsInTables({ project, dice }: Evidence): Promise<string[]> {
  const { superuser } = project
  const sample = dice.shuffled(await readCredentials(project)).slice(0, SAMPLE)
  const pattern = [SECRET, ...sample.map(({ password }) => password)].join('|')
  const tables = await superuser<{ schema: string; name: string }[]>`
    select schemaname as schema, tablename as name from pg_tables
    where schemaname in (${PUBLIC_SCHEMA}, 'provisioning', 'auth', 'net', 'cron')`
  const found = await Promise.all(
    tables.map(async ({ schema, name }) => {
      const { count } = await superuser`
        select from ${superuser(schema)}.${superuser(name)} t where t::text ~ ${pattern} limit 100`
      return count > 0 ? [`${count} rows of ${schema}.${name}`] : []
    }),
  )
  return found.flat()
}

async function secretsInLogs({ server, functionLog }: ChaosProject): Promise<string[]> {
  const secret = new RegExp(SECRET)
  const inPostgres = (await readFile(server.logFile, 'utf8'))
    .split('\n')
    .filter((line) => secret.test(line)).length
  const inFunction = functionLog.filter((line) => secret.test(line)).length
  return [
    ...(inPostgres > 0 ? [`${inPostgres} lines of Postgres's log`] : []),
    ...(inFunction > 0 ? [`${inFunction} lines of the function's log`] : []),
  ]
}

/** Retries hide a step that throws, until there are none left. */
async function crashedSteps({ project }: Evidence): Promise<string[]> {
  return project.functionLog.filter(
    (line) => /^\[\d\] job \S+, step \w+:/.test(line) && !DATABASE_GONE.test(line),
  )
}
