import { PUBLIC_SCHEMA } from '../../shared/kernel/database/schema.ts'
import type { ProjectAddress } from '../../tools/project-address.ts'
import { ago } from '../../tools/terminal.ts'
import { INSTALLED_PREFIX } from '../install/migrations.ts'
import type { Diagnosis } from './diagnosis.ts'
import { type Finding, finding } from './finding.ts'
import type { BundledMigrations, CronJob } from './migrations.ts'
import { neighbourFindings } from './neighbours.ts'
import { functionsUrl } from './reach.ts'
import { vaultFindings } from './vault.ts'

/** The sweep runs every 10 seconds; six that did not come are no accident. */
const SWEEP_OVERDUE_MS = 60_000
/** Doorbells are valid for minutes, leases for a minute: seconds do no harm, minutes do. */
const SKEW_WARNING_MS = 2_000
const SKEW_FAILURE_MS = 30_000

/**
 * Whether all that the migrations and the platform have to provide is there and at work.
 * @param now the database's time
 */
export function installationFindings(
  diagnosis: Diagnosis,
  bundled: BundledMigrations,
  project: ProjectAddress,
  now: number,
): Finding[] {
  return [
    migrationFinding(diagnosis, bundled, project),
    ...diagnosis.extensions.map(({ name, version }) =>
      finding(
        'database',
        `extension ${name}`,
        version === null && 'It is not installed.',
        `version ${version}`,
        {
          fix: 'Enable it (Dashboard, Database, Extensions), or apply the migrations.',
          sql: `create extension if not exists ${name};`,
        },
      ),
    ),
    ...diagnosis.triggers.map((trigger) => triggerFinding(trigger, bundled)),
    ...neighbourFindings(diagnosis, bundled, project),
    ...vaultFindings(diagnosis, functionsUrl(project)),
    ...cronFindings(diagnosis, bundled, now),
    finding(
      'database',
      'pg_net worker',
      diagnosis.pg_net.problem ?? undefined,
      `up, ${diagnosis.pg_net.queued} calls queued`,
      {
        fix: 'Restart the worker.',
        sql: 'select net.worker_restart();',
      },
    ),
    pgNetFinding(diagnosis),
  ]
}

function migrationFinding(
  { migrations: applied }: Diagnosis,
  { migrations }: BundledMigrations,
  { isLocal }: ProjectAddress,
): Finding {
  const about = { area: 'database', check: 'migrations' }
  if (applied === null)
    return {
      ...about,
      status: 'skipped',
      found: 'The project keeps no record of migrations (supabase_migrations.schema_migrations).',
    }
  const missing = migrations.filter(({ version, name }) => !applied.some(isMigration(version, name)))
  return finding(
    about.area,
    about.check,
    missing.length > 0 &&
      `Not applied: ${missing.map(({ version, name }) => `${version}_${name}`).join(', ')}.`,
    `all ${migrations.length} applied`,
    {
      fix: isLocal
        ? 'Start the local stack again; it applies them.'
        : 'Apply them to the linked project (with version 2 of the Supabase CLI: --linked).',
      command: isLocal ? 'npm start' : 'npx supabase db push --remote',
    },
  )
}

/** Under its own version, or under the one that `init` has given it, by which its name is told. */
const isMigration = (version: string, name: string) => (applied: string) =>
  applied.startsWith(version) || applied.endsWith(`_${INSTALLED_PREFIX}${name}`)

/** What goes wrong while the trigger that calls the function is missing or switched off. */
const WITHOUT_TRIGGER: Readonly<Record<string, string>> = {
  handle_new_user:
    'new users get no rows and no tenant; afterwards provision who was missed, with the command below',
  handle_user_updated:
    'changed names and addresses are not copied, and a confirmed address starts no tenant; afterwards provision who was missed, with the command below',
  handle_user_deleted: 'the accounts of owners cannot be deleted (the trigger of keep_owners refuses it)',
  handle_user_soft_deleted: 'users who are soft-deleted keep their organizations, memberships and resources',
  keep_owners:
    'the wallets of deleted users stay, and nothing keeps the owner of an organization from going without a successor',
  handle_organization_deleted:
    'what a deleted organization has outside (Neon project, Stripe customer, password in Vault) is not removed',
  handle_provisioning_succeeded:
    'the failed undo of an earlier cancellation and its alert stay open after the tenant was provisioned anew',
  alert_on_job_end: 'failed jobs open no alert, and the alerts of those that succeed stay open',
  enqueue_alert_delivery: `the webhook is not told of alerts; those missed are in ${PUBLIC_SCHEMA}.tenant_alerts`,
}
/** After these somebody may lack rows. */
const MISSED_BY = ['handle_new_user', 'handle_user_updated']

function triggerFinding(
  { function: name, table, enabled, namesakes }: Diagnosis['triggers'][number],
  { triggers }: BundledMigrations,
): Finding {
  const without = WITHOUT_TRIGGER[name]
  const statement = triggers.get(name)
  // The quick start of Supabase and many starters have a handle_new_user of their own, in public.
  const others = namesakes.map(
    (other) => ` ${other.trigger} calls ${other.function}, which is your application’s and another one.`,
  )
  return finding(
    'database',
    `trigger of provisioning.${name}`,
    !enabled && `No enabled trigger on ${table} calls provisioning.${name}.${others.join('')}`,
    others.length > 0 ? `on ${table}, ours.${others.join('')}` : `on ${table}`,
    {
      fix: `Make it again with the statement, which also switches it on.${without ? ` Until then ${without}.` : ''}`,
      ...(MISSED_BY.includes(name) ? { command: 'npm run tenants -- backfill' } : {}),
      ...(statement ? { sql: statement } : {}),
    },
  )
}

function cronFindings(diagnosis: Diagnosis, { cronJobs }: BundledMigrations, now: number): Finding[] {
  const missing = cronJobs.filter((wanted) => !diagnosis.cron.some(({ name }) => name === wanted.name))
  const sweptAt = diagnosis.dispatch.last_swept_at
  const overdue = sweptAt === null || now - Date.parse(sweptAt) > SWEEP_OVERDUE_MS
  return [
    ...missing.map((job) => ({
      area: 'cron',
      check: job.name,
      status: 'failed' as const,
      found: 'It is not scheduled.',
      fix: 'Schedule it.',
      sql: scheduling(job),
    })),
    ...diagnosis.cron.map((job) =>
      cronFinding(
        job,
        cronJobs.find(({ name }) => name === job.name),
      ),
    ),
    finding(
      'cron',
      'last sweep',
      overdue && `It was ${sweptAt === null ? 'never' : ago(sweptAt, now)}.`,
      sweptAt ? ago(sweptAt, now) : '',
      {
        fix: 'pg_cron does not run: look at cron.job_run_details, and restart the database when there is nothing new.',
        sql: 'select * from cron.job_run_details order by runid desc limit 20;',
      },
    ),
    finding('cron', 'doorbell', diagnosis.dispatch.problem ?? undefined, 'the database can ring', {
      fix: 'See Vault and the pg_net worker above.',
      ...(/pg_net/.test(diagnosis.dispatch.problem ?? '') ? { sql: 'select net.worker_restart();' } : {}),
    }),
  ]
}

function cronFinding(
  { name, schedule, active, here, last_run: last }: Diagnosis['cron'][number],
  bundled: CronJob | undefined,
): Finding {
  const sql = `select * from cron.job_run_details d join cron.job j using (jobid) where j.jobname = '${name}' order by runid desc limit 5;`
  if (!active)
    return finding('cron', name, 'It is switched off.', '', {
      fix: 'Switch it on.',
      sql: `select cron.alter_job(jobid, active := true) from cron.job where jobname = '${name}';`,
    })
  if (!here)
    return finding('cron', name, 'It runs in another database.', '', {
      fix: 'Schedule it here instead.',
      ...(bundled ? { sql: `select cron.unschedule('${name}'); ${scheduling(bundled)}` } : {}),
    })
  if (last?.status === 'failed')
    return finding('cron', name, `Its last run failed: ${last.message ?? 'without a message'}`, '', {
      fix: 'Mend what the message names.',
      sql,
    })
  if (bundled && bundled.schedule !== schedule)
    return finding(
      'cron',
      name,
      `Its schedule is "${schedule}"; the migrations have "${bundled.schedule}".`,
      '',
      {
        fix: 'When nobody meant that, schedule it as the migrations do.',
        sql: scheduling(bundled),
      },
      'warning',
    )
  const ran = last?.started_at ? `last run ${ago(last.started_at)}` : 'has not run yet'
  return { area: 'cron', check: name, status: 'ok', found: `${schedule}, ${ran}` }
}

const scheduling = ({ name, schedule, command }: CronJob) =>
  `select cron.schedule('${name}', '${schedule}', '${command}');`

function pgNetFinding({ pg_net: { last_hour: calls } }: Diagnosis): Finding {
  const bad = calls.filter(
    ({ status_code: code, error }) => error !== null || (code !== null && code >= 400 && code !== 401),
  )
  const list = bad
    .map(({ status_code: code, error, calls: count }) => `${count} × ${error ?? code}`)
    .join(', ')
  const total = calls.reduce((sum, { calls: count }) => sum + count, 0)
  return finding(
    'database',
    'calls in the last hour',
    bad.length > 0 && `Of ${total} calls: ${list}.`,
    `${total} answered`,
    {
      fix: 'The functions below say which; their logs say why.',
      sql: 'select * from net._http_response order by created desc limit 20;',
    },
    'warning',
  )
}

/** @param skewMs this machine's clock minus the database's, as far as a call can tell */
export function clockFinding(skewMs: number): Finding {
  const off = Math.abs(skewMs)
  const found = `${(off / 1000).toFixed(1)} s ${skewMs > 0 ? 'ahead of' : 'behind'} the database`
  return finding(
    'clocks',
    'this machine',
    off > SKEW_WARNING_MS && `Its clock is ${found}.`,
    off < 100 ? 'as the database' : found,
    { fix: 'Set the clock (NTP): times on these screens, and tokens made here, are wrong by that much.' },
    off > SKEW_FAILURE_MS ? 'failed' : 'warning',
  )
}
