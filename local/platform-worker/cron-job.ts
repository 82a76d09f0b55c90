import postgres from 'postgres'
import { describe } from './session.ts'

export interface CronJob {
  readonly jobid: string
  readonly command: string
  readonly database: string
  readonly username: string
}

/** What became of a run; goes into its row of cron.job_run_details. */
export type RunReport =
  | { readonly status: 'running'; readonly jobPid: number }
  | { readonly status: 'succeeded' | 'failed'; readonly message: string }

export interface JobConnection {
  /** URL of the worker's own database; host, port and password are taken from it. */
  readonly databaseUrl: string
  /** Aborted when the worker cannot wait any longer; ends the run. */
  readonly halt: AbortSignal
}

/**
 * Runs the command of a job as pg_cron does: on a connection of its own, logged in as the job's user, so that
 * the role's settings and rights apply. Reports `running` and then the end; never rejects.
 */
export async function runJob(
  job: CronJob,
  connection: JobConnection,
  report: (report: RunReport) => void,
): Promise<void> {
  const sql = connectAs(job, connection.databaseUrl)
  const end = () => void sql.end({ timeout: 0 }).catch(() => undefined)
  connection.halt.addEventListener('abort', end, { once: true })
  try {
    const [backend] = await sql<{ pid: number }[]>`select pg_backend_pid() as pid`.catch((error: unknown) => {
      throw new Error(`connection failed: ${describe(error)}`)
    })
    report({ status: 'running', jobPid: backend?.pid ?? 0 })
    report({ status: 'succeeded', message: resultMessage(await sql.unsafe(job.command)) })
  } catch (error) {
    report({ status: 'failed', message: errorMessage(error) })
  } finally {
    connection.halt.removeEventListener('abort', end)
    await sql.end({ timeout: 1 }).catch(() => undefined)
  }
}

function connectAs(job: CronJob, databaseUrl: string): postgres.Sql {
  const url = new URL(databaseUrl)
  url.username = encodeURIComponent(job.username)
  url.pathname = encodeURIComponent(job.database)
  return postgres(url.href, {
    max: 1,
    connect_timeout: 10,
    fetch_types: false,
    connection: { application_name: 'pg_cron' },
    onnotice: () => undefined,
  })
}

/** A command may hold several statements; the last one counts. */
function resultMessage(result: postgres.RowList<postgres.Row[]>): string {
  const results: readonly unknown[] = result
  const last = results.length > 0 && results.every(isStatementResult) ? results.at(-1) : result
  if (!isStatementResult(last)) return ''
  if (last.columns?.length) return `${last.length} ${last.length === 1 ? 'row' : 'rows'}`
  if (last.count === null) return last.command
  // The command tag of INSERT has had an object id, now always 0, before the count.
  return `${last.command} ${last.command === 'INSERT' ? '0 ' : ''}${last.count}`
}

interface StatementResult {
  readonly length: number
  readonly command: string
  readonly count: number | null
  readonly columns?: readonly unknown[]
}

function isStatementResult(value: unknown): value is StatementResult {
  return Array.isArray(value) && 'command' in value
}

function errorMessage(error: unknown): string {
  if (!(error instanceof postgres.PostgresError)) return describe(error)
  const { severity, message, detail, hint } = error
  return [`${severity}:  ${message}`, detail && `DETAIL:  ${detail}`, hint && `HINT:  ${hint}`]
    .filter(Boolean)
    .join('\n')
}
