import { execFile } from 'node:child_process'
import { readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import postgres from 'postgres'
import { parse } from 'smol-toml'
import { describe, expect, it, vi } from 'vitest'
import { diagnosisSchema } from '../../cli/doctor/diagnosis.ts'
import { fileFindings } from '../../cli/doctor/files.ts'
import { installationFindings } from '../../cli/doctor/installation.ts'
import { readFunctionNames, readMigrations } from '../../cli/doctor/migrations.ts'
import { withOurConfig } from '../../cli/install/config-toml.ts'
import { checksum, MANIFEST_FILE } from '../../cli/install/manifest.ts'
import { OWN_FOLDERS } from '../../cli/install/our-files.ts'
import { planInstallation } from '../../cli/install/plan.ts'
import { namesMadeIn } from '../../cli/install/taken-names.ts'
import { versionsAfter } from '../../cli/install/versions.ts'
import { writeChanges } from '../../cli/install/write-changes.ts'
import { migrate } from '../../local/postgres/migrate.ts'
import { projectRoot } from '../../tools/project.ts'
import { tenants, tenantsJson } from '../cli/cli.ts'
import { problemWith } from '../cli/printed-commands.ts'
import { catalogue } from '../database/catalogue.ts'
import { createTestDatabase } from '../support/database.ts'
import { deploy } from '../support/deployment.ts'
import { signUp } from '../support/sign-up.ts'
import { filesIn, makeProject, SHAPES, type Shape } from './project-shapes.ts'

vi.setConfig({ testTimeout: 120_000 })

const NEW = shape('that is new')
const QUICK_START = shape('of the quick start')
const COMPANIES = shape('with companies, numbered migrations and functions of its own')

function shape(name: string): Shape {
  const found = SHAPES.find((each) => each.name === name)
  if (!found) throw new Error(`There is no project ${name}.`)
  return found
}

const init = (...args: string[]) => tenants(process.env, 'init', ...args)

describe.each(SHAPES)('init in a project $name', (project) => {
  it('keeps what is there, makes a history that replays from nothing, and gives who signs up a tenant', async () => {
    const { directory, remove } = await makeProject(project)
    await using database = await createTestDatabase('platform')
    const sql = postgres(database.url(), { max: 2, onnotice: () => undefined })
    const auth = postgres(database.url('supabase_auth_admin'), { max: 1 })
    try {
      const { code, document } = await tenantsJson(process.env, 'init', directory, '--yes')
      expect({ code, schema: document.schema }).toEqual({ code: 0, schema: project.schema })
      const files = await filesIn(directory)
      for (const [file, text] of Object.entries(project.files))
        if (file !== 'supabase/config.toml' && file !== '.env.example') expect(files[file], file).toBe(text)
      // Every line of theirs is still there, but for the one list that one of ours joins.
      const lines = (project.files['supabase/config.toml'] ?? '').split('\n')
      const lost = lines.filter((line) => !files['supabase/config.toml']?.split('\n').includes(line))
      expect(lost).toEqual(project.schema === 'public' ? [] : ['schemas = ["public", "graphql_public"]'])
      await migrate(database.url(), { workdir: directory })
      const { id } = await signUp(auth, { metadata: { organization_name: 'Engines' } })
      const mine = await sql`select name from ${sql(project.schema)}.organizations where owner_id = ${id}`
      expect([...mine]).toEqual([{ name: 'Engines' }])
      const [told] = await sql`select provisioning.diagnose_provisioning() as diagnosis`
      const address = { url: 'http://127.0.0.1:9', secretKey: '', isLocal: false, hint: '' }
      const findings = installationFindings(
        diagnosisSchema.parse(told?.diagnosis),
        await readMigrations(),
        address,
        Date.now(),
      )
      expect(findings.find(({ check }) => check === 'migrations')).toMatchObject({ status: 'ok' })
    } finally {
      await Promise.all([sql.end(), auth.end(), remove()])
    }
  })

  it('does nothing when it is run again, and with --dry-run shows all and writes nothing', async () => {
    const { directory, remove } = await makeProject(project)
    try {
      const shown = await init(directory, '--dry-run')
      expect(shown.code).toBe(0)
      expect(shown.stdout).toMatch(
        /^To be written[\s\S]*\+ supabase\/migrations\/ \d+ files[\s\S]*~ supabase\/config.toml/,
      )
      expect((await init(directory)).stderr).toContain('Say so with --yes')
      expect(await filesIn(directory)).toEqual(project.files)
      await init(directory, '--yes')
      const written = await filesIn(directory)
      const again = await init(directory, '--yes')
      expect(again.stdout).toContain('has all of it already')
      expect(await filesIn(directory)).toEqual(written)
    } finally {
      await remove()
    }
  })
})

describe('init', () => {
  it('says why it proposes a schema of its own, and what comes next', async () => {
    const { directory, remove } = await makeProject(QUICK_START)
    try {
      const { stdout } = await init(directory, '--yes')
      expect(stdout).toContain(
        'our tables go to the schema tenancy: your migrations make profiles in the schema public',
      )
      expect(stdout).toContain('Expose the schema tenancy')
      const config = parse(await readFile(path.join(directory, 'supabase/config.toml'), 'utf8'))
      expect(config.api).toMatchObject({ schemas: ['public', 'graphql_public', 'tenancy'] })
    } finally {
      await remove()
    }
  })

  it('writes functions that are sound where they are, with an import map of their own', async () => {
    const { directory, remove } = await makeProject(COMPANIES)
    try {
      await init(directory, '--yes', '--schema', 'tenancy')
      const config = parse(await readFile(path.join(directory, 'supabase/config.toml'), 'utf8'))
      expect(config.functions).toMatchObject({
        hello: { verify_jwt: true, import_map: './functions/hello/deno.json' },
        graphql: { verify_jwt: false, import_map: './functions/_tenant-provisioning/import_map.json' },
      })
      const schema = await readFile(
        path.join(directory, 'supabase/functions/_tenant-provisioning/shared/kernel/database/schema.ts'),
        'utf8',
      )
      expect(schema).toContain("'tenancy'")
      await symlink(path.join(projectRoot, 'node_modules'), path.join(directory, 'node_modules'))
      await writeFile(
        path.join(directory, 'deno.json'),
        '{"nodeModulesDir": "manual", "importMap": "./supabase/functions/_tenant-provisioning/import_map.json"}',
      )
      const uploads = await deploy(directory, await readFunctionNames())
      // That the types agree is checked here in the repository; what changes is where everything lies.
      const deno = path.join(projectRoot, 'node_modules/.bin/deno')
      for (const name of await readFunctionNames()) {
        const entry = `supabase/functions/${name}/index.ts`
        const { stdout } = await promisify(execFile)(deno, ['info', '--json', entry], { cwd: directory })
        const { modules } = JSON.parse(stdout) as { modules: { specifier: string; error?: string }[] }
        expect(modules.length, name).toBeGreaterThan(10)
        expect(
          modules.filter(({ error }) => error),
          name,
        ).toEqual([])
        const needed = modules.flatMap(({ specifier }) => {
          const file = specifier.startsWith('file:')
            ? path.relative(directory, fileURLToPath(specifier))
            : '..'
          return file.startsWith('..') || file.startsWith('node_modules') ? [] : [file]
        })
        const { metadata, files: sent } = uploads.get(name) ?? {}
        expect(metadata).toMatchObject({
          entrypoint_path: entry,
          import_map_path: 'supabase/functions/_tenant-provisioning/import_map.json',
          verify_jwt: false,
        })
        expect(
          needed.filter((file) => !sent?.has(file)),
          `${name} is deployed without`,
        ).toEqual([])
        expect(needed.length).toBeGreaterThan(10)
      }
      expect([...uploads.keys()].sort()).toEqual((await readFunctionNames()).sort())
    } finally {
      await remove()
    }
  })

  it('refuses files of theirs in its way, names that it cannot use, and places that are no project', async () => {
    const { directory, remove } = await makeProject({
      ...NEW,
      files: { ...NEW.files, 'supabase/functions/graphql/index.ts': 'export {}\n' },
    })
    try {
      const before = await filesIn(directory)
      const taken = await init(directory, '--yes')
      expect(taken.code).toBe(1)
      expect(taken.stdout).toContain('supabase/functions/graphql/index.ts is there already, and is yours.')
      expect((await init(directory, '--yes', '--schema', 'auth')).stderr).toContain('belongs to the platform')
      expect((await init(path.join(directory, 'supabase'), '--yes')).stderr).toContain(
        'has no supabase/config.toml',
      )
      expect((await init(projectRoot, '--yes')).stderr).toContain('itself')
      expect(await filesIn(directory)).toEqual(before)
    } finally {
      await remove()
    }
  })

  it('keeps the schema of the first time, and overwrites no work of theirs', async () => {
    const { directory, remove } = await makeProject(NEW)
    try {
      await init(directory, '--yes')
      expect((await init(directory, '--yes', '--schema', 'tenancy')).stdout).toContain(
        'cannot move to tenancy',
      )
      const entry = 'supabase/functions/graphql/index.ts'
      await writeFile(path.join(directory, entry), '// mine\n')
      expect((await init(directory, '--yes')).stdout).toContain(`${entry} was changed since`)
      await rm(path.join(directory, entry))
      await writeFile(path.join(directory, 'supabase/tenant-schema/0002_mine.sql'), 'create table mine ();\n')
      expect((await init(directory, '--yes')).code).toBe(0)
      const files = await filesIn(directory)
      expect(files[entry]).toContain('createGraphqlFunction')
      expect(
        files['supabase/functions/_tenant-provisioning/shared/generated/tenant-schema-files.ts'],
      ).toContain('create table mine')
    } finally {
      await remove()
    }
  })

  it('takes away what an older version had and this one has not', async () => {
    const { directory, remove } = await makeProject(NEW)
    const file = path.join(directory, MANIFEST_FILE)
    try {
      await init(directory, '--yes')
      const manifest = JSON.parse(await readFile(file, 'utf8'))
      const old = 'supabase/functions/_tenant-provisioning/shared/old.ts'
      await writeFile(path.join(directory, old), 'export {}\n')
      manifest.files[old] = checksum('export {}\n')
      await writeFile(file, JSON.stringify(manifest))
      await init(directory, '--yes')
      expect(Object.keys(await filesIn(directory))).not.toContain(old)
    } finally {
      await remove()
    }
  })

  it('is looked after by the doctor: files that somebody changed, another version, what is not applied', async () => {
    const { directory, remove } = await makeProject(NEW)
    const file = path.join(directory, MANIFEST_FILE)
    const states = async (applied: readonly string[] | null) =>
      (await fileFindings(directory, applied)).map(({ status, found }) => `${status}: ${found}`)
    try {
      expect(await states([])).toEqual([])
      await init(directory, '--yes')
      const manifest = JSON.parse(await readFile(file, 'utf8'))
      const names = Object.values<{ file: string }>(manifest.migrations).map((each) => each.file.slice(0, -4))
      expect(await states(names)).toEqual([
        `ok: all ${Object.keys(manifest.files).length - OWN_FOLDERS.length}`,
        'ok: that of this program, in the schema public',
        `ok: all ${names.length} applied`,
      ])
      expect((await states(null))[2]).toBe('ok: the project keeps no record of them')
      await writeFile(path.join(directory, 'supabase/functions/graphql/index.ts'), '// mine\n')
      await rm(path.join(directory, `supabase/migrations/${names[0]}.sql`))
      manifest.migrations['20260101000000_foundation.sql'].template = '0'
      await writeFile(file, JSON.stringify(manifest))
      const [changed, version, unapplied] = await states(names.slice(1))
      expect(changed).toMatch(
        /^warning: .*graphql\/index\.ts.*tenant_provisioning_foundation\.sql|^warning: .*foundation\.sql.*graphql\/index\.ts/,
      )
      expect(version).toBe(
        'warning: supabase/tenant-provisioning.json is of another version than this program.',
      )
      expect(unapplied).toBe(`failed: Not applied: ${names[0]}.sql.`)
      const printed = (await fileFindings(directory, [])).flatMap(({ command }) => command ?? [])
      expect(await Promise.all(printed.map(problemWith))).toEqual(printed.map(() => undefined))
    } finally {
      await remove()
    }
  })

  it('lays down the templates of n8n once, bundles those of the project, and names what clients with a project of their own need', async () => {
    const { directory, remove } = await makeProject(NEW)
    const folder = path.join(directory, 'supabase/n8n-templates')
    const bundle = 'supabase/functions/_tenant-provisioning/shared/generated/n8n-templates.ts'
    try {
      const { stdout } = await init(directory, '--yes')
      expect(stdout).toContain('supabase/n8n-templates')
      const variables = (await filesIn(directory))['.env.example'] ?? ''
      // As docs/project-tier.md lists them.
      const page = await readFile(path.join(projectRoot, 'docs/project-tier.md'), 'utf8')
      const secrets = [...page.matchAll(/^\| (`[A-Z].*?) \|/gm)].flatMap(
        ([, names = '']) => names.match(/[A-Z][A-Z0-9_]+/g) ?? [],
      )
      expect(secrets.length).toBeGreaterThan(8)
      expect(secrets.filter((name) => !variables.includes(name))).toEqual([])
      expect((await readdir(folder)).length).toBe(
        (await readdir(path.join(projectRoot, 'n8n-templates'))).length,
      )
      const [template = ''] = await readdir(folder)
      const mine = JSON.parse(await readFile(path.join(folder, template), 'utf8'))
      await writeFile(path.join(folder, 'mine.json'), JSON.stringify({ ...mine, name: 'mine' }))
      expect((await init(directory, '--yes')).code).toBe(0)
      expect((await filesIn(directory))[bundle]).toContain('"name":"mine"')
      await writeFile(path.join(folder, 'mine.json'), '{}')
      expect((await init(directory, '--yes')).stderr).toContain('n8n-templates/mine.json cannot be used')
    } finally {
      await remove()
    }
  })

  it('undoes what it has written when it fails or is stopped in the middle', async () => {
    const { directory, remove } = await makeProject(COMPANIES)
    try {
      const { changes } = await planInstallation({ project: directory, now: new Date() })
      const before = await filesIn(directory)
      const folders = await readdir(directory, { recursive: true })
      // A file where a folder has to be.
      const impossible = { path: 'shared/theirs.ts/x.ts', kind: 'create', text: '' } as const
      await expect(writeChanges(directory, [...changes, impossible])).rejects.toThrow()
      expect(await filesIn(directory)).toEqual(before)
      expect(await readdir(directory, { recursive: true })).toEqual(folders)
      const stop = new AbortController()
      const stopping = new Proxy([...changes], {
        get(target, key, receiver) {
          if (key === '30') stop.abort(new Error('Stopped.'))
          return Reflect.get(target, key, receiver)
        },
      })
      await expect(writeChanges(directory, stopping, stop.signal)).rejects.toThrow('Stopped.')
      expect(await filesIn(directory)).toEqual(before)
    } finally {
      await remove()
    }
  })
})

describe('init that looks at the database', () => {
  const at = (database: { url(role?: string): string }, role?: string) => ({
    ...process.env,
    SUPABASE_DB_URL: database.url(role),
  })

  it('finds what no migration tells: names, versions, and an installation that is there already', async () => {
    const { directory, remove } = await makeProject(NEW)
    await using database = await createTestDatabase('platform')
    const sql = postgres(database.url(), { max: 1, onnotice: () => undefined })
    try {
      await sql.unsafe(`create table public.profiles (id integer); create schema supabase_migrations;
        create table supabase_migrations.schema_migrations (version text primary key);
        insert into supabase_migrations.schema_migrations values ('20991231000000')`)
      const plan = async (...args: string[]) =>
        tenantsJson(at(database), 'init', directory, '--dry-run', ...args)
      const { document } = await plan()
      expect(document).toMatchObject({ schema: 'tenancy', reason: 'the database has public.profiles' })
      expect(JSON.stringify(document.changes)).toContain('/20991231000001_tenant_provisioning_foundation.sql')
      expect(await plan('--schema', 'public')).toMatchObject({
        code: 1,
        document: { problems: ['Not possible: the database has public.profiles.'] },
      })
      await sql`create schema provisioning`
      expect((await plan()).document.problems).toEqual([
        'Not possible: the database has schema provisioning.',
      ])
      const [left] = await sql`select count(*)::int as schemas from pg_namespace where nspname = 'tenancy'`
      expect(left).toEqual({ schemas: 0 })
    } finally {
      await Promise.all([sql.end(), remove()])
    }
  })

  it('says when it cannot look, or may not do what it would have to', async () => {
    const { directory, remove } = await makeProject(NEW)
    await using database = await createTestDatabase('platform')
    try {
      const few = await tenants(at(database, 'authenticator'), 'init', directory, '--yes')
      expect(few.stderr).toContain('The role authenticator may not make schemas')
      const nowhere = { ...process.env, SUPABASE_DB_URL: 'postgresql://postgres:geheim@127.0.0.1:9/postgres' }
      const unreached = await tenants(nowhere, 'init', directory, '--yes')
      expect(unreached).toMatchObject({ code: 1, stderr: expect.stringContaining('Check SUPABASE_DB_URL') })
      expect(unreached.stderr).not.toContain('geheim')
      expect(await filesIn(directory)).toEqual(NEW.files)
    } finally {
      await remove()
    }
  })
})

describe('uninstall', () => {
  it('leaves a project, files and database, as it was before, and it can be installed again', async () => {
    const { directory, remove } = await makeProject(COMPANIES)
    await using database = await createTestDatabase('platform')
    const sql = postgres(database.url(), { max: 2, onnotice: () => undefined })
    const superuser = postgres(database.url('supabase_admin'), { max: 1, onnotice: () => undefined })
    const auth = postgres(database.url('supabase_auth_admin'), { max: 1 })
    const environment = { ...process.env, SUPABASE_DB_URL: `${database.url()}?sslmode=disable` }
    const uninstall = (...args: string[]) => tenants(environment, 'uninstall', directory, ...args)
    try {
      await migrate(database.url(), { workdir: directory })
      const before = await catalogue(superuser)
      await init(directory, '--yes', '--schema', 'tenancy')
      await migrate(database.url(), { workdir: directory })
      const { id } = await signUp(auth, {
        metadata: { full_name: 'Ada', company: 'Engines', organization_name: 'Engines' },
      })
      await sql`
        insert into tenancy.tenant_resources (organization_id, service, kind, name, external_id, state)
        select id, 'stripe', 'stripe_customer', 'c', 'cus_1', 'active' from tenancy.organizations`
      await sql`insert into provisioning.legal_holds (organization_id, reference) select id, 'case/1' from tenancy.organizations`
      await sql`
        insert into tenancy.organization_databases (organization_id, region, size)
        select id, 'aws-us-east-1', 'small' from tenancy.organizations`
      await sql`
        select provisioning.keep_personal_details(a.id, o.id, o.owner_id, '{"name": "Engines"}')
        from tenancy.audit_logs a join tenancy.organizations o on o.id = a.organization_id`
      const countsOf = async (schema: string, engine: string) => {
        const [counts] = await sql`
          select (select count(*)::int from ${sql(schema)}.audit_logs) as entries,
            (select count(*)::int from ${sql(engine)}.personal_details) as details`
        return counts
      }

      const held = await uninstall('--yes')
      expect(held).toMatchObject({ code: 1, stdout: expect.stringContaining('stripe stripe_customer cus_1') })
      expect(held.stdout).not.toContain('npx supabase')
      await sql`create view public.names as select name from tenancy.organizations`
      await sql`create policy seen on public.companies for select using (id in (select provisioning.my_organization_ids()))`
      const refused = await uninstall('--yes', '--leave-resources')
      expect(refused.stderr).toMatch(
        /what is yours depends on it: .*policy seen on public\.companies.*view public\.names/,
      )
      expect(await sql`select from tenancy.organizations where owner_id = ${id}`).toHaveLength(1)
      await sql`drop view public.names`
      await sql`drop policy seen on public.companies`
      const written = await filesIn(directory)
      const dry = await uninstall('--dry-run', '--leave-resources')
      expect(dry).toMatchObject({
        code: 0,
        stdout: expect.stringContaining('npx supabase functions delete graphql\n'),
      })
      expect(dry.stdout).toMatch(
        /npx supabase secrets unset (?!.*(?:FUNCTIONS_BASE_URL|STRIPE_SECRET_KEY)).*NEON_API_KEY/,
      )
      expect(await filesIn(directory)).toEqual(written)

      await writeFile(path.join(directory, 'supabase/functions/graphql/index.ts'), '// mine\n')
      const counts = await countsOf('tenancy', 'provisioning')
      expect(Math.min(...Object.values(counts ?? {}))).toBeGreaterThan(0)
      await sql`alter default privileges grant usage on schemas to public`
      await sql`alter default privileges grant select on tables to public`
      const done = await tenantsJson(environment, ...['uninstall', directory, '--yes', '--leave-resources'])
      expect({ code: done.code, document: done.document, said: done.stderr }).toMatchObject({
        code: 0,
        document: { removed: true, inventory: { organizations: 1 } },
        said: expect.stringContaining('supabase/functions/graphql/index.ts was changed since, and stays'),
      })
      // What was changed is somebody's work, and stays deployed, too.
      const { commands } = done.document
      expect(commands).toContain('npx supabase functions delete provision-tenant-resources')
      expect(commands).not.toContain('npx supabase functions delete graphql')
      await rm(path.join(directory, 'supabase/functions/graphql'), { recursive: true })
      for (const folder of ['supabase/tenant-schema', 'supabase/n8n-templates'])
        await rm(path.join(directory, folder), { recursive: true })
      expect(await filesIn(directory)).toEqual(COMPANIES.files)
      await sql`alter default privileges revoke usage on schemas from public`
      await sql`alter default privileges revoke select on tables from public`
      const after = await catalogue(superuser)
      expect(before.filter((line) => !after.includes(line))).toEqual([])
      // The rows of people are kept, where only the owner of the database reads them.
      const place = String(done.document.left)
      expect(place).toMatch(/^tenant_provisioning_left_\d{14}$/)
      const left = after.filter((line) => !before.includes(line) && !line.includes(place))
      expect(left.filter((line) => /provisioning|tenancy|tenant/.test(line))).toEqual([])
      expect(await sql`select name from public.companies where owner_id = ${id}`).toHaveLength(1)
      const kept = await sql`
        select p.full_name as person, o.name, m.role, w.currency, d.ssl_mode, r.external_id as customer, h.reference as hold
        from ${sql(place)}.profiles p join ${sql(place)}.organizations o on o.owner_id = p.id
        join ${sql(place)}.organization_members m on m.user_id = p.id join ${sql(place)}.wallets w on w.user_id = p.id
        join ${sql(place)}.organization_databases d on d.organization_id = o.id
        join ${sql(place)}.tenant_resources r on r.organization_id = o.id
        join ${sql(place)}.legal_holds h on h.organization_id = o.id where p.id = ${id}`
      expect([...kept]).toEqual([
        {
          ...{ person: 'Ada', name: 'Engines', role: 'owner', currency: 'usd' },
          ...{ ssl_mode: 'require', customer: 'cus_1', hold: 'case/1' },
        },
      ])
      expect(await countsOf(place, place)).toEqual(counts)
      for (const role of ['anon', 'authenticated', 'service_role'])
        expect([
          ...(await sql`
            select has_schema_privilege(${role}, ${place}, 'usage') as enters,
              has_table_privilege(${role}, ${`${place}.profiles`}, 'select') as reads`),
        ]).toEqual([{ enters: false, reads: false }])

      await init(directory, '--yes')
      await migrate(database.url(), { workdir: directory })
      expect(await sql`select from public.profiles`).toEqual([])
      await signUp(auth, { metadata: { company: 'Looms' } })
      const deleted = await uninstall('--yes', '--delete-data', '--json')
      expect(JSON.parse(deleted.stdout)).toMatchObject({
        ...{ removed: true, left: null, inventory: { organizations: 1 } },
      })
      const copies =
        await sql`select nspname as name from pg_namespace where nspname like 'tenant_provisioning_left_%'`
      expect([...copies]).toEqual([{ name: place }])
      expect(await sql`select from ${sql(place)}.profiles where id = ${id}`).toHaveLength(1)
    } finally {
      await Promise.all([sql.end(), superuser.end(), auth.end(), remove()])
    }
  })

  it('says what it needs, and when there is nothing that it could take away', async () => {
    const { directory, remove } = await makeProject(NEW)
    try {
      const { SUPABASE_DB_URL: _, ...environment } = process.env
      expect((await tenants(environment, 'uninstall', directory)).stderr).toContain('Set SUPABASE_DB_URL')
      const nowhere = { ...environment, SUPABASE_DB_URL: 'postgresql://127.0.0.1:9/postgres' }
      expect((await tenants(nowhere, 'uninstall', directory)).stderr).toContain(
        'nothing there that could be taken',
      )
    } finally {
      await remove()
    }
  })
})

describe('versions of migrations', () => {
  const now = new Date('2026-11-29T08:59:59.500Z')
  it.each([
    [[], ['20261129085959', '20261129090000']],
    [
      ['0001', '0002'],
      ['20261129085959', '20261129090000'],
    ],
    [['20261129235959'], ['20261130000000', '20261130000001']],
    [['20269999999998'], ['20269999999999', '20270000000000']],
    [['999'], undefined],
  ])('after %j', (taken, expected) => {
    if (expected) expect(versionsAfter(taken, 2, now)).toEqual(expected)
    else expect(() => versionsAfter(taken, 2, now)).toThrow('no place for 2 more')
  })
})

describe('names that migrations leave behind', () => {
  it.each([
    ['create table profiles (id int);', ['profiles']],
    ['CREATE TABLE IF NOT EXISTS "public"."profiles" ();', ['profiles']],
    ['create or replace view public.profiles as select 1;', ['profiles']],
    ['create function public.profiles() returns int language sql as $$ select 1 $$;', ['profiles']],
    ['create table app.profiles ();', []],
    ['-- create table profiles ();\n/* create table profiles (); */', []],
    ['create table profiles (); drop table if exists public.profiles cascade;', []],
    ['create table profiles (); alter table profiles rename to people;', []],
    ['create table people (); alter table only public.people rename to profiles;', ['profiles']],
    ['create table profiles (); alter table profiles set schema app;', []],
    ['create table user_profiles ();', []],
    ['create unique index concurrently if not exists profiles on only public.people (id);', ['profiles']],
    ['create index profiles on people (id); drop index profiles;', []],
    ['create index profiles on people (id); alter index public.profiles rename to people_idx;', []],
    ['create index profiles on app.people (id);', []],
  ])('%s', (sql, names) => {
    expect(namesMadeIn('public', [sql], ['profiles'])).toEqual(names)
  })
})

describe('supabase/config.toml', () => {
  const wanted = { schema: 'tenancy', functions: ['graphql'], importMap: './x.json' }
  const VAULT = `# Upserted into Vault before migrations. The database rings the functions at this address.
[db.vault]
functions_base_url = "env(FUNCTIONS_BASE_URL)"
`
  const GRAPHQL = '[functions.graphql]\nverify_jwt = false\nimport_map = "./x.json"\n'

  it.each([
    ['', `[api]\nschemas = ["public", "graphql_public", "tenancy"]\n\n${VAULT}\n${GRAPHQL}`],
    [
      '[api]\nschemas = [\n  "public", # a\n]\n[db.vault]\nkey = "x" # b\n[functions.graphql] # c\nverify_jwt = true\n',
      '[api]\nschemas = [\n  "public", # a\n  "tenancy",\n]\n[db.vault]\nkey = "x" # b\nfunctions_base_url = "env(FUNCTIONS_BASE_URL)"\n[functions.graphql] # c\nverify_jwt = false\nimport_map = "./x.json"\n',
    ],
    [
      'api.port = 1\ndb.port = 2\n',
      `api.port = 1\ndb.port = 2\napi.schemas = [ "public", "graphql_public", "tenancy" ]\n\n${VAULT}\n${GRAPHQL}`,
    ],
  ])('%j gets what we need, and no more when it is asked again', (text, expected) => {
    expect(withOurConfig(text, wanted)).toBe(expected)
    expect(withOurConfig(expected, wanted)).toBe(expected)
  })

  it('that cannot be added to, or read, is refused with what to do', () => {
    const inline = 'functions = { hello = { verify_jwt = false } }\n'
    expect(() => withOurConfig(inline, wanted)).toThrow(
      'Write its sections db, api and functions as [sections]',
    )
    expect(() => withOurConfig('[api', wanted)).toThrow('no TOML')
  })
})
