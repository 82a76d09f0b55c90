import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { networkError } from '../../shared/kernel/database/socket.ts'
import { openTenantSession, type SessionLimits } from '../../shared/tenant-database/session.ts'
import { callHealth } from '../functions/health-project.ts'
import { type SignedUp, startTestProject, type TestProject } from '../support/project.ts'
import { apiConnection } from '../support/tenant-logins.ts'
import { recordOf, shout } from './attacks.ts'
import { asOwner, retryNeon, whileOthersAreFine } from './tenants.ts'

const MEGABYTE = 2 ** 20

let project: TestProject
let tenant: SignedUp
let neighbour: SignedUp

beforeAll(async () => {
  project = await startTestProject({ settings: { max_step_attempts: 1, health_requests_per_minute: 1000 } })
  ;[tenant, neighbour] = [await project.signUp(), await project.signUp()]
  for (const { organizationId } of [tenant, neighbour]) await project.waitFor(organizationId)
  await callHealth(project, { organizationId: tenant.organizationId })
})

afterAll(() => project?.stop())

/** As the role that Neon's API has made: the record of the schema files is in a schema of ours, where no tenant replaces it. */
async function asOurs(statements: string): Promise<void> {
  const sql = await apiConnection(project, tenant.organizationId)
  await sql.unsafe(statements).finally(() => sql.end({ timeout: 1 }))
}

const besideOthers = <T>(attack: () => Promise<T>) => whileOthersAreFine(project, { neighbour }, attack)

const memory = () => project.services.gateway.functions.memoryMb('provision-tenant-resources')

describe('a tenant that answers with far more than was asked for', () => {
  it.each([
    [
      '300 MB in one row',
      "select 1 as version, repeat('a', 300000000) as checksum",
      // A busy server may need longer for it than the 5 s that it has.
      expect.stringMatching(/^tenant_database_(answer_too_large|too_slow)$/),
    ],
    [
      '100 million rows',
      "select generate_series(1, 100000000) as version, repeat('a', 64) as checksum",
      'tenant_database_answer_too_large',
    ],
    [
      '100 million rows that take their time',
      "select g as version, repeat('a', 64) as checksum from generate_series(1, 100000000) g",
      'tenant_database_too_slow',
    ],
  ])('(%s) fails alone, and no process needs memory for it', async (_what, query, code) => {
    await asOurs(recordOf(query))
    const memoryBefore = (await memory()) ?? 0
    const [reply, health] = await besideOthers(() =>
      Promise.all([
        retryNeon(project, tenant),
        callHealth(project, { organizationId: tenant.organizationId, deep: true }),
      ]),
    )
    expect(reply.body).toMatchObject({ status: 'failed' })
    const { steps } = await project.provisioning(tenant.organizationId)
    expect(steps.tenant_schema?.error).toMatchObject({ code })
    expect(health.body).toMatchObject({ status: 'healthy' })
    expect((await memory()) ?? 0).toBeLessThan(memoryBefore + 60)
  })

  it('with rows that cannot be ours is not believed', async () => {
    await asOurs(recordOf("select 2147483647 as version, 'x'::text as checksum"))
    await besideOthers(() => retryNeon(project, tenant))
    const { steps } = await project.provisioning(tenant.organizationId)
    expect(steps.tenant_schema?.error).toMatchObject({ code: 'tenant_schema_unreadable' })
  })
})

describe('a tenant whose trigger raises an error that is very long', () => {
  // The shorter one is read to its end, and looked at for secrets; the longer one is cut off while it comes.
  it.each([
    [200_000, 'tenant_people_refused'],
    [400_000, 'tenant_database_answer_too_large'],
  ])(
    '(%s letters) fails alone, with few words, and keeps nobody’s sign-up waiting',
    async (letters, code) => {
      const person = await project.signUp()
      await project.waitFor(person.organizationId)
      await asOwner(project, person.organizationId, (sql) => sql.unsafe(shout(letters)))
      const replies = await whileOthersAreFine(
        project,
        { neighbour, signUps: 3, readyWithinMs: 8_000 },
        async () => [await retryNeon(project, person), await retryNeon(project, person)],
      )
      expect(replies.map(({ body }) => body?.status)).toEqual(['failed', 'failed'])
      const { steps } = await project.provisioning(person.organizationId)
      expect(steps.tenant_schema?.error).toMatchObject({ code })
      expect(steps.tenant_schema?.error?.message.length).toBeLessThan(1_000)
    },
  )
})

describe('a session with a tenant’s database', () => {
  const limits: SessionLimits = {
    connectMs: 2_000,
    lifeMs: 1_500,
    maxBytes: 64 * 1024,
    statementMs: 500,
    lockMs: 300,
  }
  const open = (through: 'direct' | 'pooled' = 'direct', databaseName = 'template1') =>
    openTenantSession(
      {
        host: '127.0.0.1',
        pooledHost: '127.0.0.1',
        port: inject('postgresPort'),
        databaseName,
        roleName: 'postgres',
        sslMode: 'disable',
      },
      'postgres',
      through,
      limits,
    )

  it.each([
    ['a row', `select repeat('a', ${MEGABYTE})`, 'ANSWER_TOO_LARGE'],
    ['rows', `select repeat('a', 100) from generate_series(1, 10000)`, 'ANSWER_TOO_LARGE'],
    ['empty rows', 'select from generate_series(1, 100000)', 'ANSWER_TOO_LARGE'],
    ['an error', `do $$ begin raise exception '%', repeat('a', ${MEGABYTE}); end $$`, 'ANSWER_TOO_LARGE'],
    [
      'a name of a column',
      `select 1 as "${'a'.repeat(60)}" from generate_series(1, 100000)`,
      'ANSWER_TOO_LARGE',
    ],
    ['time', 'select pg_sleep(10)', '57014'],
    ['time, in spite of its own settings', 'set statement_timeout = 0; select pg_sleep(10)', 'DEADLINE'],
  ])('is cut when it costs too much: %s', async (_what, statement, code) => {
    const session = open()
    const startedAt = performance.now()
    await expect(session.sql.unsafe(statement)).rejects.toMatchObject({ code })
    expect(performance.now() - startedAt, 'not the ten seconds of the statement').toBeLessThan(8_000)
    await session.close()
  })

  it('finds the catalogue in spite of temporary tables and types with the names of its own', async () => {
    const session = open('direct', new URL(project.databaseUrl()).pathname.slice(1))
    await session.sql.unsafe(
      `create temporary table pg_class (relname text); create domain pg_temp.regnamespace as text`,
    )
    const rows =
      await session.sql`select pg_typeof('public'::regnamespace)::text as type, count(*) > 100 as whole from pg_class`
    expect(rows).toEqual([{ type: 'regnamespace', whole: true }])
    await session.close()
  })

  it('is cut by whoever opened it, whatever the server is at, and does not come again', async () => {
    const session = open('pooled')
    const statement = session.sql`select pg_sleep(10)`.catch((error: unknown) => error)
    await new Promise((resolve) => setTimeout(resolve, 200))
    session.cut(networkError('CUT', 'enough'))
    expect(await statement).toMatchObject({ code: 'CUT' })
    await expect(session.sql`select 1`).rejects.toMatchObject({ code: 'CONNECTION_CLOSED' })
    await session.close()
  })
})
