import { PUBLIC_SCHEMA } from '../../shared/kernel/database/schema.ts'
import type { ProjectAddress } from '../../tools/project-address.ts'
import { TEMPLATE_SCHEMA } from '../install/render-schema.ts'
import type { Diagnosis } from './diagnosis.ts'
import { type Finding, finding } from './finding.ts'
import type { BundledMigrations } from './migrations.ts'
import { functionsUrl } from './reach.ts'

/** What is there beside us in the same database: policies and triggers of others, and what a copy has from its original. */
export function neighbourFindings(
  diagnosis: Diagnosis,
  bundled: BundledMigrations,
  project: ProjectAddress,
): Finding[] {
  return [
    ...policyFindings(diagnosis, bundled),
    ...userTriggerFindings(diagnosis),
    ...mappingFindings(diagnosis),
    identityFinding(diagnosis, project),
    ...copyFindings(diagnosis, project),
    ...leftBehindFindings(diagnosis),
  ]
}

function policyFindings({ policies }: Diagnosis, bundled: BundledMigrations): Finding[] {
  const foreign = policies.filter(({ table, name }) => !bundled.policies.has(`${table}: ${name}`))
  if (foreign.length === 0)
    return [finding('database', 'policies', false, `${policies.length} on our tables, all of them ours`)]
  return foreign.map(({ table, name, command, permissive, roles }) =>
    finding(
      'database',
      `policy on ${table}`,
      `"${name}" is not ours, and ${permissive ? 'gives' : 'restricts'} ${roles.join(', ')} ${command === 'all' ? 'every access' : command}.`,
      '',
      {
        fix: permissive
          ? 'It may show rows of all tenants to everybody. If a migration meant a table of yours with the same name, drop it here.'
          : 'If a migration meant a table of yours with the same name, drop it here.',
        sql: `drop policy ${identifier(name)} on ${PUBLIC_SCHEMA}.${table};`,
      },
      permissive ? 'failed' : 'warning',
    ),
  )
}

function userTriggerFindings({ user_triggers: triggers }: Diagnosis): Finding[] {
  return triggers.flatMap(({ name, function: fn, inserts_into: all }) => {
    const tables = all.filter(isOurs)
    if (tables.length === 0) return []
    return finding(
      'database',
      `trigger ${name} on auth.users`,
      `Its function ${fn} inserts into ${tables.join(', ')}, which is ours.`,
      '',
      {
        fix: 'Our own trigger makes these rows, so that sign-ups fail with a duplicate key. Correct the function, whose text this shows.',
        sql: `select pg_get_functiondef('${fn.replaceAll("'", "''")}'::regprocedure);`,
      },
    )
  })
}

function mappingFindings({ mapping, mapping_failures: failures }: Diagnosis): Finding[] {
  if (mapping.length === 0) return []
  return [
    ...mapping.flatMap(({ part, table, indexed, problem }) =>
      indexed || problem !== null
        ? []
        : finding(
            'database',
            `index on your ${part}`,
            `${table} has no index that begins with the column by which its rows are looked up.`,
            '',
            { fix: 'Make one: each change there looks rows up by it.' },
            'warning',
          ),
    ),
    ...mapping.map(mappedTableFinding),
    finding(
      'database',
      'your tables',
      failures.rows > 0 &&
        `${failures.rows} rows of theirs could not be followed, and are tried again: ${failures.message}`,
      'ours say what they say',
      {
        fix: 'Mend what the message names. If a column has another name now, say so with init.',
        sql: 'select * from provisioning.mapping_failures order by created_at;',
      },
    ),
  ]
}

function mappedTableFinding({ part, table, followed, problem }: Diagnosis['mapping'][number]): Finding {
  const ok = `read from ${table}`
  if (problem !== null)
    return finding('database', `your ${part}`, `It cannot be read any more as was chosen: ${problem}`, ok, {
      fix: 'Say with init what the table and its columns (--column) are called now, and push. What is new there since is found with backfill.',
      command: `npm run tenants -- init ${part === 'profiles' ? '--profiles TABLE' : '--tenants TABLE --members TABLE'}`,
    })
  return finding(
    'database',
    `your ${part}`,
    !followed &&
      `Our trigger on ${table} is missing or switched off, so that changes come late or not at all.`,
    ok,
    {
      fix: 'Make it again. If the table has another name now, say so with init.',
      sql: `select provisioning.map_tables(jsonb_build_object('${part}', s.mapping -> '${part}')) from provisioning.settings s where s.mapping ? '${part}';`,
    },
  )
}

/** A name without a schema is that of a table in `public`, where functions look first. */
function isOurs(table: string): boolean {
  return table.includes('.') ? table.startsWith(`${PUBLIC_SCHEMA}.`) : PUBLIC_SCHEMA === TEMPLATE_SCHEMA
}

const HOSTED = /^https:\/\/([a-z]{20})\.supabase\.co\b/

/** Whose rows these are. Another name of one project, such as a domain of its own, is no sign of a copy; another ref is. */
function identityFinding({ identity }: Diagnosis, { url }: ProjectAddress): Finding {
  const { project, foreign_project: foreign } = identity
  const ref = HOSTED.exec(url)?.[1]
  const isCopy = project !== null && ref !== undefined && ref !== project
  return finding(
    'database',
    'whose rows these are',
    isCopy
      ? `They belong to the project ${project}, and you asked about ${ref}: this is a copy, whose functions refuse to work.`
      : foreign !== null &&
          `They belong to the project ${project}. Functions of the project ${foreign} were refused: this database is a copy, or they use it.`,
    project ?? 'not recorded yet: the first call of a function does that',
    { fix: 'Read docs/copies.md before you change anything: the rows name what belongs to the original.' },
    isCopy ? 'failed' : 'warning',
  )
}

function copyFindings({ functions_url: rung }: Diagnosis, project: ProjectAddress): Finding[] {
  if (rung === null) return []
  const own = functionsUrl(project)
  const isSame = rung.replace(/\/{1,9}$/, '') === own
  const areHosted = HOSTED.test(rung) && HOSTED.test(own)
  return [
    finding(
      'Vault',
      'where the functions are',
      !isSame && `The database calls ${rung}; you asked about ${own}.`,
      rung,
      {
        fix: areHosted
          ? 'The database is a copy and has another project do its work. Tell it its own address.'
          : 'That may be two names of one place. If the database is a copy of another one, tell it its own address.',
        sql: `select vault.update_secret(id, '${own}') from vault.secrets where name = 'functions_base_url';`,
      },
      areHosted ? 'failed' : 'warning',
    ),
  ]
}

/** `db reset --linked` empties our tables; Vault, Neon and Stripe keep what they have. */
function leftBehindFindings({ left_behind: { passwords, organizations } }: Diagnosis): Finding[] {
  if (passwords === 0) return []
  const unknown = (table: string, column: string) =>
    `not exists (select from ${PUBLIC_SCHEMA}.${table} t where t.${column}::text = split_part(s.name, '/', 2))`
  return [
    finding(
      'Vault',
      'left behind',
      `${passwords} passwords of databases of ${organizations} organizations that are not here, as after a reset of the database.`,
      '',
      {
        fix: 'Their Neon projects and Stripe customers may be there, too: the command lists them as strangers. When nobody needs the databases, delete the passwords.',
        command: 'npm run functions:invoke -- reconcile-tenants \'{"wait": true}\'',
        sql: `delete from vault.secrets s where s.name like 'tenant_database_password/%' and ${unknown('organizations', 'id')} and ${unknown('provisioning_jobs', 'organization_id')};`,
      },
      'warning',
    ),
  ]
}

const identifier = (name: string) => `"${name.replaceAll('"', '""')}"`
