import type { Command } from 'commander'
import { dim, green, red, yellow } from '../../tools/command.ts'
import { heading, labelled, sign } from '../../tools/terminal.ts'
import type { Api } from '../api.ts'
import { advisorFindings } from '../doctor/advisors.ts'
import { diagnosisSchema } from '../doctor/diagnosis.ts'
import { fileFindings } from '../doctor/files.ts'
import type { Finding } from '../doctor/finding.ts'
import { clockFinding, installationFindings } from '../doctor/installation.ts'
import { readFunctionNames, readMigrations } from '../doctor/migrations.ts'
import { keyFindings, providerFindings } from '../doctor/providers.ts'
import { reachFindings } from '../doctor/reach.ts'
import { workFindings } from '../doctor/work.ts'
import { startProgress } from '../progress.ts'
import { type Define, exit, type Session } from '../session.ts'

const NAME_WIDTH = 40

interface Options {
  readonly quick?: true
}

export function registerDoctor(program: Command, define: Define): void {
  define(
    program
      .command('doctor')
      .description('examine the installation, and say how to mend what is wrong')
      .option('--quick', 'the database only: no calls to functions, providers and advisors')
      .addHelpText(
        'after',
        `
Looks at migrations, extensions, triggers, Vault (names only), cron jobs and their last runs, pg_net, the way from the database to
each function, providers, stuck and failed jobs, alerts, reconciliation, the clock, and the advisors; in the directory of a project
into which init has put files, at those, too.
Keys: NEON_API_KEY, STRIPE_SECRET_KEY, SUPABASE_MANAGEMENT_TOKEN, GITHUB_TOKEN, VERCEL_TOKEN and N8N_API_KEY are tried with a harmless
call where they are set; SUPABASE_DB_URL is for the advisors. The functions have SUPABASE_MANAGEMENT_TOKEN and SUPABASE_ORG_ID as
MANAGEMENT_TOKEN and MANAGEMENT_ORG_ID, because their secrets may not begin with SUPABASE_; these names are taken here, too.
Exit codes: 0 fine, 1 the project cannot be reached, 4 something failed (warnings alone do not count).`,
      ),
    async (session, options: Options) => {
      const api = await session.connect()
      session.standing = 'Nothing was changed; the doctor only looks.'
      const findings = await examine(session, api, options.quick ?? false)
      const failed = findings.filter(({ status }) => status === 'failed').length
      session.print({ project: api.project.url, ok: failed === 0, findings }, () =>
        screen(api.project.url, findings),
      )
      return failed > 0 ? exit.problems : exit.fine
    },
  )
}

async function examine(session: Session, api: Api, quick: boolean): Promise<Finding[]> {
  const progress = startProgress()
  const doing = <T>(what: string, work: Promise<T>): Promise<T> => {
    progress.show(`${what} …`)
    return work
  }
  try {
    const { diagnosis, skewMs, now } = await doing('Asking the database', diagnose(api))
    const installation = [
      ...installationFindings(diagnosis, await readMigrations(), api.project, now),
      clockFinding(skewMs),
      ...(await fileFindings('.', diagnosis.migrations)),
    ]
    const work = workFindings(diagnosis, now)
    if (quick) return [...installation, ...providerFindings(diagnosis), ...work]
    const reach = await doing(
      'Calling the functions',
      reachFindings(api, await readFunctionNames(), session.stop),
    )
    const keys = await doing(
      'Calling the providers',
      keyFindings(api.project, session.environment, session.stop),
    )
    const advice = await doing(
      'Running the advisors',
      advisorFindings(api.project, session.environment, session.stop),
    )
    return [...installation, ...reach, ...providerFindings(diagnosis), ...keys, ...work, ...advice]
  } finally {
    progress.clear()
  }
}

/** `now` is the database's, so that a wrong clock here does not look like late work there. */
async function diagnose(api: Api) {
  // The first call also opens the connection; what is measured is the second.
  await api.read('The diagnosis', api.client.rpc('diagnose_provisioning'))
  const before = Date.now()
  const diagnosis = diagnosisSchema.parse(
    await api.read('The diagnosis', api.client.rpc('diagnose_provisioning')),
  )
  const now = Date.parse(diagnosis.database_time)
  const after = Date.now()
  // The database read its clock at some time in between: only what lies outside is certain.
  const skewMs = now < before ? before - now : now > after ? after - now : 0
  return { diagnosis, now, skewMs }
}

function screen(url: string, findings: readonly Finding[]): string {
  const areas = [...new Set(findings.map(({ area }) => area))]
  const lines = areas.flatMap((area) => [
    heading(area),
    ...findings.filter((each) => each.area === area).flatMap(findingLines),
  ])
  return [dim(url), ...lines, '', summary(findings)].join('\n')
}

function findingLines({ check, status, found, fix, command, sql }: Finding): string[] {
  const lines = [labelled(`${sign(status)} ${check}`, found, NAME_WIDTH)]
  if (status === 'ok' || status === 'skipped') return lines
  if (fix) lines.push(labelled('', `→ ${fix}`, 4))
  if (command) lines.push(`      ${command}`)
  // Whole, so that it can be copied.
  if (sql) lines.push(`      ${sql}`)
  return lines
}

function summary(findings: readonly Finding[]): string {
  const count = (status: Finding['status']) => findings.filter((each) => each.status === status).length
  const [failed, warnings, skipped] = [count('failed'), count('warning'), count('skipped')]
  const parts = [
    failed > 0 ? red(`${failed} failed`) : green('nothing failed'),
    ...(warnings > 0 ? [yellow(`${warnings} warning${warnings === 1 ? '' : 's'}`)] : []),
    ...(skipped > 0 ? [dim(`${skipped} skipped`)] : []),
  ]
  return `${findings.length} checks: ${parts.join(', ')}.`
}
