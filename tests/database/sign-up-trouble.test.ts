import type postgres from 'postgres'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { signUp } from '../support/sign-up.ts'
import { blocked } from './blocked.ts'
import { queuedDoorbells } from './doorbells.ts'
import { createTenant, only, openProject, type Project, refusal } from './project.ts'

// Each test breaks the database in its own way, so each has one of its own.
let project: Project

beforeEach(async () => {
  project = await openProject()
})

afterEach(async () => {
  await project.close()
})

interface Trouble {
  readonly user_id: string
  readonly sqlstate: string
  readonly message: string
  readonly attempts: number
  readonly next_attempt_at: Date
}

const troubles = () => project.sql<Trouble[]>`select * from provisioning.sign_up_failures`

async function hasTenant(userId: string): Promise<boolean> {
  const { complete } = only(
    await project.sql<{ complete: boolean }[]>`
      select exists (
        select from public.profiles p
        join public.organization_members m on m.user_id = p.id and m.organization_id = p.organization_id
        join public.wallets w on w.user_id = p.id
        join public.provisioning_jobs j on j.organization_id = p.organization_id and j.kind = 'provision'
        where p.id = ${userId} and m.role = 'owner') as complete`,
  )
  return complete
}

async function rowsLeftBehind(): Promise<number> {
  const { count } = only(
    await project.sql<{ count: number }[]>`
      select (select count(*) from public.organizations)::int + (select count(*) from public.profiles)::int
        + (select count(*) from public.provisioning_jobs)::int as count`,
  )
  return count
}

/** Seconds that a piece of work took. */
async function secondsOf(work: Promise<unknown>): Promise<number> {
  const started = performance.now()
  await work
  return (performance.now() - started) / 1000
}

const sweep = () => project.sql`select provisioning.sweep()`
const removeSecret = (name: string) => project.sql`delete from vault.secrets where name = ${name}`

describe('when provisioning cannot work', () => {
  it.each([
    [
      'a table is missing',
      'alter table public.wallets rename to purses',
      'alter table purses rename to wallets',
      '42P01',
    ],
    [
      'a constraint refuses the row',
      'alter table public.wallets add constraint broken check (false) not valid',
      'alter table public.wallets drop constraint broken',
      '23514',
    ],
    [
      'a right is revoked',
      'revoke insert on public.profiles from postgres',
      'grant insert on public.profiles to postgres',
      '42501',
    ],
    [
      'a function is missing',
      'alter function provisioning.free_slug(text) rename to lost',
      'alter function provisioning.lost(text) rename to free_slug',
      '42883',
    ],
    [
      'the settings are empty',
      'create table public.kept as table provisioning.settings; delete from provisioning.settings',
      'insert into provisioning.settings table public.kept',
      '23502',
    ],
  ])('because %s, the sign-up succeeds and the sweep mends it', async (_, breakage, mending, sqlstate) => {
    await project.sql.unsafe(breakage)
    const { id } = await signUp(project.auth)
    expect(only(await troubles())).toMatchObject({ user_id: id, sqlstate, attempts: 1 })
    expect(await rowsLeftBehind(), 'half a tenant must not stay').toBe(0)

    await project.sql.unsafe(mending)
    await sweep()
    expect([...(await troubles())]).toEqual([])
    expect(await hasTenant(id)).toBe(true)
  })

  it('and the trouble cannot even be recorded, the sign-up succeeds', async () => {
    await project.sql.unsafe(`
      alter table public.wallets rename to purses; alter table provisioning.sign_up_failures rename to lost`)
    const { id } = await signUp(project.auth)
    expect((await project.sql`select from auth.users where id = ${id}`).count).toBe(1)
    expect(await rowsLeftBehind()).toBe(0)
  })

  it('one sign-up of several in a statement does not take the others with it', async () => {
    await project.sql.unsafe(`
      alter table public.organizations add constraint broken check (name <> 'Bad') not valid`)
    const names = ['Good', 'Bad', 'Better']
    const users = await project.auth<{ id: string; name: string }[]>`
      insert into users (id, email, raw_user_meta_data)
      select gen_random_uuid(), name || '@example.com', jsonb_build_object('organization_name', name)
      from unnest(${names}::text[]) name returning id, raw_user_meta_data ->> 'organization_name' as name`
    for (const { id, name } of users) expect(await hasTenant(id), name).toBe(name !== 'Bad')
    expect(await troubles()).toHaveLength(1)
  })

  it('the sweep tries ever less often, and says what the newest trouble is', async () => {
    await project.sql`alter table public.wallets rename to purses`
    await signUp(project.auth)
    const seconds: number[] = []
    for (const attempts of [2, 3, 4]) {
      await project.sql`update provisioning.sign_up_failures set next_attempt_at = now()`
      await sweep()
      const trouble = only(await troubles())
      expect(trouble.attempts).toBe(attempts)
      seconds.push((trouble.next_attempt_at.getTime() - Date.now()) / 1000)
    }
    expect(seconds.map((value) => Math.round(value / 10) * 10)).toEqual([20, 40, 80])
    await sweep()
    expect(only(await troubles()).attempts, 'not due yet').toBe(4)
  })

  it('a sweep mends no more sign-ups than settings.sweep_repairs', async () => {
    await project.sql`update provisioning.settings set sweep_repairs = 2`
    await project.sql`alter table public.wallets rename to purses`
    for (let user = 0; user < 5; user++) await signUp(project.auth)
    await project.sql`alter table purses rename to wallets`
    const left: number[] = []
    for (let sweeps = 0; sweeps < 3; sweeps++) {
      await sweep()
      left.push((await troubles()).length)
    }
    expect(left).toEqual([3, 1, 0])
  })

  it('one user who cannot be mended does not keep the others from it', async () => {
    await project.sql`alter table public.wallets rename to purses`
    const { id: bad } = await signUp(project.auth)
    const { id: good } = await signUp(project.auth)
    await project.sql`alter table purses rename to wallets`
    await project.sql.unsafe(
      `alter table public.wallets add constraint broken check (user_id <> '${bad}') not valid`,
    )
    await sweep()
    expect(await hasTenant(good)).toBe(true)
    expect(only(await troubles())).toMatchObject({ user_id: bad, sqlstate: '23514' })
  })

  it('a record of a user who is gone goes with them', async () => {
    await project.sql`alter table public.wallets rename to purses`
    const { id } = await signUp(project.auth)
    await project.sql`alter table purses rename to wallets`
    await project.auth`delete from users where id = ${id}`
    expect([...(await troubles())]).toEqual([])
  })
})

describe('when the user is deleted while the sweep repairs them', () => {
  it('the deletion waits for the repair, and then undoes it', async () => {
    await project.sql`alter table public.wallets rename to purses`
    const { id } = await signUp(project.auth)
    await project.sql`alter table purses rename to wallets`
    // Only the test's own locks decide who waits for whom, and for how long.
    await project.sql`alter function provisioning.try_to_provision_user(uuid, text) set lock_timeout = '0'`
    const holder = await project.sql.reserve()
    await holder`begin`
    await holder`select pg_advisory_xact_lock(hashtextextended(${id}, 7222))`
    const repair = project.sql<{ repaired: number }[]>`
      select provisioning.repair_sign_ups(10) as repaired`.execute()
    await blocked(project, 1)
    const deletion = project.auth`delete from users where id = ${id}`.execute()
    await blocked(project, 2)
    await holder`commit`
    holder.release()
    const [repaired] = await Promise.all([repair, deletion])
    expect(only(repaired).repaired).toBe(1)
    expect([...(await troubles())]).toEqual([])
    expect(await project.sql`select from public.provisioning_jobs where kind = 'deprovision'`).toHaveLength(1)
  })
})

describe('when the doorbell cannot ring', () => {
  const problem = async () =>
    only(await project.sql<{ problem: string | null }[]>`select problem from provisioning.dispatch_state`)
      .problem

  it("because Vault lacks the functions' address, the job waits and says why, and rings once it is there", async () => {
    await removeSecret('functions_base_url')
    const { user, jobId } = await createTenant(project)
    expect(await hasTenant(user.id)).toBe(true)
    expect(await queuedDoorbells(project.sql)).toEqual([])

    await sweep()
    const lastError = async () =>
      only(
        await project.sql<{ last_error: { code: string; message: string } | null }[]>`
          select last_error from public.provisioning_jobs where id = ${jobId}`,
      ).last_error
    expect(await lastError()).toMatchObject({
      code: 'dispatch_unavailable',
      message: expect.stringContaining('functions_base_url'),
    })
    expect(await problem()).toContain('functions_base_url')
    expect(await queuedDoorbells(project.sql)).toEqual([])

    await project.sql`select vault.create_secret('https://functions.example/v1/', 'functions_base_url')`
    await sweep()
    expect(await queuedDoorbells(project.sql)).toMatchObject([
      { url: 'https://functions.example/v1/provision-tenant-resources' },
    ])
    expect(await problem()).toBeNull()
  })

  it('because Vault lacks the doorbell key, nothing unsigned is sent', async () => {
    await removeSecret('provisioning_doorbell_key')
    const { user } = await createTenant(project)
    expect(await hasTenant(user.id)).toBe(true)
    await sweep()
    expect(await problem()).toContain('provisioning_doorbell_key')
    expect(await queuedDoorbells(project.sql)).toEqual([])
  })

  it('because Vault cannot decrypt, the sign-up makes everything else', async () => {
    await project.superuser`update vault.secrets set secret = 'bm9uc2Vuc2U=' where name = 'functions_base_url'`
    const { id } = await signUp(project.auth)
    expect([...(await troubles())]).toEqual([])
    expect(await hasTenant(id)).toBe(true)
  })

  it('because Vault cannot decrypt, the sweep still mends sign-ups and says what is wrong', async () => {
    await project.sql`alter table public.wallets rename to purses`
    const { id } = await signUp(project.auth)
    await project.sql`alter table purses rename to wallets`
    await project.superuser`update vault.secrets set secret = 'bm9uc2Vuc2U=' where name = 'functions_base_url'`
    await sweep()
    expect(await hasTenant(id)).toBe(true)
    expect(await problem()).toBe(
      'The address of the functions is in Vault, which cannot decrypt it (functions_base_url).',
    )
  })

  it.each([
    ['is not installed', 'drop extension pg_net cascade'],
    ['may not be used', 'revoke all on schema net from public; revoke all on schema net from postgres'],
    ['has no queue', 'alter table net.http_request_queue rename to lost'],
  ])('because pg_net %s, the sign-up makes everything else', async (_, breakage) => {
    await project.superuser.unsafe(breakage)
    const { user } = await createTenant(project)
    expect(await hasTenant(user.id)).toBe(true)
    expect([...(await troubles())]).toEqual([])
    await sweep()
  })
})

describe('when something of ours is locked', () => {
  it.each(['organizations', 'wallets'])(
    '(%s) the sign-up gives up on it after about two seconds, and the sweep makes up for it',
    async (table) => {
      const user = { id: crypto.randomUUID() }
      await project.sql.begin(async (tx) => {
        await tx`lock table ${tx(`public.${table}`)} in access exclusive mode`
        expect(await secondsOf(signUp(project.auth, user))).toBeLessThan(6)
      })
      expect(only(await troubles())).toMatchObject({ user_id: user.id, sqlstate: '55P03' })
      await sweep()
      expect(await hasTenant(user.id)).toBe(true)
    },
  )

  it('the confirmation of an address does not wait for it either', async () => {
    const { id } = await signUp(project.auth, { emailConfirmed: false })
    await project.sql.begin(async (tx) => {
      await tx`lock table public.profiles in access exclusive mode`
      const confirmation = project.auth`update users set email_confirmed_at = now() where id = ${id}`
      const done = await Promise.race([
        confirmation.then(() => true),
        new Promise<boolean>((resolve) => setTimeout(() => resolve(false), 6000)),
      ])
      if (!done) confirmation.cancel()
      await confirmation.catch(() => undefined)
      expect(done, 'the confirmation went through while the table was locked').toBe(true)
    })
  })

  it('a change of address that met a lock is made up for by the sweep', async () => {
    const { id } = await signUp(project.auth)
    const email = `new.${id}@example.com`
    await project.sql.begin(async (tx) => {
      await tx`lock table public.profiles in access exclusive mode`
      const change = project.auth`update users set email = ${email} where id = ${id}`
      const timer = setTimeout(() => change.cancel(), 6000)
      await change.catch(() => undefined)
      clearTimeout(timer)
    })
    await project.sql`update provisioning.sign_up_failures set next_attempt_at = now()`
    await sweep()
    expect(only(await project.sql`select email from auth.users where id = ${id}`)).toEqual({ email })
    expect(only(await project.sql`select email from public.profiles where id = ${id}`)).toEqual({ email })
  })
})

it('whoever begins to provision a user waits for Auth that holds them, and not the other way round', async () => {
  const { user, jobId } = await createTenant(project)
  let begun: Promise<unknown> = Promise.resolve()
  await project.superuser.begin(async (tx) => {
    await tx`select from auth.users where id = ${user.id} for update`
    begun = project.sql`select provisioning.begin_provisioning(${jobId})`.execute()
    await blocked(project, 1)
    await tx`set local lock_timeout = '500ms'`
    await tx`update auth.users set email = 'changed.' || email where id = ${user.id}`
  })
  await begun
  const { email } = only(
    await project.sql<{ email: string }[]>`select email from auth.users where id = ${user.id}`,
  )
  expect(only(await project.sql`select email from public.profiles where id = ${user.id}`)).toEqual({ email })
})

it('nor does the deletion of an account meet a worker that is just beginning, each waiting for the other', async () => {
  const { user, jobId } = await createTenant(project)
  await project.sql`update public.provisioning_jobs set next_attempt_at = now() - interval '1 day' where id = ${jobId}`
  const { token } = only(
    await project.sql<{ token: string }[]>`
      select lease_token as token from provisioning.claim_jobs('{provision}', 1) where job_id = ${jobId}`,
  )
  let prepared: Promise<unknown> = Promise.resolve()
  await project.auth.begin(async (tx) => {
    // Auth's soft deletion changes the phone number too, which is a key: nobody else may even refer to the row then.
    await tx`update users set phone = ${user.id} where id = ${user.id}`
    prepared = project.sql`select provisioning.prepare_job(${jobId}, ${token})`.catch((error) => error)
    await blocked(project, 1)
    await tx`update users set deleted_at = now() where id = ${user.id}`
  })
  // The removal has taken the lease away.
  expect(await prepared).toMatchObject({ code: 'TP001' })
  expect(await project.sql`select from public.organizations where owner_id = ${user.id}`).toEqual([])
})

describe('when a sign-up takes longer than its statement may', () => {
  const slow = (seconds: number) =>
    project.sql.unsafe(`
      create or replace function provisioning.free_slug(p_name text) returns text language plpgsql set search_path = '' as $$
      begin
        perform pg_sleep(${seconds});
        return 'slow-' || gen_random_uuid();
      end $$`)
  /** Shorter than our own wait for a lock, and long enough for what comes before the trigger, also on a loaded machine. */
  const TIMEOUT = '1500ms'
  /** A connection of Auth whose statements may take so long. */
  async function withTimeout<T>(
    timeout: string,
    work: (auth: postgres.ReservedSql) => Promise<T>,
  ): Promise<T> {
    const auth = await project.auth.reserve()
    await auth.unsafe(`set statement_timeout = '${timeout}'`)
    try {
      return await work(auth)
    } finally {
      await auth`reset statement_timeout`
      auth.release()
    }
  }

  it('the sign-up succeeds, and the sweep makes up for what is missing', async () => {
    await slow(20)
    const user = { id: crypto.randomUUID() }
    expect(await secondsOf(withTimeout(TIMEOUT, (auth) => signUp(auth, user)))).toBeLessThan(10)
    expect(only(await troubles())).toMatchObject({ user_id: user.id, sqlstate: '57014', attempts: 1 })
    expect(await rowsLeftBehind(), 'half a tenant must not stay').toBe(0)
    await slow(0)
    await sweep()
    expect([...(await troubles())]).toEqual([])
    expect(await hasTenant(user.id)).toBe(true)
  })

  it('a lock that is held longer is no reason to fail either', async () => {
    const user = { id: crypto.randomUUID() }
    await project.sql.begin(async (tx) => {
      await tx`lock table public.wallets in access exclusive mode`
      await withTimeout(TIMEOUT, (auth) => signUp(auth, user))
    })
    expect(only(await troubles())).toMatchObject({ user_id: user.id, sqlstate: '57014' })
  })

  it('what a sign-up waited for before it ran counts as its time too', async () => {
    const user = { id: crypto.randomUUID() }
    await project.sql.begin(async (tx) => {
      await tx`lock table public.wallets in access exclusive mode`
      await withTimeout(TIMEOUT, async (auth) => {
        const locked = Promise.withResolvers<void>()
        const briefly = project.superuser.begin(async (other) => {
          await other`lock table auth.users in access exclusive mode`
          locked.resolve()
          await other`select pg_sleep(0.7)`
        })
        await locked.promise
        await signUp(auth, user)
        await briefly
      })
    })
    expect(only(await troubles())).toMatchObject({ user_id: user.id, sqlstate: '57014' })
  })

  it('the users who follow in the same statement are left to the sweep at once', async () => {
    await slow(1)
    const ids = Array.from({ length: 20 }, () => crypto.randomUUID())
    const insert = withTimeout(
      TIMEOUT,
      (auth) =>
        auth`insert into users (id, email) select id, id || '@example.com' from unnest(${ids}::uuid[]) id`,
    )
    expect(await secondsOf(insert), 'not a second for each').toBeLessThan(10)
    expect((await project.sql`select from auth.users`).count).toBe(20)
    expect((await troubles()).length).toBeGreaterThanOrEqual(18)
    await slow(0)
    await sweep()
    for (const id of ids) expect(await hasTenant(id)).toBe(true)
  })

  it('a change of the user goes through as well', async () => {
    const { id } = await signUp(project.auth)
    await project.sql.begin(async (tx) => {
      await tx`lock table public.profiles in access exclusive mode`
      await withTimeout(
        TIMEOUT,
        (auth) => auth`update users set email = ${`new.${id}@example.com`} where id = ${id}`,
      )
    })
    expect(only(await troubles())).toMatchObject({ user_id: id, sqlstate: '57014' })
    await sweep()
    expect(only(await project.sql`select email from public.profiles where id = ${id}`).email).toBe(
      `new.${id}@example.com`,
    )
  })

  it.each(['0', '1min'])(
    'a client that gives up ends it, as it always did (statement_timeout %s)',
    async (timeout) => {
      await slow(20)
      const user = { id: crypto.randomUUID() }
      await withTimeout(timeout, async (auth) => {
        const { pid } = only(await auth<{ pid: number }[]>`select pg_backend_pid() as pid`)
        const signedUp = refusal(signUp(auth, user))
        await expect
          .poll(
            async () =>
              (
                await project.superuser`select from pg_stat_activity where pid = ${pid} and wait_event = 'PgSleep'`
              ).count,
          )
          .toBe(1)
        await project.superuser`select pg_cancel_backend(${pid})`
        expect(await signedUp).toBe('57014')
      })
      expect(await project.sql`select from auth.users where id = ${user.id}`).toHaveLength(0)
      expect([...(await troubles())]).toEqual([])
    },
  )
})
