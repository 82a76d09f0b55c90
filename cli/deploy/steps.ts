import { createHash } from 'node:crypto'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { PUBLIC_SCHEMA } from '../../shared/kernel/database/schema.ts'
import { maskSecrets } from '../../shared/kernel/masking.ts'
import { services } from '../../shared/services/registry.ts'
import { withFunctionNames } from '../../tools/function-names.ts'
import { printable } from '../../tools/printable.ts'
import { supabaseCli } from '../../tools/supabase-cli.ts'
import { keyFindings } from '../doctor/providers.ts'
import { readManifest } from '../install/manifest.ts'
import type { TheirDatabase } from '../install/their-database.ts'
import { versionOf } from '../install/versions.ts'
import { BUNDLE_LIMIT, type FunctionContents, functionContents } from './function-contents.ts'
import type { DeployedFunction, HostedProject } from './hosted-project.ts'
import { DeployProblem, type Step } from './step.ts'

export interface Deployment {
  readonly ref: string
  /** The directory with supabase/config.toml. */
  readonly directory: string
  readonly environment: NodeJS.ProcessEnv
  readonly apiUrl: string
  readonly token: string
  readonly databaseUrl: string
  readonly hosted: HostedProject
  readonly database: () => Promise<TheirDatabase>
  readonly stop: AbortSignal
}

/** Without these the functions do not work. */
const NEEDED = ['STRIPE_SECRET_KEY', 'NEON_API_KEY']
/** Beside the services' own variables. */
const OTHER_SECRETS = [
  'DATABASE_POOLER_URL',
  'WAITING_PER_USER',
  'WAITING_PER_PROCESS',
  'HANDLE_NEW_USER_HOOK_SECRET',
  'METRICS_KEY',
]
const EXTENSIONS = ['pg_cron', 'pg_net', 'pg_trgm', 'supabase_vault']
/** Secrets of the project that say which text of a function was deployed as which version: the API tells only a digest of them. */
const MARK = 'DEPLOYED_'

export const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

/** All that a deployment does, in its order. */
export function deploySteps(deployment: Deployment): Step[] {
  return [
    projectStep(deployment),
    keysStep(deployment),
    sizesStep(deployment),
    databaseStep(deployment),
    migrationsStep(deployment),
    identityStep(deployment),
    secretsStep(deployment),
    functionsStep(deployment),
    addressStep(deployment),
    schemaStep(deployment),
    cronStep(deployment),
  ]
}

function projectStep({ hosted, ref }: Deployment): Step {
  return {
    id: 'project',
    title: 'The project is there and healthy',
    async look() {
      const { name, status, organization_slug: organization } = await hosted.project()
      if (status !== 'ACTIVE_HEALTHY')
        throw new DeployProblem(
          'project_not_healthy',
          `The project ${ref} is ${status}.`,
          'Restore it or wait in the dashboard until it is healthy, and run deploy again.',
        )
      return { found: `${name}, plan ${await hosted.plan(organization)}`, effects: [] }
    },
  }
}

function keysStep({ environment, ref, stop }: Deployment): Step {
  return {
    id: 'keys',
    title: 'The providers take the keys',
    async look() {
      const findings = await keyFindings(
        { url: projectUrl(ref), secretKey: '', hint: '', isLocal: false },
        environment,
        stop,
      )
      const refused = findings.find(({ status }) => status === 'failed')
      if (refused)
        throw new DeployProblem(
          'provider_key_refused',
          `${refused.check}: ${refused.found}`,
          refused.fix ?? '',
        )
      const tried = findings.filter(({ status }) => status === 'ok').map(({ check }) => check)
      return { found: tried.length > 0 ? tried.join(', ') : 'none is set here', effects: [] }
    },
  }
}

function sizesStep({ directory }: Deployment): Step {
  return {
    id: 'sizes',
    title: 'The functions are small enough',
    async look() {
      const contents = await functionContents(directory)
      const largest = contents.toSorted((one, other) => other.bytes - one.bytes)[0]
      if (!largest) throw new DeployProblem('no_functions', 'There are no functions here.', 'Run init first.')
      if (largest.bytes > BUNDLE_LIMIT)
        throw new DeployProblem(
          'function_too_large',
          `${largest.name} has ${megabytes(largest.bytes)}, and the bundler takes ${megabytes(BUNDLE_LIMIT)}.`,
          'Make the files of supabase/tenant-schema or supabase/n8n-templates smaller, and run init again.',
        )
      return { found: `${largest.name} is the largest, ${megabytes(largest.bytes)}`, effects: [] }
    },
  }
}

const megabytes = (bytes: number) => `${(bytes / 1024 / 1024).toFixed(1)} MB`

function databaseStep({ database, databaseUrl, ref }: Deployment): Step {
  return {
    id: 'database',
    title: 'The database is that of the project, and has the extensions',
    async look() {
      const { hostname, username } = new URL(databaseUrl)
      const isHosted = /\.supabase\.(co|com)$/.test(hostname)
      if (isHosted && !hostname.includes(ref) && !username.includes(ref))
        throw new DeployProblem(
          'database_of_another_project',
          `SUPABASE_DB_URL does not lead to the project ${ref}.`,
          'Copy the address from the dashboard of this project (Connect).',
        )
      const { sql, versions } = await database()
      const rows = await sql<{ name: string }[]>`select name from pg_catalog.pg_available_extensions`
      const missing = EXTENSIONS.filter((wanted) => !rows.some(({ name }) => name === wanted))
      if (missing.length > 0)
        throw new DeployProblem(
          'extension_missing',
          `The database does not have ${missing.join(', ')}.`,
          'Deploy to a project of Supabase, which has them all.',
        )
      return { found: `${versions.length} migrations are applied`, effects: [] }
    },
  }
}

function migrationsStep({ directory, database, databaseUrl, ref, stop }: Deployment): Step {
  return {
    id: 'migrations',
    title: 'The database has the migrations',
    async look() {
      const { sql } = await database()
      const applied = await appliedVersions(sql)
      const files = (await readdir(path.join(directory, 'supabase/migrations'))).sort()
      const pending = files.filter((file) => {
        const version = versionOf(file)
        return version !== undefined && !applied.has(version)
      })
      return {
        found: `${files.length - pending.length} of ${files.length} are applied`,
        effects: pending.map((file) => `apply supabase/migrations/${file}`),
      }
    },
    async act() {
      await supabaseCli(['db', 'push', '--yes'], {
        databaseUrl,
        workdir: directory,
        env: { FUNCTIONS_BASE_URL: functionsUrl(ref) },
      }).catch((error: unknown) => {
        stop.throwIfAborted()
        throw new DeployProblem(
          'migration_failed',
          textOf(error),
          'Mend what the database names, and run deploy again. What was applied stays applied.',
        )
      })
    },
  }
}

async function appliedVersions(sql: TheirDatabase['sql']): Promise<ReadonlySet<string>> {
  const [history] =
    await sql`select to_regclass('supabase_migrations.schema_migrations') is not null as is_there`
  if (!history?.is_there) return new Set()
  const rows = await sql<{ version: string }[]>`select version from supabase_migrations.schema_migrations`
  return new Set(rows.map(({ version }) => version))
}

function identityStep({ database, ref }: Deployment): Step {
  return {
    id: 'identity',
    title: 'The database knows whose rows it has',
    async look() {
      const { sql } = await database()
      const [table] = await sql`select to_regclass('provisioning.project_identity') is not null as is_there`
      const [row] = table?.is_there
        ? await sql<{ project: string | null }[]>`select project from provisioning.project_identity`
        : []
      const recorded = row?.project ?? undefined
      if (recorded !== undefined && recorded !== ref)
        throw new DeployProblem(
          'project_copied',
          `The rows of this database belong to the project ${printable(recorded)}, whose resources they name.`,
          'See docs/copies.md: it says what a copy may do, and how one takes the place of an original that is gone.',
        )
      return {
        found: ref,
        effects: recorded === undefined ? [`record that the rows are those of the project ${ref}`] : [],
      }
    },
    async act() {
      const { sql } = await database()
      await sql`select provisioning.record_project(${projectUrl(ref)})`
    },
  }
}

function secretsStep({ environment, hosted }: Deployment): Step {
  const changed = async () => {
    const given = withFunctionNames(environment)
    // The addresses of the providers' APIs are for emulators.
    const own = services.flatMap(({ variables }) => variables.filter((name) => !name.endsWith('_API_URL')))
    const names = new Set([...own, ...OTHER_SECRETS])
    const there = await hosted.secretDigests()
    const missing = NEEDED.filter((name) => !given[name] && !there.has(name))
    if (missing.length > 0)
      throw new DeployProblem(
        'secret_missing',
        `${missing.join(' and ')} is set neither here nor in the project.`,
        'Set it in the environment of this command, and run deploy again.',
      )
    return new Map(
      [...names].flatMap((name) => {
        const value = given[name]
        return value && there.get(name) !== sha256(value) ? [[name, value] as const] : []
      }),
    )
  }
  return {
    id: 'secrets',
    title: 'The functions have their secrets',
    async look() {
      const secrets = await changed()
      return {
        found: 'those that are set here are in the project',
        effects: [...secrets.keys()].map((name) => `set the secret ${name}`),
      }
    },
    async act() {
      await hosted.setSecrets(await changed())
    },
  }
}

const markName = (name: string) => `${MARK}${name.replaceAll('-', '_').toUpperCase()}`

/** Another deployment, by whatever means, makes another version: then ours is deployed again. */
const markOf = ({ hash }: FunctionContents, { version, ezbr_sha256: bundle }: DeployedFunction) =>
  `${hash} ${version} ${bundle ?? ''}`

function functionsStep({ directory, hosted, ref, apiUrl, token, stop }: Deployment): Step {
  const changed = async () => {
    const [contents, deployed, there] = await Promise.all([
      functionContents(directory),
      hosted.functions(),
      hosted.secretDigests(),
    ])
    return contents.filter((each) => {
      const known = deployed.find(({ slug }) => slug === each.name)
      return !known || there.get(markName(each.name)) !== sha256(markOf(each, known))
    })
  }
  return {
    id: 'functions',
    title: 'The functions are deployed',
    async look() {
      return {
        found: 'those of this directory are in the project',
        effects: (await changed()).map(({ name }) => `deploy the function ${name}`),
      }
    },
    async act() {
      const contents = await changed()
      await deployWithCli(
        contents.map(({ name }) => name),
        { directory, ref, apiUrl, token, stop },
      )
      const deployed = await hosted.functions()
      const marks = contents.map((each) => {
        const known = deployed.find(({ slug }) => slug === each.name)
        if (!known)
          throw new DeployProblem(
            'function_not_deployed',
            `The project does not list ${each.name} after its deployment.`,
            'Run deploy again.',
          )
        return [markName(each.name), markOf(each, known)] as const
      })
      await hosted.setSecrets(new Map(marks))
    },
  }
}

/** By the Supabase CLI, which follows the imports as plain `supabase functions deploy` does: both upload the same. The token goes by the environment. */
async function deployWithCli(
  names: readonly string[],
  {
    directory,
    ref,
    apiUrl,
    token,
    stop,
  }: Pick<Deployment, 'directory' | 'ref' | 'apiUrl' | 'token' | 'stop'>,
): Promise<void> {
  const home = await mkdtemp(path.join(tmpdir(), 'tenant-provisioning-deploy-'))
  const profile = path.join(home, 'profile.yaml')
  try {
    const own = apiUrl !== HOSTED_API
    if (own)
      await writeFile(
        profile,
        `name: own\napi_url: ${apiUrl}\ndashboard_url: ${apiUrl}\nproject_host: ${new URL(apiUrl).hostname}\n`,
      )
    await supabaseCli(
      [
        ...['functions', 'deploy', ...names, '--use-api', '--yes', `--remote=${ref}`],
        ...(own ? ['--profile', profile] : []),
      ],
      { workdir: directory, env: { SUPABASE_ACCESS_TOKEN: token, ...(own ? { HOME: home } : {}) } },
    )
  } catch (error) {
    stop.throwIfAborted()
    throw new DeployProblem(
      'function_deployment_failed',
      textOf(error),
      'Mend what it names, and run deploy again.',
    )
  } finally {
    await rm(home, { recursive: true, force: true })
  }
}

export const HOSTED_API = 'https://api.supabase.com'

const projectUrl = (ref: string) => `https://${ref}.supabase.co`

const functionsUrl = (ref: string) => `${projectUrl(ref)}/functions/v1`

function addressStep({ database, ref }: Deployment): Step {
  const current = async () => {
    const { sql } = await database()
    const [row] = await sql<{ id: string; value: string }[]>`
      select id, decrypted_secret as value from vault.decrypted_secrets where name = 'functions_base_url'`
    return row
  }
  const url = functionsUrl(ref)
  return {
    id: 'address',
    title: 'The database knows the address of the functions',
    async look() {
      const isRight = (await current())?.value === url
      return { found: url, effects: isRight ? [] : [`put ${url} into Vault as functions_base_url`] }
    },
    async act() {
      const { sql } = await database()
      const row = await current()
      if (row) await sql`select vault.update_secret(${row.id}, ${url})`
      else await sql`select vault.create_secret(${url}, 'functions_base_url')`
    },
  }
}

function schemaStep({ directory, hosted }: Deployment): Step {
  const schema = async () => (await readManifest(directory))?.schema ?? PUBLIC_SCHEMA
  return {
    id: 'schema',
    title: 'The Data API serves the schema',
    async look() {
      const wanted = await schema()
      const isThere = (await hosted.exposedSchemas()).includes(wanted)
      return { found: wanted, effects: isThere ? [] : [`expose the schema ${wanted} to the Data API`] }
    },
    async act() {
      await hosted.exposeSchemas([...(await hosted.exposedSchemas()), await schema()])
    },
  }
}

function cronStep({ database }: Deployment): Step {
  const resting = async () => {
    const { sql } = await database()
    const [cron] = await sql`select to_regclass('cron.job') is not null as is_there`
    if (!cron?.is_there) return []
    return sql<{ jobid: number; jobname: string }[]>`
      select jobid::int, jobname from cron.job where jobname like 'tenant-provisioning-%' and not active order by jobname`
  }
  return {
    id: 'cron',
    title: 'The cron jobs run',
    async look() {
      const effects = (await resting()).map(({ jobname }) => `switch the cron job ${jobname} on`)
      return { found: 'none is switched off', effects }
    },
    async act() {
      const { sql } = await database()
      for (const { jobid } of await resting()) await sql`select cron.alter_job(${jobid}, active := true)`
    },
  }
}

const textOf = (error: unknown) => maskSecrets(error instanceof Error ? error.message : String(error))
