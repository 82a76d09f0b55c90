import { readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import postgres from 'postgres'
import { describe, expect, it, vi } from 'vitest'
import type { MappingWish } from '../../cli/install/find-mapping.ts'
import { checksum, MANIFEST_FILE, type Manifest } from '../../cli/install/manifest.ts'
import { mappingMigrations } from '../../cli/install/mapping.ts'
import { renderedMigrations } from '../../cli/install/migrations.ts'
import { planInstallation } from '../../cli/install/plan.ts'
import { statementsIn } from '../../cli/install/sql-parts.ts'
import { upgradeBetween } from '../../cli/install/upgrade.ts'
import { writeChanges } from '../../cli/install/write-changes.ts'
import { tenants } from '../cli/cli.ts'
import { catalogue } from '../database/catalogue.ts'
import { createTestDatabase } from '../support/database.ts'
import { signUp } from '../support/sign-up.ts'
import { applyFiles } from './apply-files.ts'
import { MORE_SHAPES } from './more-shapes.ts'
import { filesIn, makeProject, SHAPES, type Shape } from './project-shapes.ts'

vi.setConfig({ testTimeout: 120_000 })

/** What an earlier version had instead of a part of a statement of today, in each statement that has it. */
const OTHERWISE: readonly (readonly [now: string, then: string])[] = [
  // Functions: another text, another result, another argument; their comments and rights follow.
  ['new.updated_at := now();', 'new.updated_at := clock_timestamp();'],
  ["'Trigger: stamps updated_at on every change of a row.'", "'Trigger: stamps a row.'"],
  [
    'create function provisioning.make_health_partitions(p_now timestamptz default now()) returns integer',
    'create function provisioning.make_health_partitions(p_now timestamptz default now()) returns bigint',
  ],
  [
    'function provisioning.drop_health_partitions(p_now timestamptz default now())',
    'function provisioning.drop_health_partitions(p_now timestamptz default now(), p_days integer default 7)',
  ],
  [
    'on function provisioning.drop_health_partitions(timestamptz)',
    'on function provisioning.drop_health_partitions(timestamptz, integer)',
  ],
  // A table without a column, with another default and another constraint.
  [' access_max_hours integer not null default 24,', ''],
  ['least(access_logins_per_organization, access_max_hours) > 0', 'access_logins_per_organization > 0'],
  ['sweep_repairs integer not null default 100', 'sweep_repairs integer not null default 50'],
  ['create trigger settings_touch before update on', 'create trigger settings_touch before insert on'],
  [
    'create index settings_default_plan_idx on provisioning.settings (default_plan)',
    'create index settings_default_plan_idx on provisioning.settings (default_plan, id)',
  ],
  [
    'create policy "users read their own wallet" on {}.wallets for select to authenticated',
    'create policy "users read their own wallet" on {}.wallets for all to authenticated',
  ],
  ["'tenant-provisioning-prune', '17 3 * * *'", "'tenant-provisioning-prune', '18 4 * * *'"],
  ["'The organization was deleted in the meantime.'", "'It was deleted.'"],
  ["), ('grace_period', true, 'It is kept until the grace period of the deletion ends.'", ''],
  // Rights that were given, and are not any more; and the other way round.
  [
    'revoke all on provisioning.regions from anon, authenticated, service_role',
    'revoke all on provisioning.regions from anon, authenticated, service_role; grant select on provisioning.regions to authenticated',
  ],
  ['grant select on {}.wallets to authenticated', 'grant insert on {}.wallets to authenticated'],
  ['update (full_name, avatar_url, discoverable) on {}.profiles to', 'update (full_name) on {}.profiles to'],
  // Called by our trigger on a table of the project, and gone since.
  ["'execute function provisioning.%I()'", "'execute function provisioning.formerly()'"],
  // A row that a step is told by.
  ["('neon_project', 'neon', 'Neon project', true, 72)", "('neon_project', 'neon', 'Project', true, 48)"],
]

/** Made then, and not any more. */
const FORMER = `
  create function provisioning.former(p_days integer default 7) returns integer language sql as $$ select p_days $$;
  revoke execute on function provisioning.former(integer) from public;
  comment on function provisioning.former(integer) is 'Former.';
  create function provisioning.formerly() returns trigger language plpgsql set search_path = '' as $$ begin return new; end $$;
  create trigger former before update on {}.organizations for each row execute function provisioning.formerly();
  create policy "former; policy" on {}.wallets for select to authenticated using (true);
  create index former_idx on {}.wallets (user_id, currency);
  comment on index {}.former_idx is 'Former.';
  comment on column {}.wallets.currency is 'It''s former; really.';
  select cron.schedule('tenant-provisioning-former', '1 1 1 1 *', 'select 1')`

/** Made today, and not yet then. */
const NEW = ['provisioning.refused_limits()', 'settings_default_tier_idx', 'tenant-provisioning-retention']
/** A file that came later, with what another file made then. */
const LATER = '20260101001250_bulk_retry.sql'
const MOVED = /^create function /

/** Our files as an earlier version could have had them. */
function earlier(files: readonly { name: string; text: string }[], schema: string) {
  const named = (text: string) => text.replaceAll('{}', schema)
  const isNew = (statement: string) =>
    NEW.some((part) => statement.includes(part)) &&
    !statement.startsWith('create function provisioning.diagnose')
  const unused = new Set(OTHERWISE.map(([now]) => now))
  const otherwise = (statement: string) =>
    OTHERWISE.reduce((left, [now, then]) => {
      if (left.includes(named(now))) unused.delete(now)
      return left.replaceAll(named(now), named(then))
    }, statement)
  const moved = files
    .filter(({ name }) => name === LATER)
    .flatMap(({ text }) => statementsIn(text).filter((each) => MOVED.test(each)))
  if (moved.length === 0) throw new Error(`${LATER} makes no function.`)
  const texts = new Map(
    files
      .filter(({ name }) => name !== LATER)
      .map(({ name, text }) => {
        const statements = statementsIn(text)
          .filter((each) => !isNew(each))
          .map(otherwise)
        const former = name.endsWith('own_organizations.sql') ? [named(FORMER), ...moved] : []
        return [name, `${['set check_function_bodies = off', ...statements, ...former].join(';\n')};\n`]
      }),
  )
  if (unused.size > 0) throw new Error(`Nothing in our files is ${[...unused].join(', nor ')}.`)
  return texts
}

/** Gives a project the files of the earlier version, as if that had been installed. */
async function installEarlier(project: string, schema: string, mapping?: MappingWish): Promise<Manifest> {
  const now = new Date('2026-10-01T00:00:00Z')
  const { changes } = await planInstallation({ project, schema, now, ...(mapping ? { mapping } : {}) })
  await writeChanges(project, changes)
  const file = path.join(project, MANIFEST_FILE)
  const manifest: Manifest = JSON.parse(await readFile(file, 'utf8'))
  const old = earlier(await renderedMigrations(schema), schema)
  for (const [name, each] of Object.entries(manifest.migrations)) {
    const place = `supabase/migrations/${each.file}`
    if (name.startsWith('mapping_')) continue
    const text = old.get(name)
    if (text === undefined) {
      delete manifest.migrations[name]
      delete manifest.files[place]
      await rm(path.join(project, place))
      continue
    }
    manifest.migrations[name] = { file: each.file, template: checksum(text) }
    manifest.files[place] = checksum(text)
    await writeFile(path.join(project, place), text)
  }
  await writeFile(file, JSON.stringify(manifest))
  return manifest
}

const [PLAIN] = SHAPES
const MAPPED = MORE_SHAPES.find(({ options }) => options?.join(' ') === '--profiles profiles')
const PROFILES: MappingWish = { columns: {}, roles: {}, profiles: 'profiles' }
const inProject = async (shape: Shape | undefined, work: (directory: string) => Promise<void>) => {
  if (!shape) throw new Error('There is no such project.')
  const { directory, remove } = await makeProject(shape)
  await work(directory).finally(remove)
}

describe('init in a project that has an earlier version', () => {
  it.each([
    { schema: 'public', shape: PLAIN, mapping: undefined },
    { schema: 'tenancy', shape: MAPPED, mapping: PROFILES },
  ])(
    'brings its database up to this one with one more migration, and the rows stay ($schema)',
    ({ schema, shape, mapping }) =>
      inProject(shape, async (directory) => {
        await installEarlier(directory, schema, mapping)
        const before = await filesIn(directory)
        await using database = await createTestDatabase('platform')
        await using fresh = await createTestDatabase('platform')
        await using replayed = await createTestDatabase('platform')
        const connections = [database, fresh, replayed].map((each) =>
          postgres(each.url('supabase_admin'), { max: 1, onnotice: () => undefined }),
        )
        const [sql, newest, again] = connections
        const auth = postgres(database.url('supabase_auth_admin'), { max: 1 })
        if (!sql || !newest || !again) throw new Error('There are no databases.')
        try {
          const applied = await applyFiles(database, directory)
          const { id } = await signUp(auth, { metadata: { organization_name: 'Engines' } })

          const done = await tenants(process.env, 'init', directory, '--yes')
          expect(done).toMatchObject({
            code: 0,
            stdout: expect.stringContaining('_tenant_provisioning_upgrade_1.sql'),
          })
          const after = await filesIn(directory)
          for (const file of Object.keys(before).filter((each) => each.startsWith('supabase/migrations/')))
            expect(after[file], file).toBe(before[file])
          const added = Object.keys(after).filter((file) => !(file in before))
          expect(added.map((file) => file.replace(/^.*\/\d+_/, ''))).toEqual([
            'tenant_provisioning_upgrade_1.sql',
          ])

          await applyFiles(database, directory, applied)
          await applyFiles(replayed, directory)
          await inProject(shape, async (other) => {
            const options = { project: other, schema, now: new Date(), ...(mapping ? { mapping } : {}) }
            const { changes } = await planInstallation(options)
            await writeChanges(other, changes)
            await applyFiles(fresh, other)
          })
          const wanted = await catalogue(newest)
          expect(await catalogue(sql)).toEqual(wanted)
          expect(await catalogue(again)).toEqual(wanted)
          const texts = (of: postgres.Sql) => of`select * from provisioning.failure_texts order by code`
          expect([...(await texts(sql))]).toEqual([...(await texts(newest))])
          const mine = await sql`select name from ${sql(schema)}.organizations where owner_id = ${id}`
          expect([...mine]).toEqual([{ name: 'Engines' }])
          const [settings] = await sql`select sweep_repairs, access_max_hours from provisioning.settings`
          expect(settings).toEqual({ sweep_repairs: 50, access_max_hours: 24 })
          const [kind] =
            await sql`select label, grace_hours from provisioning.resource_kinds where kind = 'neon_project'`
          expect(kind).toEqual({ label: 'Neon project', grace_hours: 72 })

          expect((await tenants(process.env, 'init', directory, '--yes')).stdout).toContain(
            'has all of it already',
          )
          // What the next upgrade begins from is what the files together make, this one too.
          const files = Object.entries(after).filter(([file]) => file.includes('_tenant_provisioning_'))
          const inOrder = files.sort(([one], [other]) => (one < other ? -1 : 1)).map(([, text]) => text)
          const { mappings } = JSON.parse(after[MANIFEST_FILE] ?? '{}')
          const now = [...(await renderedMigrations(schema)), ...mappingMigrations(mappings ?? [])]
          expect(
            upgradeBetween(
              inOrder,
              now.map(({ text }) => text),
              [],
            ),
          ).toEqual({ text: undefined, problems: [] })
        } finally {
          await Promise.all([...connections, auth].map((each) => each.end({ timeout: 1 })))
        }
      }),
  )

  it('rewrites the functions, and neither what somebody has changed nor the migrations', () =>
    inProject(PLAIN, async (directory) => {
      const manifest = await installEarlier(directory, 'public')
      const entry = 'supabase/functions/graphql/index.ts'
      const file = path.join(directory, MANIFEST_FILE)
      await writeFile(path.join(directory, entry), '// older\n')
      await writeFile(
        file,
        JSON.stringify({ ...manifest, files: { ...manifest.files, [entry]: checksum('// older\n') } }),
      )
      const [first = ''] = Object.values(manifest.migrations).map(
        (each) => `supabase/migrations/${each.file}`,
      )
      const text = await readFile(path.join(directory, first), 'utf8')
      await writeFile(path.join(directory, first), `${text}-- mine\n`)
      const changed = await tenants(process.env, 'init', directory, '--yes')
      expect(changed).toMatchObject({
        code: 1,
        stdout: expect.stringContaining(`${first} was changed since`),
      })
      await rm(path.join(directory, first))
      const missing = await tenants(process.env, 'init', directory, '--yes')
      expect(missing).toMatchObject({ code: 1, stdout: expect.stringContaining(`${first} is missing`) })
      expect((await filesIn(directory))[entry]).toBe('// older\n')
      await writeFile(path.join(directory, first), text)
      expect((await tenants(process.env, 'init', directory, '--yes')).code).toBe(0)
      expect((await filesIn(directory))[entry]).toContain('createGraphqlFunction')
    }))
})

describe('an upgrade', () => {
  const between = (before: string, after: string) => upgradeBetween([before], [after], [])

  it('is none where only comments and blanks differ', () => {
    const text = "create table a.b (c text default '  --x'); -- d\n/* e */ create index i on a.b (c)"
    expect(between(text, text.replace('-- d', '').replace(' (c)', '\n  (c)'))).toEqual({
      text: undefined,
      problems: [],
    })
  })

  it.each([
    ['create table a.b (c text, d text)', 'create table a.b (c text)', '“d text” is gone'],
    ['create table a.b (c text)', 'create table a.b (c text, d text not null)', 'have no value for it'],
    ['create table a.b (c text)', 'create table a.b (c integer)', '“c text” is “c integer” now'],
    ['create table a.b (c text)', 'create table a.b (c text) partition by list (c)', 'in another way'],
    ['create table a.b (c text)', '', 'the table a.b is gone, and its rows would be lost'],
    [
      'create domain a.b as text',
      'create domain a.b as integer',
      'no way back from “create domain a.b as text”',
    ],
    [
      "insert into a.b (c) values ('x'), ('y')",
      "insert into a.b (c) values ('x')",
      "“insert into a.b (c) values ('y')”",
    ],
    ['revoke all on a.b from anon', '', '“revoke all on a.b from anon” is gone'],
    [
      'create function a.f(p integer) returns integer language sql as $$ select 1 $$; create policy p on a.b using (a.f(1) = 1)',
      'create function a.f(p bigint) returns integer language sql as $$ select 1 $$; create policy p on a.b using (a.f(1) = 1)',
      'policy p on a.b calls it',
    ],
  ])('from %s to %s is refused', (before, after, reason) => {
    expect(between(before, after).problems.join(' ')).toContain(reason)
  })

  it('is refused when a later file makes what an earlier one has made', () => {
    const index = 'create index i on a.b (c)'
    expect(upgradeBetween([index], [index], [index]).problems.join(' ')).toContain(
      'index a.i is made by another file',
    )
  })
})
