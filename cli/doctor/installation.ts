import { ago } from '../terminal.ts'
import type { Diagnosis } from './diagnosis.ts'
import { type Finding, finding, type Repair } from './finding.ts'
import type { BundledMigrations } from './migrations.ts'

/** The sweep runs every 10 seconds; six that did not come are no accident. */
const SWEEP_OVERDUE_MS = 60_000
/** Doorbells are valid for minutes, leases for a minute: seconds do no harm, minutes do. */
const SKEW_WARNING_MS = 2_000
const SKEW_FAILURE_MS = 30_000

/** Whether all that the migrations and the platform have to provide is there and at work. */
export function installationFindings(
  diagnosis: Diagnosis,
  bundled: BundledMigrations,
  now: number,
): Finding[] {
  return [
    migrationFinding(diagnosis, bundled),
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
    ...diagnosis.triggers.map(({ function: name, table, enabled }) =>
      finding(
        'database',
        `trigger ${name}`,
        !enabled && `No enabled trigger on ${table} calls it.`,
        `on ${table}`,
        {
          fix: 'Create or enable the trigger, as its migration does. Until then sign-ups are found by the backfill alone.',
          command: 'npm run tenants -- backfill --dry-run',
        },
      ),
    ),
    ...diagnosis.vault.map(vaultFinding),
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

function migrationFinding({ migrations }: Diagnosis, { versions }: BundledMigrations): Finding {
  const about = { area: 'database', check: 'migrations' }
  if (migrations === null)
    return {
      ...about,
      status: 'skipped',
      found: 'The project keeps no record of migrations (supabase_migrations.schema_migrations).',
    }
  const missing = versions.filter((version) => !migrations.includes(version))
  return finding(
    about.area,
    about.check,
    missing.length > 0 && `Not applied: ${missing.join(', ')}.`,
    `all ${versions.length} applied`,
    {
      fix: 'Apply them.',
      command: 'npx supabase db push',
    },
  )
}

const VAULT_REPAIRS: Readonly<Record<string, Repair>> = {
  functions_base_url: {
    fix: 'Tell the database where the functions are.',
    sql: "select vault.create_secret('https://YOUR-PROJECT.supabase.co/functions/v1', 'functions_base_url');",
  },
  provisioning_doorbell_key: {
    fix: 'Make a new one; functions notice within 30 s.',
    sql: "select vault.create_secret(encode(extensions.gen_random_bytes(32), 'hex'), 'provisioning_doorbell_key');",
  },
  provisioning_sealing_key: {
    fix: 'Make a new one; steps that are cut off are repeated.',
    sql: "select vault.create_secret(encode(extensions.gen_random_bytes(32), 'hex'), 'provisioning_sealing_key');",
  },
}

function vaultFinding({ name, present, plausible }: Diagnosis['vault'][number]): Finding {
  const repair = VAULT_REPAIRS[name] ?? {}
  if (present && plausible) return { area: 'Vault', check: name, status: 'ok', found: 'there' }
  if (!present)
    return { area: 'Vault', check: name, status: 'failed', found: 'It is not in Vault.', ...repair }
  // There is one already, so it is changed instead.
  const sql = repair.sql?.replace(
    /^select vault\.create_secret\((.+), '(\w+)'\);$/,
    "select vault.update_secret(id, $1) from vault.secrets where name = '$2';",
  )
  return {
    area: 'Vault',
    check: name,
    status: 'failed',
    found: 'Its value cannot be right.',
    ...repair,
    ...(sql ? { sql } : {}),
  }
}

function cronFindings(diagnosis: Diagnosis, { cronJobs }: BundledMigrations, now: number): Finding[] {
  const missing = cronJobs.filter((wanted) => !diagnosis.cron.some(({ name }) => name === wanted.name))
  const sweptAt = diagnosis.dispatch.last_swept_at
  const overdue = sweptAt === null || now - Date.parse(sweptAt) > SWEEP_OVERDUE_MS
  return [
    ...missing.map(({ name, schedule, command }) => ({
      area: 'cron',
      check: name,
      status: 'failed' as const,
      found: 'It is not scheduled.',
      fix: 'Schedule it.',
      sql: `select cron.schedule('${name}', '${schedule}', '${command}');`,
    })),
    ...diagnosis.cron.map(cronFinding),
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
      fix: 'See Vault above.',
    }),
  ]
}

function cronFinding({ name, schedule, active, here, last_run: last }: Diagnosis['cron'][number]): Finding {
  const problem = !active
    ? 'It is switched off.'
    : !here
      ? 'It runs in another database.'
      : last?.status === 'failed'
        ? `Its last run failed: ${last.message ?? 'without a message'}`
        : undefined
  const fine = last?.started_at
    ? `${schedule}, last run ${ago(last.started_at)}`
    : `${schedule}, has not run yet`
  return finding('cron', name, problem, fine, {
    fix: active ? 'Mend what the message names.' : 'Switch it on.',
    sql: active
      ? `select * from cron.job_run_details d join cron.job j using (jobid) where j.jobname = '${name}' order by runid desc limit 5;`
      : `select cron.alter_job(jobid, active := true) from cron.job where jobname = '${name}';`,
  })
}

function pgNetFinding({ pg_net: { last_hour: calls } }: Diagnosis): Finding {
  const bad = calls.filter(
    ({ status_code: code, error }) => error !== null || (code !== null && code >= 400 && code !== 401),
  )
  const told = bad
    .map(({ status_code: code, error, calls: count }) => `${count} × ${error ?? code}`)
    .join(', ')
  const total = calls.reduce((sum, { calls: count }) => sum + count, 0)
  return finding(
    'database',
    'calls in the last hour',
    bad.length > 0 && `Of ${total} calls: ${told}.`,
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
