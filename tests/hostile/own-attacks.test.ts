import { connect, type Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createProjectKeys } from '../../local/gateway/keys.ts'
import { only } from '../database/project.ts'
import { EVERY_FUNCTION } from '../functions/every-function.ts'
import { ask, bearer, post } from '../functions/graphql-client.ts'
import { forge } from '../support/bad-tokens.ts'
import { type SignedUp, startTestProject, type TestProject } from '../support/project.ts'
import { apiConnection } from '../support/tenant-logins.ts'
import { retryNeon, whileOthersAreFine } from './tenants.ts'

/**
 * What the owner of a tenant can try with a token, or with the own database. docs/security.md lists them. Each leaves somebody
 * else's sign-up, somebody else's health and every process as they are.
 */

let project: TestProject
let mallory: SignedUp
let neighbour: SignedUp

beforeAll(async () => {
  project = await startTestProject({ settings: { max_step_attempts: 1, health_requests_per_minute: 1000 } })
  mallory = await project.signUp()
  neighbour = await project.signUp()
  for (const { organizationId } of [mallory, neighbour]) await project.waitFor(organizationId)
  // Every process is there before anything is attacked.
  await Promise.all(
    EVERY_FUNCTION.map((name) =>
      fetch(`${project.services.url}/functions/v1/${name}`, { method: 'OPTIONS' }),
    ),
  )
})

afterAll(() => project?.stop())

const besideOthers = <T>(attack: () => Promise<T>) => whileOthersAreFine(project, { neighbour }, attack)

/** Through the Data API, as Mallory. */
const times = <T>(count: number, work: (n: number) => Promise<T>) =>
  Promise.all(Array.from({ length: count }, (_, n) => work(n)))

describe('the owner of a tenant', () => {
  it('1. searches for a text of a megabyte, and keeps no processor of the database busy', async () => {
    const answers = await besideOthers(() =>
      times(4, async (n) =>
        mallory.client.rpc('search_profiles', { query: 'ab'[n % 2]?.repeat(1_000_000) ?? '' }),
      ),
    )
    expect(answers.map(({ error }) => error)).toEqual([null, null, null, null])
  })

  it('2. renames the organization again and again, and is stopped before its history slows its errors down', async () => {
    const rename = (n: number) =>
      mallory.client
        .from('organizations')
        .update({ name: `Name ${n}` })
        .eq('id', mallory.organizationId)
    const answers = await besideOthers(async () => {
      const all: Awaited<ReturnType<typeof rename>>[] = []
      for (let n = 0; n < 60; n += 1) all.push(await rename(n))
      return all
    })
    const refused = answers.filter(({ error }) => error)
    expect(refused.map(({ error }) => error?.code)).toEqual(refused.map(() => 'PT429'))
    expect(answers.length - refused.length).toBe(50)
    expect(
      only(
        await project.sql`select cardinality(provisioning.names_of_organization(${mallory.organizationId})) < 70 as few`,
      ),
    ).toEqual({ few: true })
  })

  it('3. has a name of 16 MB when the account is removed, which is done as for everybody else', async () => {
    const giant = await project.signUp()
    await project.waitFor(giant.organizationId)
    await project.superuser`update auth.users set raw_user_meta_data =
      jsonb_build_object('full_name', repeat('y(é', 5000000)) where id = ${giant.userId}`
    await project.sql`select provisioning.record_event(${giant.organizationId}, null, 'step.failed', 'x', 'failed',
      p_error_message => 'An error.')`
    const { error } = await besideOthers(() => project.admin.auth.admin.deleteUser(giant.userId))
    expect(error).toBeNull()
    expect(
      await project.sql`select from public.organizations where id = ${giant.organizationId}`,
    ).toHaveLength(0)
  })

  it('4. signs up with metadata that is nested as deep as a parser goes', async () => {
    const deep = (levels: number) => '['.repeat(levels) + ']'.repeat(levels)
    await besideOthers(async () => {
      for (const levels of [100, 3_000]) {
        const id = crypto.randomUUID()
        await project.superuser`
          insert into auth.users (id, aud, role, email, raw_app_meta_data, raw_user_meta_data, email_confirmed_at)
          values (${id}, 'authenticated', 'authenticated', ${`${id}@example.com`}, '{}',
            ${`{"full_name": ${deep(levels)}, "organization_name": ${deep(levels)}, "avatar_url": ${deep(levels)}}`}::text::jsonb,
            now())`
        const { name, full_name: fullName } = only(
          await project.sql`select o.name, p.full_name from public.organizations o
            join public.profiles p on p.organization_id = o.id where o.owner_id = ${id}`,
        )
        // What is no text names nobody, so that the organization is called after the address.
        expect({ name, fullName }).toEqual({ name: id, fullName: null })
      }
    })
  })

  it('5. comes with a token whose claims are as large as a header may be, or larger', async () => {
    const forger = {
      genuine: mallory.accessToken,
      keys: project.keys,
      otherProject: await createProjectKeys(),
    }
    const statuses = await besideOthers(async () => {
      const answers: number[] = []
      for (const size of [8_000, 1_000_000]) {
        const token = await forge(forger, { user_metadata: { full_name: 'z'.repeat(size) } })
        const reply = await ask(project, bearer(token), '{ myOrganizations { id } }').then(
          ({ status }) => status,
          () => 0,
        )
        answers.push(reply)
      }
      return answers
    })
    expect(statuses[0]).toBe(200)
    expect(statuses[1]).not.toBe(200)
  })

  it('6. begins a hundred requests and never ends them', async () => {
    const { hostname, port } = new URL(project.services.url)
    const sockets: Socket[] = []
    try {
      await besideOthers(async () => {
        await times(100, (n) => {
          const name = EVERY_FUNCTION[n % EVERY_FUNCTION.length]
          const socket = connect(Number(port), hostname)
          sockets.push(socket)
          socket.on('error', () => undefined)
          return new Promise<void>((resolve) => {
            socket.on('connect', () => {
              socket.write(
                `POST /functions/v1/${name} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${mallory.accessToken}\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n{"organizationId":`,
                () => resolve(),
              )
            })
          })
        })
      })
    } finally {
      for (const socket of sockets) socket.destroy()
    }
  })

  it('7. sends operations with thousands of aliases, fragments that multiply, and lists of operations', async () => {
    const aliases = Array.from({ length: 3_000 }, (_, n) => `a${n}: myOrganizations { id }`).join(' ')
    const levels = Array.from(
      { length: 25 },
      (_, n) => `fragment f${n} on Query { ...f${n + 1} ...f${n + 1} }`,
    )
    const fragments = `{ ...f0 } ${levels.join(' ')} fragment f25 on Query { myOrganizations { id } }`
    const nested = `{ ${'myOrganizations { '.repeat(1_500)} id ${'}'.repeat(1_500)} }`
    const mine = bearer(mallory.accessToken)
    const replies = await besideOthers(async () => [
      await ask(project, mine, `{ ${aliases} }`),
      await ask(project, mine, fragments),
      await ask(project, mine, nested),
      await post(
        project,
        mine,
        JSON.stringify(Array.from({ length: 500 }, () => ({ query: '{ isOperator }' }))),
      ),
    ])
    expect(
      replies.map(({ status, data, errors, text }) =>
        data || (errors.length === 0 && status < 400) ? text : 'refused',
      ),
    ).toEqual(replies.map(() => 'refused'))
  })

  it('8. holds every connection of the own database, and fails alone', async () => {
    const name = await databaseName(mallory)
    const { superuser } = project
    await superuser`alter database ${superuser(name)} connection limit 0`
    try {
      const reply = await besideOthers(() => retryNeon(project, mallory))
      expect(reply.body).toMatchObject({ status: 'failed' })
    } finally {
      await superuser`alter database ${superuser(name)} connection limit -1`
    }
    expect((await retryNeon(project, mallory)).body).toMatchObject({ status: 'succeeded' })
  })

  it('9. changes the own account a hundred times at once', async () => {
    const answers = await besideOthers(() =>
      times(100, (n) => mallory.client.auth.updateUser({ data: { full_name: `Mallory ${n}` } })),
    )
    expect(answers.some(({ error }) => error === null)).toBe(true)
    // Each change that reaches the profile is copied into a database, by a job that stays in the history.
    expect(
      only(
        await project.sql`select cardinality(called_at) <= 50 as few from provisioning.counted_calls
          where subject = ${`changes/profile/${mallory.userId}`}`,
      ),
    ).toEqual({ few: true })
    expect(
      await project.sql`select from public.organizations where owner_id = ${mallory.userId}`,
    ).toHaveLength(1)
  })

  it('10. asks for services hundreds of times while a worker is at work, which is remembered once', async () => {
    const { jobId, organizationId } = mallory
    const { sql } = project
    await sql`update public.provisioning_jobs set status = 'running', finished_at = null where id = ${jobId}`
    await sql`insert into provisioning.job_leases (job_id, organization_id, kind, lane, works_on, token, expires_at)
      values (${jobId}, ${organizationId}, 'provision', 'request', '{}', gen_random_uuid(), now() + interval '1 hour')`
    await besideOthers(async () => {
      for (let n = 0; n < 300; n += 1)
        await sql`select provisioning.request_provisioning(${organizationId}, '{neon,stripe,neon}')`
    })
    expect(only(await sql`select rerun_services from public.provisioning_jobs where id = ${jobId}`)).toEqual({
      rerun_services: ['neon', 'stripe'],
    })
  })
})

/** As the server calls it. */
async function databaseName({ organizationId }: SignedUp): Promise<string> {
  const sql = await apiConnection(project, organizationId)
  const { name } = only(await sql`select current_database() as name`.finally(() => sql.end({ timeout: 1 })))
  return name
}
