import { type EndingLogin, endLogins } from '../../tenant-database/end-logins.ts'
import { nextLogin, OUR_LOGINS, shownLogin } from '../../tenant-database/roles.ts'
import { asAdmin } from './as-admin.ts'
import { connectAs } from './as-login.ts'
import { renewLogins } from './renew-logins.ts'
import type { DatabaseStep, DatabaseStepContext } from './step.ts'

const LEFT_ASLEEP = { type: 'succeeded', output: { left: 'asleep' } } as const

/** Does the work unless nobody waits for it and it would wake the database. The sweep comes back to it. */
const unlessAsleep =
  (mayWait: (context: DatabaseStepContext) => boolean, step: DatabaseStep): DatabaseStep =>
  async (context) => {
    if (!mayWait(context)) return step(context)
    const awake = await context.hosted.isAwake()
    if (!awake.ok) return { type: 'failed', failure: awake.failure }
    return awake.value ? step(context) : LEFT_ASLEEP
  }

const isScheduled = ({ job }: DatabaseStepContext) => job.request.scheduled === true

/**
 * Gives the login whose turn it is a password, tries it as an application would, and only then shows it in the place of the other
 * one, in the statement that ends the step. Until then people have the present login, and whatever an interrupted attempt has
 * made of the next one is made anew.
 */
export const newLogin = unlessAsleep(isScheduled, async (context) => {
  const shown = shownLogin(context.tenant)
  const next = nextLogin(shown)
  // The name of the present one stays in the record, and its roles are left alone.
  const made = await renewLogins(context, [next], next, null)
  if (!made.ok) return { type: 'failed', failure: made.failure }
  const connected = await connectAs(context, next, 'pooled')
  if (!connected.ok) return { type: 'failed', failure: connected.failure }
  const { sql, job } = context
  return {
    type: 'succeeded',
    output: { login: next, former: shown },
    record: sql`provisioning.show_login(${job.id}, ${job.leaseToken}, ${next})`,
  }
})

/**
 * The tenant's server refuses the former password from its end on, even if the database sleeps until then. A step of its own, that
 * comes after the new login is shown: were it never reached, two passwords would be valid for longer, and never none.
 */
export const limitFormerLogin: DatabaseStep = async (context) =>
  end(context, await endingLogins(context, false))

/**
 * Ends logins whose time is over, with their sessions, in a database that is awake: one that sleeps has no sessions, and is woken
 * only for somebody who ends a login before its time.
 */
export const endDueLogins = unlessAsleep(
  ({ job }) => job.request.wakes !== true,
  async (context) => end(context, await endingLogins(context, true)),
)

/** Our own logins get other passwords. Nobody keeps a connection of theirs, and who is refused reads the password again. */
export const renewOwnLogins = unlessAsleep(isScheduled, async (context) => {
  const made = await renewLogins(context, OUR_LOGINS, shownLogin(context.tenant), null)
  if (!made.ok) return { type: 'failed', failure: made.failure }
  const { sql, job } = context
  return {
    type: 'succeeded',
    output: { renewed: OUR_LOGINS.length },
    record: sql`provisioning.record_own_logins(${job.id}, ${job.leaseToken})`,
  }
})

async function end(context: DatabaseStepContext, logins: readonly (EndingLogin & { over: boolean })[]) {
  const done = logins.length > 0 ? await asAdmin(context, (sql) => endLogins(sql, logins)) : undefined
  if (done?.ok === false) return { type: 'failed', failure: done.failure } as const
  const { sql, job } = context
  const ended = logins.filter(({ over }) => over).map(({ login }) => login)
  return {
    type: 'succeeded',
    output: { ended },
    record: sql`provisioning.record_ended_logins(${job.id}, ${job.leaseToken}, ${ended})`,
  } as const
}

async function endingLogins(
  { sql, tenant }: DatabaseStepContext,
  overOnly: boolean,
): Promise<readonly (EndingLogin & { over: boolean })[]> {
  return sql<(EndingLogin & { over: boolean })[]>`
    select login, to_json(ends_at) #>> '{}' as "endsAt", ends_at <= now() as over from provisioning.tenant_logins
    where organization_id = ${tenant.organizationId} and ended_at is null
      and (ends_at <= now() or access_role is null and not ${overOnly})
    order by login`
}
