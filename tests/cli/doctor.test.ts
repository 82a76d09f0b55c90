import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { type Diagnosis, diagnosisSchema } from '../../cli/doctor/diagnosis.ts'
import { installationFindings } from '../../cli/doctor/installation.ts'
import { readMigrations } from '../../cli/doctor/migrations.ts'
import { providerFindings } from '../../cli/doctor/providers.ts'
import { workFindings } from '../../cli/doctor/work.ts'
import { PUBLIC_SCHEMA } from '../../shared/kernel/database/schema.ts'
import { readConfiguration } from '../../tools/configuration.ts'
import { Undo, unlessUndone } from '../database/cast.ts'
import { startTestProject, type TestProject, until } from '../support/project.ts'
import { operatorOf, tenants, tenantsJson } from './cli.ts'
import { problemWith } from './printed-commands.ts'

vi.setConfig({ testTimeout: 90_000, hookTimeout: 90_000 })

interface Found {
  readonly area: string
  readonly check: string
  readonly status: string
  readonly found: string
  readonly fix?: string
  readonly command?: string
  readonly sql?: string
}

let project: TestProject
beforeAll(async () => {
  project = await startTestProject()
  await project.sweep()
})
afterAll(() => project?.stop())

async function findings(args: readonly string[] = ['--quick'], more: NodeJS.ProcessEnv = {}) {
  const { code, document } = await tenantsJson({ ...operatorOf(project), ...more }, 'doctor', ...args)
  const found = document.findings as Found[]
  return { code, failed: found.filter(({ status }) => status === 'failed'), found }
}

/** What doctor says while something is wrong, which is put right afterwards. */
async function whileWrong(breakIt: string, mendIt: string) {
  await project.sql.unsafe(breakIt)
  try {
    return await findings()
  } finally {
    await project.sql.unsafe(mendIt)
  }
}

/** Diagnoses in which all is wrong that can be, in as many ways. */
function everythingWrong(fine: Diagnosis): Diagnosis[] {
  const failedJob = { kind: 'provision', code: 'stripe_key_rejected', jobs: 1, message: 'Refused.' }
  const wrong: Diagnosis = {
    ...fine,
    extensions: fine.extensions.map((each) => ({ ...each, version: null })),
    vault: fine.vault.map((each) => ({ ...each, state: 'missing' as const })),
    triggers: fine.triggers.map((each) => ({ ...each, enabled: false })),
    left_behind: { passwords: 3, organizations: 1 },
    mapping: [
      { part: 'profiles', table: 'public.people', followed: false, indexed: false, problem: null },
      { part: 'tenants', table: 'public.teams', followed: true, indexed: true, problem: 'no such column' },
    ],
    mapping_failures: { rows: 2, message: 'no such column' },
    functions_url: `https://${'a'.repeat(20)}.supabase.co/functions/v1`,
    policies: [
      ...fine.policies,
      { table: 'profiles', name: 'of "theirs"', command: 'all', permissive: true, roles: ['public'] },
    ],
    user_triggers: [
      { name: 'a', function: 'public.search_profiles(text)', inserts_into: ['public.profiles'] },
    ],
    cron: [],
    pg_net: {
      problem: 'the pg_net background worker is not up',
      queued: 1,
      last_hour: [{ status_code: 500, error: null, calls: 1 }],
    },
    dispatch: { last_swept_at: null, problem: 'The address of the functions is not in Vault.' },
    pauses: [{ message: 'Everything is paused.', paused_at: fine.database_time }],
    stuck_jobs: [
      {
        id: crypto.randomUUID(),
        organization_id: crypto.randomUUID(),
        slug: null,
        kind: 'provision',
        status: 'queued',
        due_at: fine.database_time,
        last_error: null,
      },
    ],
    failed_jobs: [failedJob],
    sign_up_failures: { users: 1, message: 'duplicate key' },
    users_without_profile: 2,
    providers: fine.providers.map((each) => ({ ...each, state: 'open' })),
    refused_limits: [{ limit: 'suspend_timeout_seconds', wanted: 1, refused_at: fine.database_time }],
    alerts: { open: 1, critical: 1, oldest: fine.database_time },
    reconciliation: {
      last_run: null,
      findings: [{ label: 'Neon project', kind: 'duplicate', resources: 1 }],
    },
    migrations: [],
  }
  const cronInOneWay = (change: Partial<Diagnosis['cron'][number]>) => ({
    ...wrong,
    vault: fine.vault.map((each) => ({ ...each, state: 'implausible' as const })),
    cron: fine.cron.map((each) => ({ ...each, ...change })),
  })
  const failedRun = { status: 'failed', message: 'no', started_at: null, finished_at: null }
  return [
    wrong,
    { ...wrong, vault: fine.vault.map((each) => ({ ...each, state: 'unreadable' as const })) },
    cronInOneWay({ active: false }),
    cronInOneWay({ here: false }),
    cronInOneWay({ last_run: failedRun }),
    cronInOneWay({ schedule: '1 1 1 1 *', last_run: null }),
  ]
}

describe('doctor', () => {
  test('tries the token for Supabase by the name that the vendor’s tools have for it', async () => {
    const address = { MANAGEMENT_API_URL: project.services.supabase?.url ?? '' }
    const checked = async (environment: Readonly<Record<string, string>>) =>
      (await findings([], { ...address, ...environment })).found.find(({ check }) => check === 'Supabase key')
    expect(await checked({ SUPABASE_MANAGEMENT_TOKEN: 'sbp_localemulator' })).toMatchObject({ status: 'ok' })
    // What the functions call it counts where both are set.
    const both = { SUPABASE_MANAGEMENT_TOKEN: 'sbp_localemulator', MANAGEMENT_TOKEN: 'sbp_wrong' }
    expect(await checked(both)).toMatchObject({
      status: 'failed',
      fix: expect.stringContaining('here (SUPABASE_MANAGEMENT_TOKEN) and in the secrets of the functions'),
      command: 'npx supabase secrets set MANAGEMENT_TOKEN=…',
    })
    expect(await checked({})).toMatchObject({
      status: 'skipped',
      found: expect.stringContaining('MANAGEMENT_TOKEN (SUPABASE_MANAGEMENT_TOKEN) is not set here'),
    })
  })

  test('the local stack takes the same names', async () => {
    const names = { SUPABASE_MANAGEMENT_TOKEN: 'sbp_one', SUPABASE_ORG_ID: 'acme' }
    expect(await readConfiguration(names)).toMatchObject({
      MANAGEMENT_TOKEN: 'sbp_one',
      MANAGEMENT_ORG_ID: 'acme',
    })
    expect(await readConfiguration({ ...names, MANAGEMENT_ORG_ID: 'own' })).toMatchObject({
      MANAGEMENT_ORG_ID: 'own',
    })
  })

  test('finds nothing wrong with a project that works, down to every function, and ends with 0', async () => {
    await project.sweep()
    const { code, failed, found } = await findings([], {
      SUPABASE_DB_URL: `${project.databaseUrl()}?sslmode=disable`,
      NEON_API_URL: project.neonEmulator.url,
      NEON_API_KEY: 'napi_localemulator',
    })
    expect({ code, failed }).toEqual({ code: 0, failed: [] })
    const ok = (area: string) =>
      found.filter((each) => each.area === area && each.status === 'ok').map(({ check }) => check)
    expect(ok('functions')).toEqual(
      expect.arrayContaining(['provision-tenant-resources', 'deprovision-tenant-resources']),
    )
    expect(ok('database')).toEqual(
      expect.arrayContaining([
        'migrations',
        'extension pg_cron',
        'pg_net worker',
        'trigger of provisioning.handle_new_user',
      ]),
    )
    expect(ok('Vault')).toContain('functions_base_url')
    expect(ok('cron')).toEqual(expect.arrayContaining(['tenant-provisioning-sweep', 'last sweep']))
    expect(ok('providers')).toContain('Neon key')
    expect(ok('advisors')).toHaveLength(1)
    expect(found).toContainEqual(expect.objectContaining({ check: 'Stripe key', status: 'skipped' }))
  })

  test('tells a key that the provider refuses, and why the advisors were skipped', async () => {
    const { code, failed, found } = await findings([], {
      NEON_API_URL: project.neonEmulator.url,
      NEON_API_KEY: 'wrong_key_value',
    })
    expect(code).toBe(4)
    expect(failed).toEqual([
      expect.objectContaining({ check: 'Neon key', found: expect.stringContaining('401') }),
    ])
    expect(found).toContainEqual(
      expect.objectContaining({
        area: 'advisors',
        status: 'skipped',
        found: expect.stringContaining('SUPABASE_DB_URL'),
      }),
    )
    expect(JSON.stringify(found)).not.toContain('wrong_key_value')
  })

  test('quotes Neon, and names the secret that a personal key cannot do without', async () => {
    const message = 'org_id is required, you can find it on your organization settings page'
    const neon = createServer((_, response) => response.writeHead(400).end(JSON.stringify({ message })))
    await once(neon.listen(0, '127.0.0.1'), 'listening')
    try {
      const { failed } = await findings([], {
        NEON_API_URL: `http://127.0.0.1:${(neon.address() as AddressInfo).port}`,
        NEON_API_KEY: 'napi_personal',
      })
      expect(failed).toEqual([
        expect.objectContaining({
          check: 'Neon key',
          found: `A call with NEON_API_KEY was answered 400. ${message}`,
          fix: 'Set NEON_ORG_ID, here and in the secrets of the functions.',
          command: 'npx supabase secrets set NEON_ORG_ID=…',
        }),
      ])
    } finally {
      neon.close()
    }
  })

  test('prints a screen with the statement that mends what is missing, and ends with 4', async () => {
    await project.sql`select cron.unschedule('tenant-provisioning-sweep')`
    try {
      const { code, stdout } = await tenants(operatorOf(project), 'doctor', '--quick')
      expect(code).toBe(4)
      expect(stdout).toMatch(/^✗ tenant-provisioning-sweep +It is not scheduled\.$/m)
      const statement = /^ +(select cron\.schedule\('tenant-provisioning-sweep'.+);$/m.exec(stdout)?.[1] ?? ''
      await project.sql.unsafe(statement)
      expect((await findings()).failed).toEqual([])
    } finally {
      await project.sql`select cron.schedule('tenant-provisioning-sweep', '10 seconds', 'select provisioning.sweep()')`
    }
  })

  test('finds a missing address, and the statement that it gives works', async () => {
    const [before] = await project.sql<
      { url: string }[]
    >`select provisioning.vault_secret('functions_base_url') as url`
    await project.sql`delete from vault.secrets where name = 'functions_base_url'`
    const { failed } = await findings()
    const missing = failed.find(({ check }) => check === 'functions_base_url')
    expect(missing?.found).toBe('It is not in Vault.')
    await project.sql.unsafe(missing?.sql ?? '')
    expect(await project.sql`select provisioning.vault_secret('functions_base_url') as url`).toEqual([before])
    expect((await findings()).failed).toEqual([])
  })

  test('tells with one finding that Vault cannot decrypt what a restored dump brought, and its statement works', async () => {
    const before = await project.sql`select name from vault.secrets order by name`
    await project.superuser`update vault.secrets set secret = 'bm9uc2Vuc2U='`
    const { code, failed } = await findings([])
    expect(code).toBe(4)
    const [undecryptable, ...others] = failed.filter(({ area }) => area === 'Vault')
    expect(others).toEqual([])
    for (const name of ['functions_base_url', 'provisioning_doorbell_key', 'provisioning_sealing_key'])
      expect(undecryptable?.found).toContain(name)
    expect(failed.find(({ check }) => check === 'doorbell')?.found).toContain('cannot decrypt')
    await project.sql.unsafe(undecryptable?.sql ?? '')
    expect((await findings()).failed).toEqual([])
    expect(await project.sql`select name from vault.secrets order by name`).toEqual(before)
  })

  test.each(['provisioning_sealing_key', 'alert_webhook_secret'])(
    'finds a broken %s, and the statement that it gives works',
    async (name) => {
      await project.sql`select vault.update_secret(id, 'broken') from vault.secrets where name = ${name}`
      const { failed } = await findings()
      expect(failed).toEqual([
        expect.objectContaining({
          check: name,
          found: 'Its value cannot be right.',
          sql: expect.any(String),
        }),
      ])
      await project.sql.unsafe(failed[0]?.sql ?? '')
      expect((await findings()).failed).toEqual([])
    },
  )

  test('finds triggers that are switched off, says what fails without them, and gives statements that work', async () => {
    const tables = ['auth.users', 'public.organizations', 'public.provisioning_jobs', 'public.tenant_alerts']
    const switched = (how: string) =>
      project.superuser.unsafe(tables.map((table) => `alter table ${table} ${how} trigger user;`).join(' '))
    await switched('disable')
    try {
      const { failed } = await findings()
      expect(failed.map(({ check }) => check).toSorted()).toEqual(
        [
          'alert_on_job_end',
          'enqueue_alert_delivery',
          'handle_new_user',
          'handle_organization_deleted',
          'handle_provisioning_succeeded',
          'handle_user_deleted',
          'handle_user_soft_deleted',
          'handle_user_updated',
          'keep_owners',
        ].map((name) => `trigger of provisioning.${name}`),
      )
      const consequence = (name: string) =>
        failed.find(({ check }) => check === `trigger of provisioning.${name}`)?.fix
      expect(consequence('handle_new_user')).toContain('new users get no rows')
      expect(consequence('handle_organization_deleted')).toContain('is not removed')
      expect(consequence('alert_on_job_end')).toContain('failed jobs open no alert')
      // As whoever uses the SQL editor: not the owner of auth.users.
      for (const { sql } of failed) await project.sql.unsafe(sql ?? '')
      expect((await findings()).failed).toEqual([])
    } finally {
      await switched('enable')
    }
  })

  test('finds policies of others on our tables, and triggers that fill our tables at every sign-up', async () => {
    const { failed, found } = await whileWrong(
      `create policy "Public profiles are viewable by everyone." on public.profiles for select using (true);
       create policy "not at night" on public.profiles as restrictive for select using (true);
       create function public.make_profile() returns trigger language plpgsql security definer set search_path = '' as $$
         begin insert into "public".profiles (id) values (new.id) on conflict do nothing; insert into app.profiles default values;
         return new; end $$;
       create trigger on_auth_user_created after insert on auth.users for each row execute function public.make_profile();
       alter function public.make_profile() rename to make_their_profile;`,
      `drop function public.make_their_profile() cascade; drop policy "not at night" on public.profiles;
       drop policy "Public profiles are viewable by everyone." on public.profiles`,
    )
    expect(failed.map(({ check, found: what }) => `${check}: ${what}`)).toEqual([
      'policy on profiles: "Public profiles are viewable by everyone." is not ours, and gives public select.',
      `trigger on_auth_user_created on auth.users: Its function public.make_their_profile() inserts into ${PUBLIC_SCHEMA}.profiles, which is ours.`,
    ])
    expect(found.filter(({ check }) => check === 'policy on profiles')).toHaveLength(2)
    expect((await findings()).failed).toEqual([])
  })

  test('says which handle_new_user is ours beside that of a starter, whether ours is there or not', async () => {
    const starter = `create function public.handle_new_user() returns trigger language plpgsql set search_path = '' as $$
      begin return new; end $$;
      create trigger on_auth_user_created after insert on auth.users for each row execute function public.handle_new_user();`
    const theirs =
      'on_auth_user_created calls public.handle_new_user, which is your application’s and another one.'
    const about = ({ found }: { found: Found[] }) =>
      found.find(({ check }) => check === 'trigger of provisioning.handle_new_user')
    expect(about(await whileWrong(starter, 'select 1'))).toMatchObject({
      status: 'ok',
      found: `on auth.users, ours. ${theirs}`,
    })
    await project.superuser`alter table auth.users disable trigger tenant_provisioning_user_created`
    try {
      expect(about(await findings())).toMatchObject({
        status: 'failed',
        found: `No enabled trigger on auth.users calls provisioning.handle_new_user. ${theirs}`,
      })
    } finally {
      await project.superuser`alter table auth.users enable trigger tenant_provisioning_user_created`
      await project.sql`drop function public.handle_new_user() cascade`
    }
  })

  test('tells of passwords that a reset of the database left in Vault, with the statement that deletes them', async () => {
    const secrets = () => project.sql`select name from vault.secrets order by name`
    const person = await project.signUp()
    await project.waitFor(person.organizationId)
    const before = await secrets()
    const { found } = await whileWrong(
      `select vault.create_secret('x', 'tenant_database_password/' || gen_random_uuid() || '/' || login)
         from unnest(array['app_1', 'health']) login`,
      'select 1',
    )
    const left = found.find(({ check }) => check === 'left behind')
    expect(left).toMatchObject({
      status: 'warning',
      found: expect.stringMatching(/^2 passwords of databases of 2 organizations/),
    })
    await project.sql.unsafe(left?.sql ?? '')
    expect(await secrets()).toEqual(before)
    expect((await findings()).found.find(({ check }) => check === 'left behind')).toBeUndefined()
  })

  test('tells that a copy calls the functions of its original', async () => {
    const fine = diagnosisSchema.parse(
      (await project.sql`select provisioning.diagnose_provisioning() as document`)[0]?.document,
    )
    const about = async (ref: string, rung: string | null) =>
      installationFindings(
        { ...fine, functions_url: rung },
        await readMigrations(),
        { url: `https://${ref}.supabase.co`, secretKey: '', isLocal: false, hint: '' },
        Date.parse(fine.database_time),
      ).find(({ check }) => check === 'where the functions are')
    const [original, copy] = ['o'.repeat(20), 'c'.repeat(20)]
    const url = `https://${original}.supabase.co/functions/v1`
    expect(await about(original, `${url}/`)).toMatchObject({ status: 'ok' })
    expect(await about(copy, url)).toMatchObject({
      status: 'failed',
      sql: expect.stringContaining(`'https://${copy}.supabase.co/functions/v1'`),
    })
    expect(await about(copy, 'http://kong:8000/functions/v1')).toMatchObject({ status: 'warning' })
    expect(await about(copy, null)).toBeUndefined()
  })

  test('tells whose rows a copy has, and that functions of another project were refused', async () => {
    const fine = diagnosisSchema.parse(
      (await project.sql`select provisioning.diagnose_provisioning() as document`)[0]?.document,
    )
    const [original, copy] = ['o'.repeat(20), 'c'.repeat(20)]
    const about = async (url: string, owner: string | null, foreign: string | null = null) =>
      installationFindings(
        { ...fine, identity: { ...fine.identity, project: owner, foreign_project: foreign } },
        await readMigrations(),
        { url, secretKey: '', isLocal: false, hint: '' },
        Date.parse(fine.database_time),
      ).find(({ check }) => check === 'whose rows these are')
    const hosted = (ref: string) => `https://${ref}.supabase.co`
    expect(await about(hosted(original), original)).toMatchObject({ status: 'ok', found: original })
    expect(await about(hosted(original), null)).toMatchObject({ status: 'ok' })
    expect(await about('https://api.example.com', original)).toMatchObject({ status: 'ok' })
    expect(await about(hosted(copy), original)).toMatchObject({
      status: 'failed',
      found: expect.stringContaining(`belong to the project ${original}`),
      fix: expect.stringContaining('docs/copies.md'),
    })
    expect(await about(hosted(original), original, copy)).toMatchObject({
      status: 'warning',
      found: expect.stringContaining(`Functions of the project ${copy} were refused`),
    })
  })

  test('every command and statement that it can print works, whatever is wrong', async () => {
    const diagnosis = diagnosisSchema.parse(
      (await project.sql`select provisioning.diagnose_provisioning() as document`)[0]?.document,
    )
    const bundled = await readMigrations()
    const address = { url: project.services.url, secretKey: '', isLocal: false, hint: '' }
    const now = Date.parse(diagnosis.database_time)
    const printed = everythingWrong(diagnosis).flatMap((wrong) => [
      ...installationFindings(wrong, bundled, address, now + 3_600_000),
      ...workFindings(wrong, now),
      ...providerFindings(wrong),
    ])
    const statements = new Set(printed.flatMap(({ sql }) => sql ?? []))
    const commands = [...new Set(printed.flatMap(({ command }) => command ?? []))]
    const sender = async () => (await project.superuser`select net._worker_pid() as pid`)[0]?.pid
    const before = await sender()
    expect(statements.size).toBeGreaterThan(20)
    expect(commands.length).toBeGreaterThan(7)
    expect(await Promise.all(commands.map(problemWith))).toEqual(commands.map(() => undefined))
    for (const statement of statements)
      await project.sql
        .begin(async (sql) => {
          // What it makes must not be there, and what it changes must.
          if (/drop policy/.test(statement))
            await sql`create policy ${sql('of "theirs"')} on public.profiles for select using (true)`
          if (/create_secret/.test(statement)) await sql`delete from vault.secrets`
          await sql.unsafe(statement)
          throw new Undo()
        })
        .catch(unlessUndone)
        .catch((error: unknown) => {
          throw new Error(`${statement}: ${String(error)}`)
        })
    // A restart of pg_net's worker is not undone with its transaction, and takes a moment.
    await until('another worker of pg_net', async () => {
      const pid = await sender()
      return (pid !== null && pid !== before) || undefined
    })
  })

  test('warns of another schedule than the migrations have, with the statement that restores it', async () => {
    const schedule = async () =>
      await project.sql`select schedule from cron.job where jobname = 'tenant-provisioning-prune'`
    const before = await schedule()
    await project.sql`
      select cron.alter_job(jobid, schedule := '1 1 1 1 *') from cron.job where jobname = 'tenant-provisioning-prune'`
    const { code, found, failed } = await findings()
    const changed = found.find(({ check }) => check === 'tenant-provisioning-prune')
    expect({ code, failed, changed }).toMatchObject({
      code: 0,
      failed: [],
      changed: { status: 'warning', found: expect.stringContaining('"1 1 1 1 *"') },
    })
    await project.sql.unsafe(changed?.sql ?? '')
    expect(await schedule()).toEqual(before)
  })

  test('counts failed jobs that no alert tells of, and blames a key once', async () => {
    await project.services.worker.pauseHttp()
    await project.superuser`alter table public.provisioning_jobs disable trigger provisioning_jobs_alert`
    try {
      const person = await project.signUp()
      const { failed } = await whileWrong(
        `update public.provisioning_jobs set status = 'failed', finished_at = now(),
           last_error = '{"code": "stripe_key_rejected", "message": "The key was refused."}' where organization_id = '${person.organizationId}'`,
        `alter table public.provisioning_jobs enable trigger provisioning_jobs_alert;
         update public.provisioning_jobs set status = 'cancelled' where organization_id = '${person.organizationId}'`,
      )
      expect(failed.map(({ check }) => check).toSorted()).toEqual([
        'Stripe key of the functions',
        'failed jobs',
        'trigger of provisioning.alert_on_job_end',
      ])
      expect(failed.find(({ check }) => check === 'failed jobs')?.found).toBe(
        '1 × stripe_key_rejected. The key was refused.',
      )
      expect((await findings()).failed).toEqual([])
    } finally {
      await project.superuser`alter table public.provisioning_jobs enable trigger provisioning_jobs_alert`
      await project.services.worker.resumeHttp()
    }
  })

  test('finds a sweep that does not run, a job that nobody takes and an open circuit breaker', async () => {
    await project.services.worker.pauseHttp()
    try {
      const person = await project.signUp()
      const { code, failed } = await whileWrong(
        `update provisioning.dispatch_state set last_swept_at = now() - interval '5 minutes';
         update public.provisioning_jobs set next_attempt_at = now() - interval '5 minutes' where organization_id = '${person.organizationId}';
         update provisioning.provider_status set state = 'open', next_try_at = now() + interval '1 hour', last_error = 'no answer' where provider = 'neon'`,
        `update provisioning.dispatch_state set last_swept_at = now();
         update provisioning.provider_status set state = 'closed', next_try_at = null, last_error = null where provider = 'neon'`,
      )
      expect(code).toBe(4)
      expect(failed.map(({ check }) => check).toSorted()).toEqual(['Neon', 'last sweep', 'stuck jobs'])
    } finally {
      await project.services.worker.resumeHttp()
    }
  })

  test('tells functions that the database cannot reach, with --json as one document', async () => {
    const { rows } = await project.sql`select provisioning.vault_secret('functions_base_url') as url`.then(
      ([row]) => ({ rows: row }),
    )
    await project.sql`select vault.update_secret(id, 'http://127.0.0.1:9/functions/v1') from vault.secrets where name = 'functions_base_url'`
    try {
      const { code, failed } = await findings([])
      expect(code).toBe(4)
      const [unreached] = failed.filter(({ area }) => area === 'functions')
      expect(unreached?.found).toContain('cannot reach')
      // The project's own address, not one to be filled in.
      expect(unreached?.sql).toContain(`'${String(rows?.url)}'`)
    } finally {
      await project.sql`select vault.update_secret(id, ${String(rows?.url)}) from vault.secrets where name = 'functions_base_url'`
    }
  })

  // The last one: functions notice the new keys only after a while.
  test('brings back all that a restored dump lacks, with the statements that it prints', async () => {
    // A worker at an earlier test's tenant would miss the passwords.
    await until('end of all work', async () => {
      await project.sweep()
      const open =
        await project.sql`select from public.provisioning_jobs where status in ('queued', 'running')`
      return open.length === 0 || undefined
    })
    const mine = `select tgname from pg_trigger where tgrelid = 'auth.users'::regclass and not tgisinternal order by 1`
    const jobs = `select jobname, schedule, command from cron.job order by 1`
    const before = [await project.sql.unsafe(mine), await project.sql.unsafe(jobs)]
    // Passwords of tenants come back by a retry.
    const ours = `select name from vault.secrets where name not like 'tenant_database_password/%' order by 1`
    const secrets = await project.sql.unsafe(ours)
    await project.superuser.unsafe(`
      do $$ declare v_name text; begin
        for v_name in ${mine} loop execute format('drop trigger %I on auth.users', v_name); end loop;
      end $$;
      delete from vault.secrets;`)
    await project.sql`select cron.unschedule(jobid) from cron.job`
    const { failed } = await findings()
    for (const { sql } of failed) if (sql && !sql.startsWith('select *')) await project.sql.unsafe(sql)
    expect([await project.sql.unsafe(mine), await project.sql.unsafe(jobs)]).toEqual(before)
    // Sweeps come faster here than pg_net sends: what one has left in the queue the next one would report.
    await until('sweep that finds all calls sent', async () => {
      await project.sweep()
      const [sent] = await project.sql`select from provisioning.dispatch_state where unsent_since is null`
      return sent
    })
    expect((await findings()).failed).toEqual([])
    expect(await project.sql.unsafe(ours)).toEqual(secrets)
    await project.signUp()
  })
})
