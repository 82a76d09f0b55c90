import type { StepOutcome } from '../../engine/step.ts'
import { openSocket } from '../../kernel/database/socket.ts'
import { isLocalHost } from '../../kernel/local-host.ts'
import { type Result, success } from '../../kernel/result.ts'
import { keepProjectSecrets, projectSecrets } from '../project-secrets.ts'
import type { ListedProject, Pooler } from './api.ts'
import { failure } from './failures.ts'
import { illServices } from './ill-services.ts'
import { newDatabasePassword } from './password.ts'
import {
  readWishes,
  recordedProject,
  type SupabaseStep,
  type SupabaseStepContext,
  type Wishes,
} from './step.ts'

/** A project in one of these becomes nothing else by itself. */
const LOST = ['INIT_FAILED', 'RESTORE_FAILED', 'PAUSE_FAILED', 'GOING_DOWN', 'REMOVED']
/** Of a project that takes long, the next look comes after a part of the time that it has taken. */
const PART_OF_TIME = 1 / 20
const LONGEST_PAUSE_SECONDS = 900
/** To find out whether the direct host can be reached, which has no IPv4 address unless one is paid for. */
const REACH_MS = 2_000
/** Of the shared pooler: transaction mode, and session mode beside it. */
const TRANSACTION_PORT = 6543
const SESSION_PORT = 5432

/**
 * Follows a project until it and each of its services are healthy, which takes one to three minutes as a rule. Nobody waits for it: the
 * step puts itself off and looks again. One that hangs, as some have for a week, is looked at ever less often and never given up.
 */
export const projectReady: SupabaseStep = async (context) => {
  const { tenant, supabase } = context
  const ref = recordedProject(tenant)?.externalId
  if (!ref) return { type: 'failed', failure: failure('supabase_project_gone') }
  const listed = await supabase.listedProject(ref)
  if (!listed.ok) return { type: 'failed', failure: listed.failure }
  // A list that is a few seconds old may not have a project that was made just now.
  const project = listed.value ? listed : await supabase.project(ref)
  if (!project.ok) return { type: 'failed', failure: project.failure }
  if (!project.value) return { type: 'failed', failure: failure('supabase_project_gone', ref) }
  const { status } = project.value
  if (LOST.includes(status))
    return { type: 'failed', failure: failure('supabase_project_failed', `${ref} is ${status}`) }
  if (status === 'INACTIVE') {
    const restored = await supabase.restoreProject(ref, context.assertLease)
    if (!restored.ok) return { type: 'failed', failure: restored.failure }
  }
  if (status !== 'ACTIVE_HEALTHY') return lookAgain(context, ref, status)
  const ill = await illServices(supabase, ref)
  if (!ill.ok) return { type: 'failed', failure: ill.failure }
  if (ill.value.length > 0) return lookAgain(context, ref, ill.value.join(', '))
  return finish(context, project.value)
}

/** @param state of the project, or of its services */
async function lookAgain(context: SupabaseStepContext, ref: string, state: string): Promise<StepOutcome> {
  const { sql, job, output, saveRecord } = context
  const wishes = await readWishes(sql, job.organizationId)
  const since = typeof output.comingUpSince === 'string' ? output.comingUpSince : new Date().toISOString()
  const seconds = (Date.now() - Date.parse(since)) / 1000
  const isSlow = seconds >= wishes.slowMinutes * 60
  const said = `${ref}: ${state}`
  const reason = isSlow
    ? failure('supabase_project_slow', `${said}, since ${since.slice(0, 16).replace('T', ' ')} UTC`)
    : failure('supabase_project_coming_up', said)
  if (isSlow)
    await saveRecord(sql`provisioning.record_slow_project(${job.id}, ${job.leaseToken}, ${reason.message},
      ${sql.json({ code: reason.code, ref })})`)
  return {
    type: 'deferred',
    seconds: isSlow ? pauseOf(seconds, wishes) : wishes.lookSeconds,
    reason,
    output: { comingUpSince: since, state },
  }
}

function pauseOf(seconds: number, { lookSeconds }: Wishes): number {
  return Math.min(LONGEST_PAUSE_SECONDS, Math.max(lookSeconds, seconds * PART_OF_TIME))
}

async function finish(context: SupabaseStepContext, project: ListedProject): Promise<StepOutcome> {
  const { sql, job, supabase } = context
  const { ref, region } = project
  const pooler = await supabase.pooler(ref)
  if (!pooler.ok) return { type: 'failed', failure: pooler.failure }
  const known = await knowPassword(context, ref)
  if (!known.ok) return { type: 'failed', failure: known.failure }
  const address = await addressOf(project.database.host, pooler.value)
  const { host, port, pooledHost, pooledPort } = address
  return {
    type: 'succeeded',
    output: { resourceId: ref, comingUpSince: null, state: null },
    record: sql`provisioning.record_ready_project(${job.id}, ${job.leaseToken}, ${sql.json({ ...address })},
      ${sql.json({ region, host, port, pooledHost, pooledPort, passwordUnknown: false })})`,
  }
}

/** Gives the database a password if Vault had none when the project was found. It is in Vault before it is valid. */
async function knowPassword(context: SupabaseStepContext, ref: string): Promise<Result<void>> {
  const { sql, job, tenant, supabase, assertLease } = context
  const secrets = await projectSecrets(sql, job.organizationId)
  const isUnknown = recordedProject(tenant)?.details.passwordUnknown === true
  if (secrets.databasePassword && !isUnknown) return success(undefined)
  const databasePassword = secrets.databasePassword ?? newDatabasePassword()
  await keepProjectSecrets(context, { databasePassword })
  return supabase.setDatabasePassword(ref, databasePassword, assertLease)
}

interface Address {
  readonly host: string
  readonly port: number
  readonly pooledHost: string
  readonly pooledPort: number
  readonly poolerTenant: string
  readonly databaseName: string
  readonly sslMode: string
}

/**
 * The direct host has IPv6 alone, unless its owner pays for more. Where it cannot be reached, the pooler in session mode does as well:
 * it keeps one connection of the server for each of ours.
 */
export async function addressOf(directHost: string, pooler: Pooler): Promise<Address> {
  const { db_host: pooledHost, db_port: pooledPort, db_user: user, db_name: databaseName } = pooler
  const port = pooledPort === TRANSACTION_PORT ? SESSION_PORT : pooledPort
  const host = (await isReachable(directHost, port)) ? directHost : pooledHost
  const poolerTenant = user.slice(user.indexOf('.') + 1)
  const sslMode = isLocalHost(host) ? 'disable' : 'verify-full'
  return { host, port, pooledHost, pooledPort, poolerTenant, databaseName, sslMode }
}

function isReachable(host: string, port: number): Promise<boolean> {
  return openSocket(host, port, REACH_MS).then(
    (socket) => {
      socket.destroy()
      return true
    },
    () => false,
  )
}
