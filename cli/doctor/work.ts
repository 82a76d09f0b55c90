import { ago } from '../../tools/terminal.ts'
import type { Diagnosis } from './diagnosis.ts'
import { type Finding, finding } from './finding.ts'

/** A run of the night before, and some hours more. */
const RECONCILIATION_OVERDUE_MS = 36 * 3_600_000

/** Whether work gets done, and what waits for a person. */
export function workFindings(diagnosis: Diagnosis, now: number): Finding[] {
  const { sign_up_failures: failures, users_without_profile: strangers, alerts } = diagnosis
  return [
    pausesFinding(diagnosis, now),
    stuckFinding(diagnosis, now),
    failedFinding(diagnosis),
    finding(
      'work',
      'sign-ups',
      failures.users > 0 && `The rows of ${failures.users} users cannot be made: ${failures.message ?? ''}`,
      'no trouble',
      {
        fix: 'Mend the cause; the sweep tries again, ever less often. Or now:',
        command: 'npm run tenants -- backfill',
      },
    ),
    finding(
      'work',
      'users without rows',
      strangers > failures.users &&
        `${strangers} users have no profile: from before the installation, or missed.`,
      'none',
      { fix: 'Provision them.', command: 'npm run tenants -- backfill' },
      'warning',
    ),
    finding(
      'work',
      'alerts',
      alerts.open > 0 &&
        `${alerts.open} open, ${alerts.critical} of them critical${alerts.oldest ? `, the oldest from ${ago(alerts.oldest, now)}` : ''}.`,
      'none open',
      { fix: 'Look at them.', command: 'npm run tenants -- alerts' },
      alerts.critical > 0 ? 'failed' : 'warning',
    ),
    refusedLimitsFinding(diagnosis, now),
    reconciliationFinding(diagnosis, now),
  ]
}

function refusedLimitsFinding({ refused_limits: refused }: Diagnosis, now: number): Finding {
  const limits = refused.map(({ limit, wanted, refused_at: at }) => `${limit} (${wanted}; ${ago(at, now)})`)
  return finding(
    'work',
    'limits of databases',
    limits.length > 0 &&
      `The plan of the Neon account refuses ${limits.join(', ')}. Tenants are made without, with what the plan has.`,
    'none was refused',
    {
      fix: 'Upgrade the Neon plan and retry the service neon of those tenants, or give the row a value that the plan allows.',
      sql: 'select size, suspend_timeout_seconds from provisioning.database_sizes; select plan, history_retention_seconds from provisioning.plans;',
    },
    'warning',
  )
}

function pausesFinding({ pauses }: Diagnosis, now: number): Finding {
  const messages = pauses.map(({ message, paused_at: at }) => `${message} (${ago(at, now)})`)
  return finding(
    'work',
    'pauses',
    messages.length > 0 && messages.join(' '),
    'nothing is paused',
    { fix: 'When the reason has passed, end the pause.', command: 'npm run tenants -- pauses' },
    'warning',
  )
}

function stuckFinding({ stuck_jobs: stuck, open_jobs: open }: Diagnosis, now: number): Finding {
  const [oldest] = stuck
  const total = open.reduce((sum, { jobs }) => sum + jobs, 0)
  const problem =
    oldest &&
    `${stuck.length === 20 ? 'At least 20' : stuck.length} should have been claimed; the oldest, ${oldest.kind} of ${oldest.slug ?? oldest.organization_id}, was due ${ago(oldest.due_at, now)}.`
  return finding('work', 'stuck jobs', problem, total === 0 ? 'nothing is open' : `none; ${total} open`, {
    fix: 'Look at the sweep, the doorbell and the functions on this page; the functions’ logs say why a worker ends. Then ring:',
    sql: 'select provisioning.sweep();',
  })
}

function failedFinding({ failed_jobs: failed }: Diagnosis): Finding {
  const total = failed.reduce((sum, { jobs }) => sum + jobs, 0)
  const counts = failed.map(({ kind, code, jobs }) => `${jobs} × ${code ?? kind}`).join(', ')
  return finding('work', 'failed jobs', total > 0 && `${counts}. ${failed[0]?.message ?? ''}`, 'none', {
    fix: 'Mend the cause, then retry each (docs/operations.md has a statement for all with one code).',
    command: 'npm run tenants -- list --status failed',
  })
}

function reconciliationFinding(
  { reconciliation: { last_run: last, findings } }: Diagnosis,
  now: number,
): Finding {
  const found = findings
    .map(({ label, kind, resources }) => `${resources} ${kind.replaceAll('_', ' ')} (${label})`)
    .join(', ')
  const problem =
    last?.status === 'failed'
      ? `The last run failed: ${last.error ?? 'without a message'}`
      : found
        ? `Found: ${found}.`
        : last !== null &&
          now - Date.parse(last.started_at) > RECONCILIATION_OVERDUE_MS &&
          `The last run was ${ago(last.started_at, now)}.`
  const fine = last
    ? `${last.complete ? 'complete' : last.status} ${ago(last.started_at, now)}, nothing found`
    : 'has not run yet'
  return finding(
    'work',
    'reconciliation',
    problem,
    fine,
    {
      fix: 'See docs/operations.md, Reconciliation; a run now:',
      command: 'npm run functions:invoke -- reconcile-tenants \'{"wait": true}\'',
    },
    'warning',
  )
}
