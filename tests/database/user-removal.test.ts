import fc from 'fast-check'
import type postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { signUp } from '../support/sign-up.ts'
import { blocked } from './blocked.ts'
import { createOnlyJob, Engine } from './engine.ts'
import { fingerprint } from './fingerprint.ts'
import { createTenant, only, openProject, type Project, refusal, type Tenant } from './project.ts'

let project: Project

beforeAll(async () => {
  project = await openProject()
})

afterAll(async () => {
  await project.close()
})

const removeUser = (id: string) => project.auth`delete from users where id = ${id}`
const addMember = (organizationId: string, userId: string, role: string) => project.sql`
  insert into public.organization_members (organization_id, user_id, role) values (${organizationId}, ${userId}, ${role})`
const organization = (id: string) => project.sql`select * from public.organizations where id = ${id}`
const jobs = (organizationId: string, kind: string) => project.sql`
  select * from public.provisioning_jobs where organization_id = ${organizationId} and kind = ${kind}`
const auditOf = async (organizationId: string) =>
  (
    await project.sql<{ action: string }[]>`
      select action from public.audit_logs where organization_id = ${organizationId} order by created_at, action`
  ).map(({ action }) => action)

/** A tenant that has something outside. */
async function provisionedTenant(): Promise<Tenant & { external: Record<string, string> }> {
  const tenant = await createTenant(project, { metadata: { organization_name: 'Gone soon' } })
  const external = {
    stripe_customer_id: `cus_${tenant.organizationId}`,
    neon_project_id: `neon-${tenant.organizationId}`,
    credentials_secret_id: only(
      await project.sql<{ id: string }[]>`select vault.create_secret('hunter2') as id`,
    ).id,
  }
  const { stripe_customer_id, neon_project_id, credentials_secret_id } = external
  await project.sql`select provisioning.begin_provisioning(${tenant.jobId})`
  await project.sql`update public.organizations set stripe_customer_id = ${stripe_customer_id}
    where id = ${tenant.organizationId}`
  await project.sql`select provisioning.record_resource(${tenant.organizationId}, 'stripe_customer', 'customer',
    ${stripe_customer_id})`
  await project.sql`select provisioning.record_resource(${tenant.organizationId}, 'neon_project', 'project', ${neon_project_id})`
  await project.sql`update public.organization_databases set neon_project_id = ${neon_project_id},
    credentials_secret_id = ${credentials_secret_id} where organization_id = ${tenant.organizationId}`
  return { ...tenant, external }
}

const outside = (organizationId: string) =>
  project.sql`select kind, external_id, state, remove_at is not null as to_be_removed from public.tenant_resources
    where organization_id = ${organizationId} order by kind`

/** What it has outside when it is deleted: the project is removed after its grace, the customer is kept for the books. */
const released = (external: Record<string, string>) => [
  { kind: 'neon_project', external_id: external.neon_project_id, state: 'active', to_be_removed: true },
  { kind: 'stripe_customer', external_id: external.stripe_customer_id, state: 'kept', to_be_removed: false },
]

describe('the removal of a user whose organization has no other owner', () => {
  it('removes the organization and leaves an open job, without a name, and the ids of what exists outside', async () => {
    const { user, organizationId, jobId, external } = await provisionedTenant()
    await removeUser(user.id)
    expect(await organization(organizationId)).toHaveLength(0)
    for (const table of ['organization_members', 'organization_databases'])
      expect(
        await project.sql`select from public.${project.sql(table)} where organization_id = ${organizationId}`,
      ).toHaveLength(0)
    expect(await project.sql`select from public.profiles where id = ${user.id}`).toHaveLength(0)
    expect(await project.sql`select from public.wallets where user_id = ${user.id}`).toHaveLength(0)

    expect(only(await jobs(organizationId, 'deprovision'))).toMatchObject({
      status: 'queued',
      finished_at: null,
    })
    expect(only(await jobs(organizationId, 'deprovision')).request).toEqual({})
    expect(await outside(organizationId)).toEqual(released(external))
    expect(only(await project.sql`select status from public.provisioning_jobs where id = ${jobId}`)).toEqual({
      status: 'cancelled',
    })
    expect(await auditOf(organizationId)).toContain('organization.deleted')
  })

  it('keeps the credentials in Vault until the job has used them, and the history for good', async () => {
    const { user, organizationId, external } = await provisionedTenant()
    await removeUser(user.id)
    expect(
      await project.sql`select from vault.secrets where id = ${external.credentials_secret_id ?? ''}`,
    ).toHaveLength(1)
    expect(
      await project.sql`select from public.provisioning_events where organization_id = ${organizationId}`,
    ).toHaveLength(1)
  })

  it('takes the job away from the worker that holds it', async () => {
    const { user, jobId } = await createTenant(project)
    const token = crypto.randomUUID()
    await project.sql`update public.provisioning_jobs set status = 'running' where id = ${jobId}`
    await project.sql`insert into provisioning.job_leases (job_id, organization_id, kind, lane, works_on, token, expires_at)
      select id, organization_id, kind, lane, '{*}', ${token}, now() + interval '1 minute'
      from public.provisioning_jobs where id = ${jobId}`
    await removeUser(user.id)
    await expect(project.sql`select provisioning.extend_lease(${jobId}, ${token})`).rejects.toMatchObject({
      code: 'TP001',
    })
  })

  it.each([
    {
      how: 'deleted',
      leaves: 'nothing',
      stays: [],
      remove: (auth: postgres.ISql, id: string) => auth`delete from users where id = ${id}`,
    },
    {
      how: 'deleted softly',
      leaves: 'a wallet',
      stays: ['public.wallets'],
      remove: (auth: postgres.ISql, id: string) => auth`update users set deleted_at = now() where id = ${id}`,
    },
  ])('that is $how by the transaction that made it leaves $leaves', async ({ stays, remove }) => {
    const boss = await createTenant(project)
    const email = `${crypto.randomUUID()}@example.com`
    await project.sql`insert into provisioning.expected_members (organization_id, email, role, ends_at)
      values (${boss.organizationId}, ${email}, 'member', now() + interval '1 day')`
    // The account's own row stays after a soft deletion, the call of a worker may have been made, and nobody is expected any more.
    const left = async () => {
      const tables = Object.entries(await fingerprint(project.sql))
      return tables.filter(([name]) => !/^(auth|net)\.|expected_members$/.test(name) && !stays.includes(name))
    }
    const before = await left()
    for (const user of [{}, { email }]) {
      await project.auth.begin(async (tx) => {
        const { id } = await signUp(tx, user)
        await remove(tx, id)
      })
    }
    expect(await left()).toEqual(before)
  })

  it('that is rolled back leaves all as it was', async () => {
    const { user } = await provisionedTenant()
    const before = await fingerprint(project.sql)
    await project.auth
      .begin(async (tx) => {
        await tx`delete from users where id = ${user.id}`
        throw new Error('rolled back')
      })
      .catch(() => undefined)
    expect(await fingerprint(project.sql)).toEqual(before)
  })

  it('leaves the other members their accounts, profiles and wallets', async () => {
    await project.sql`update provisioning.settings set on_owner_deleted = 'delete'`
    onTestFinished(async () => {
      await project.sql`update provisioning.settings set on_owner_deleted = 'transfer'`
    })
    const { user, organizationId } = await createTenant(project)
    const colleague = await createTenant(project)
    await addMember(organizationId, colleague.user.id, 'admin')
    await removeUser(user.id)
    expect(await organization(organizationId)).toHaveLength(0)
    expect(
      only(await project.sql`select organization_id from public.profiles where id = ${colleague.user.id}`),
    ).toEqual({ organization_id: colleague.organizationId })
    expect(await project.sql`select from public.wallets where user_id = ${colleague.user.id}`).toHaveLength(1)
    expect(
      (
        await project.sql`select organization_id from public.organization_members where user_id = ${colleague.user.id}`
      ).map((row) => row.organization_id),
    ).toEqual([colleague.organizationId])
  })

  it('goes through for a user who never got a tenant', async () => {
    const { id } = await signUp(project.auth, { anonymous: true })
    await removeUser(id)
    expect(await project.sql`select from auth.users where id = ${id}`).toHaveLength(0)
  })

  it('that a trigger of the project turns into a soft one, or cancels, loses nothing', async () => {
    await using _ = {
      [Symbol.asyncDispose]: async () =>
        void (await project.superuser.unsafe(`
        drop trigger if exists zz_keep_user on auth.users; drop function if exists public.keep_user();`)),
    }
    await project.superuser.unsafe(`
      create function public.keep_user() returns trigger language plpgsql as $$ begin return null; end $$;
      create trigger zz_keep_user before delete on auth.users for each row execute function public.keep_user();`)
    const { user, organizationId, jobId, external } = await provisionedTenant()
    const before = await fingerprint(project.sql)
    await removeUser(user.id)
    expect(await fingerprint(project.sql)).toEqual(before)
    await project.superuser.unsafe(`
      create or replace function public.keep_user() returns trigger language plpgsql as $$
        begin update auth.users set deleted_at = now() where id = old.id; return null; end $$;`)
    await removeUser(user.id)
    expect(await organization(organizationId)).toHaveLength(0)
    expect(await outside(organizationId)).toEqual(released(external))
    expect(
      only(await project.sql`select status from public.provisioning_jobs where id = ${jobId}`).status,
    ).toBe('cancelled')
    expect(await project.sql`select from auth.users where id = ${user.id}`).toHaveLength(1)
  })

  it('of both owners in one statement removes it as well', async () => {
    const { user, organizationId } = await createTenant(project)
    const other = await createTenant(project)
    await addMember(organizationId, other.user.id, 'owner')
    await project.auth`delete from users where id in (${user.id}, ${other.user.id})`
    expect(await organization(organizationId)).toHaveLength(0)
    expect(await jobs(organizationId, 'deprovision')).toHaveLength(1)
    expect(await jobs(other.organizationId, 'deprovision')).toHaveLength(1)
  })

  it('whose undo cannot be enqueued does not happen, or what exists outside would be lost track of', async () => {
    const { user, organizationId } = await provisionedTenant()
    const rename = 'alter function provisioning.enqueue(uuid, text, jsonb, uuid, text, text) rename to lost'
    await project.sql.unsafe(rename)
    await expect(removeUser(user.id)).rejects.toMatchObject({ code: '42883' })
    await project.sql.unsafe(
      'alter function provisioning.lost(uuid, text, jsonb, uuid, text, text) rename to enqueue',
    )
    expect(await organization(organizationId)).toHaveLength(1)
    expect(await project.sql`select from auth.users where id = ${user.id}`).toHaveLength(1)
  })
})

describe('the removal of a user whose organization has another owner', () => {
  it('passes the organization on to the one who has been there longest, and says so', async () => {
    const { user, organizationId, jobId } = await provisionedTenant()
    const [newer, elder, admin] = [
      await createTenant(project),
      await createTenant(project),
      await createTenant(project),
    ]
    await addMember(organizationId, newer.user.id, 'owner')
    await addMember(organizationId, elder.user.id, 'owner')
    await addMember(organizationId, admin.user.id, 'admin')
    await project.sql`update public.organization_members set created_at = created_at - interval '1 day'
      where organization_id = ${organizationId} and user_id in (${elder.user.id}, ${admin.user.id})`
    await removeUser(user.id)

    expect(only(await organization(organizationId)).owner_id).toBe(elder.user.id)
    expect(await jobs(organizationId, 'deprovision')).toHaveLength(0)
    expect(only(await project.sql`select status from public.provisioning_jobs where id = ${jobId}`)).toEqual({
      status: 'queued',
    })
    expect(
      only(
        await project.sql`select metadata from public.audit_logs
          where organization_id = ${organizationId} and action = 'organization.owner_changed'`,
      ).metadata,
    ).toEqual({ from: user.id, to: elder.user.id })
    expect(
      (
        await project.sql`select role from public.organization_members where organization_id = ${organizationId} order by role`
      ).map((row) => row.role),
    ).toEqual(['admin', 'owner', 'owner'])
  })
})

describe('the removal of an owner', () => {
  const RANKS = ['owner', 'admin', 'member'] as const
  interface Case {
    readonly wish: 'transfer' | 'delete' | 'refuse'
    readonly soft: boolean
    /** Of the others, in the order in which they joined; those who are gone have been deleted softly. */
    readonly others: readonly { readonly role: (typeof RANKS)[number]; readonly gone: boolean }[]
  }
  const cases = fc.sample(
    fc.record<Case>({
      wish: fc.constantFrom('transfer', 'delete', 'refuse'),
      soft: fc.boolean(),
      others: fc.array(fc.record({ role: fc.constantFrom(...RANKS, 'member'), gone: fc.boolean() }), {
        maxLength: 4,
      }),
    }),
    60,
  )

  /** What is to become of the organization: the place of who inherits it, or what else happens. */
  function outcomeOf({ wish, others }: Case): number | 'removed' | 'refused' {
    const there = others.map((other, place) => ({ ...other, place })).filter(({ gone }) => !gone)
    const heirs = RANKS.filter((role) => role === 'owner' || wish === 'transfer').flatMap((rank) =>
      there.filter(({ role }) => role === rank),
    )
    return heirs[0]?.place ?? (wish === 'refuse' && there.length > 0 ? 'refused' : 'removed')
  }

  async function happens({ wish, soft, others }: Case) {
    const { user, organizationId } = await createTenant(project)
    const ids: string[] = []
    for (const [place, { role, gone }] of others.entries()) {
      const { id } = await signUp(project.auth)
      ids.push(id)
      await project.sql`insert into public.organization_members (organization_id, user_id, role, created_at)
        values (${organizationId}, ${id}, ${role}, now() + make_interval(secs => ${place}))`
      // As a trigger of the project could leave it: gone, and still a member.
      if (gone)
        await project.superuser.begin(async (tx) => {
          await tx`set local session_replication_role = replica`
          await tx`update auth.users set deleted_at = now() where id = ${id}`
        })
    }
    await project.sql`update provisioning.settings set on_owner_deleted = ${wish}`
    const code = await refusal(
      soft ? project.auth`update users set deleted_at = now() where id = ${user.id}` : removeUser(user.id),
    )
    const [row] = await organization(organizationId)
    const refused = code === 'TP452' && row?.owner_id === user.id
    const outcome = refused ? 'refused' : row ? ids.indexOf(row.owner_id) : 'removed'
    const roles = await project.sql<{ role: string }[]>`select m.role from public.organization_members m
      join public.organizations o on o.id = m.organization_id and o.owner_id = m.user_id where o.id = ${organizationId}`
    const alerts = await project.sql<
      { open: boolean }[]
    >`select resolved_at is null as open from public.tenant_alerts
      where organization_id = ${organizationId} and kind = 'owner_inherited'`
    return { code, outcome, roles: roles.map(({ role }) => role), alerts: alerts.map(({ open }) => open) }
  }

  it.each(cases)('ends as it must: %j', async (each) => {
    onTestFinished(async () => {
      await project.sql`update provisioning.settings set on_owner_deleted = 'transfer'`
    })
    const outcome = outcomeOf(each)
    const risen = typeof outcome === 'number' && each.others[outcome]?.role !== 'owner'
    expect(await happens(each)).toEqual({
      code: outcome === 'refused' ? 'TP452' : undefined,
      outcome,
      roles: outcome === 'removed' ? [] : ['owner'],
      alerts: risen ? [false] : [],
    })
  })

  it('is told to the webhook: the alert has come and gone, in this order', async () => {
    await project.sql`select vault.create_secret('http://alerts.example.com', 'alert_webhook_url')`
    onTestFinished(async () => {
      await project.sql`delete from vault.secrets where name = 'alert_webhook_url'`
    })
    const { user, organizationId } = await createTenant(project)
    await addMember(organizationId, (await signUp(project.auth)).id, 'member')
    await removeUser(user.id)
    const told = await project.sql`select d.event from provisioning.alert_deliveries d
      join public.tenant_alerts a on a.id = d.alert_id where a.organization_id = ${organizationId} order by d.created_at`
    expect(told.map(({ event }) => event)).toEqual(['opened', 'resolved'])
    const first =
      await project.sql`select payload ->> 'type' as type from provisioning.claim_alert_deliveries(10)`
    expect(first.map(({ type }) => type)).toEqual(['tenant.alert.opened'])
  })
})

describe('the removal of two owners at once', () => {
  /** Deletes the second owner in a transaction of its own, and the first while that is open. */
  async function removeBoth(
    first: Tenant,
    second: string,
    ending: 'commit' | 'rollback',
    soft = false,
  ): Promise<void> {
    await addMember(first.organizationId, second, 'owner')
    const other = await project.auth.reserve()
    await other`begin`
    if (soft) await other`update users set deleted_at = now() where id = ${second}`
    else await other`delete from users where id = ${second}`
    const removal = removeUser(first.user.id).execute()
    await blocked(project, 1)
    await other.unsafe(ending)
    other.release()
    await removal
  }

  it('removes their organization: nobody inherits who has gone by then', async () => {
    const tenant = await createTenant(project)
    const other = await createTenant(project)
    await removeBoth(tenant, other.user.id, 'commit')
    expect(await organization(tenant.organizationId)).toHaveLength(0)
    expect(await jobs(tenant.organizationId, 'deprovision')).toHaveLength(1)
    expect(await jobs(other.organizationId, 'deprovision')).toHaveLength(1)
  })

  it('removes it as well when the other deletion is a soft one', async () => {
    const tenant = await createTenant(project)
    const other = await createTenant(project)
    await removeBoth(tenant, other.user.id, 'commit', true)
    expect(await organization(tenant.organizationId)).toHaveLength(0)
  })

  it('passes it on when the other removal is taken back', async () => {
    const tenant = await createTenant(project)
    const other = await createTenant(project)
    await removeBoth(tenant, other.user.id, 'rollback')
    expect(only(await organization(tenant.organizationId)).owner_id).toBe(other.user.id)
  })
})

describe('the removal of a user whose tenant is being written to at that moment', () => {
  /** Removes the owner while `written` and `then` happen in one transaction, and the removal waits in between. */
  async function removeMeanwhile(
    { user }: Tenant,
    written: (tx: postgres.TransactionSql) => Promise<unknown>,
    then: (tx: postgres.TransactionSql) => Promise<unknown>,
  ): Promise<void> {
    let removal: Promise<string | undefined> | undefined
    await project.sql.begin(async (tx) => {
      await written(tx)
      removal = refusal(removeUser(user.id))
      await blocked(project, 1)
      expect(await refusal(then(tx))).toBeUndefined()
    })
    expect(await removal).toBeUndefined()
  }

  it('waits for the worker that records a Stripe customer, and takes the customer along', async () => {
    const tenant = await createOnlyJob(project)
    const engine = new Engine(project.sql)
    const lease = only(await engine.claim())
    await engine.start(lease, 'stripe_customer')
    await removeMeanwhile(
      tenant,
      (tx) => tx`select provisioning.record_stripe_customer(${lease.jobId}, ${lease.token}, 'cus_late')`,
      (tx) => new Engine(tx).complete(lease, 'stripe_customer', { resourceId: 'cus_late' }),
    )
    expect(await outside(tenant.organizationId)).toMatchObject([{ external_id: 'cus_late', state: 'kept' }])
  })

  it('waits for the worker also when that comes second: its lease is gone then', async () => {
    const tenant = await createOnlyJob(project)
    const engine = new Engine(project.sql)
    const lease = only(await engine.claim())
    await engine.start(lease, 'stripe_customer')
    let recorded: Promise<string | undefined> | undefined
    await project.auth.begin(async (tx) => {
      await tx`delete from users where id = ${tenant.user.id}`
      recorded = refusal(
        project.sql`select provisioning.record_stripe_customer(${lease.jobId}, ${lease.token}, 'cus_late')`,
      )
      await blocked(project, 1)
    })
    expect(await recorded).toBe('TP001')
  })

  it('waits for a request that moves the tenant to another region', async () => {
    const tenant = await createTenant(project)
    const request = (tx: postgres.TransactionSql, region: string) =>
      tx`select * from provisioning.request_provisioning(${tenant.organizationId}, p_data_region => ${region})`
    await removeMeanwhile(
      tenant,
      (tx) => request(tx, 'eu'),
      (tx) => request(tx, 'us'),
    )
    expect(await organization(tenant.organizationId)).toHaveLength(0)
  })
})

describe('where a foreign key would cost every sign-up', () => {
  it('an organization of a user who does not exist is refused, and so is one who becomes the owner', async () => {
    const { organizationId } = await createTenant(project)
    const nobody = crypto.randomUUID()
    expect(
      await refusal(project.sql`
        insert into public.organizations (name, slug, owner_id, data_region, hosting_region, provisioning_status)
        values ('Nobody’s', 'nobodys', ${nobody}, 'us-east-1', 'us-east-1', '{}')`),
    ).toBe('23503')
    const change = project.sql`update public.organizations set owner_id = ${nobody} where id = ${organizationId}`
    expect(await refusal(change)).toBe('23503')
  })

  it('nor is one made owner whom somebody else is just deleting', async () => {
    const { organizationId } = await createTenant(project)
    const leaving = await createTenant(project)
    await project.auth.begin(async (tx) => {
      await tx`delete from users where id = ${leaving.user.id}`
      const change = project.sql.begin(async (other) => {
        await other`set local lock_timeout = '200ms'`
        await other`update public.organizations set owner_id = ${leaving.user.id} where id = ${organizationId}`
      })
      expect(await refusal(change)).toBe('55P03')
    })
    const later = project.sql`update public.organizations set owner_id = ${leaving.user.id} where id = ${organizationId}`
    expect(await refusal(later)).toBe('23503')
  })

  it('an owner stays while the organization does, also without the trigger that passes it on', async () => {
    const { user, organizationId } = await createTenant(project)
    await project.superuser`alter table auth.users disable trigger "A_tenant_provisioning_user_deleted"`
    try {
      expect(await refusal(removeUser(user.id))).toBe('23503')
      await project.sql`delete from public.organizations where id = ${organizationId}`
      await removeUser(user.id)
      expect(await project.sql`select from public.wallets where user_id = ${user.id}`).toHaveLength(0)
    } finally {
      await project.superuser`alter table auth.users enable trigger "A_tenant_provisioning_user_deleted"`
    }
  })

  it.each<[string, (user: { id: string; email: string | null }) => Promise<unknown>]>([
    ['a repair', async ({ id }) => project.sql`select provisioning.ensure_user_provisioned(${id})`],
    [
      'a call for the address',
      ({ email }) => project.sql`select * from provisioning.provision_user(${email})`,
    ],
  ])(
    'no wallet is made by %s for a user whom somebody else is just deleting, who does not wait for it',
    async (_, make) => {
      const { user } = await createTenant(project)
      await project.sql`delete from public.wallets where user_id = ${user.id}`
      let made: Promise<string | undefined> | undefined
      await project.auth.begin(async (tx) => {
        // What a deletion does first. What belongs to the user comes after.
        await tx`select from users where id = ${user.id} for update`
        made = refusal(make(user))
        await blocked(project, 1)
        await tx`delete from users where id = ${user.id}`
      })
      expect(await made).toBeUndefined()
      expect(await project.sql`select from public.wallets where user_id = ${user.id}`).toHaveLength(0)
    },
  )
})

describe('a soft deletion', () => {
  /** What GoTrue writes: a hash for the address with the time of the deletion, then nothing in place of the metadata. */
  async function softDelete(...ids: string[]): Promise<void> {
    await project.auth.begin(async (tx) => {
      await tx`update users set email = 'hash-of-' || id, encrypted_password = '', deleted_at = now() where id = any (${ids})`
      await tx`update users set raw_user_meta_data = '{}' where id = any (${ids})`
    })
  }
  const wallet = (id: string) => project.sql`select from public.wallets where user_id = ${id}`
  const personal = (id: string) => project.sql`
    select 'profile' as what from public.profiles where id = ${id}
    union all select 'membership' from public.organization_members where user_id = ${id}
    union all select 'operator' from provisioning.operators where user_id = ${id}
    union all select 'failure' from provisioning.sign_up_failures where user_id = ${id}`

  it('of the last owner removes the organization as a deletion does, and keeps the account’s row and wallet', async () => {
    const { user, organizationId, external } = await provisionedTenant()
    await project.sql`select provisioning.grant_operator(${user.id})`
    await project.sql`select provisioning.record_sign_up_failure(${user.id}, 'XX000', 'trouble')`
    await softDelete(user.id)
    expect(await organization(organizationId)).toHaveLength(0)
    expect(only(await jobs(organizationId, 'deprovision'))).toMatchObject({
      status: 'queued',
    })
    expect(only(await jobs(organizationId, 'deprovision')).request).toEqual({})
    expect(await outside(organizationId)).toEqual(released(external))
    expect([...(await personal(user.id))]).toEqual([])
    expect(await wallet(user.id)).toHaveLength(1)
    expect(await project.sql`select from auth.users where id = ${user.id}`).toHaveLength(1)
  })

  it('of one owner of two passes the organization on, with nothing of the hash in it', async () => {
    const { user, organizationId } = await createTenant(project)
    const heir = await createTenant(project)
    await addMember(organizationId, heir.user.id, 'owner')
    await softDelete(user.id)
    expect(only(await organization(organizationId))).toMatchObject({
      owner_id: heir.user.id,
      billing_email: heir.user.email,
    })
    expect(await jobs(organizationId, 'deprovision')).toHaveLength(0)
    expect(await auditOf(organizationId)).toEqual([
      'member.added',
      'member.removed',
      'organization.owner_changed',
      'organization.updated',
    ])
  })

  it('leaves nobody as an heir: the next removal takes the organization along', async () => {
    const { user, organizationId } = await createTenant(project)
    const [first, second] = [await createTenant(project), await createTenant(project)]
    await addMember(organizationId, first.user.id, 'owner')
    await addMember(organizationId, second.user.id, 'owner')
    await softDelete(first.user.id, second.user.id)
    await removeUser(user.id)
    expect(await organization(organizationId)).toHaveLength(0)
  })

  it('of both owners in one statement removes it as well', async () => {
    const { user, organizationId } = await createTenant(project)
    const other = await createTenant(project)
    await addMember(organizationId, other.user.id, 'owner')
    await softDelete(user.id, other.user.id)
    expect(await organization(organizationId)).toHaveLength(0)
    expect(await jobs(organizationId, 'deprovision')).toHaveLength(1)
  })

  it('whose undo cannot be enqueued does not happen', async () => {
    const { user } = await provisionedTenant()
    await project.sql.unsafe(
      'alter function provisioning.enqueue(uuid, text, jsonb, uuid, text, text) rename to lost',
    )
    await expect(softDelete(user.id)).rejects.toMatchObject({ code: '42883' })
    await project.sql.unsafe(
      'alter function provisioning.lost(uuid, text, jsonb, uuid, text, text) rename to enqueue',
    )
    expect(
      only(await project.sql`select deleted_at from auth.users where id = ${user.id}`).deleted_at,
    ).toBeNull()
  })

  it('copies nothing of what it writes, whichever trigger comes first', async () => {
    const { user, organizationId } = await createTenant(project)
    const trigger = 'trigger tenant_provisioning_user_soft_deleted'
    await project.superuser.unsafe(`alter table auth.users disable ${trigger}`)
    await softDelete(user.id)
    await project.superuser.unsafe(`alter table auth.users enable ${trigger}`)
    expect(only(await organization(organizationId)).billing_email).toBe(user.email)
    expect(only(await project.sql`select email from public.profiles where id = ${user.id}`).email).toBe(
      user.email,
    )
  })

  it('waits for whoever is making the user’s rows, and removes those too', async () => {
    const trigger = 'trigger tenant_provisioning_user_created'
    await project.superuser.unsafe(`alter table auth.users disable ${trigger}`)
    const { id } = await signUp(project.auth)
    await project.superuser.unsafe(`alter table auth.users enable ${trigger}`)
    const maker = await project.sql.reserve()
    await maker`begin`
    await maker`select provisioning.ensure_user_provisioned(${id})`
    const deletion = softDelete(id)
    await blocked(project, 1)
    await maker`commit`
    maker.release()
    await deletion
    expect(await project.sql`select from public.organizations where owner_id = ${id}`).toHaveLength(0)
    expect([...(await personal(id))]).toEqual([])
  })

  it('is not undone by the sweep or a backfill', async () => {
    const { user } = await createTenant(project)
    await softDelete(user.id)
    await project.sql`select provisioning.sweep(), provisioning.backfill(100)`
    await project.auth`update users set email_confirmed_at = null where id = ${user.id}`
    await project.auth`update users set email_confirmed_at = now() where id = ${user.id}`
    expect([...(await personal(user.id))]).toEqual([])
  })
})

describe('the removal of a mere member', () => {
  it('leaves the organization untouched and is in its audit log', async () => {
    const { user, organizationId } = await createTenant(project)
    const member = await createTenant(project)
    await addMember(organizationId, member.user.id, 'member')
    await removeUser(member.user.id)
    expect(only(await organization(organizationId)).owner_id).toBe(user.id)
    expect(await jobs(organizationId, 'deprovision')).toHaveLength(0)
    expect(await auditOf(organizationId)).toEqual(['member.added', 'member.removed'])
  })
})

describe('the removal of an organization', () => {
  const remove = (id: string, slug: string) =>
    project.sql<{ id: string }[]>`select provisioning.delete_organization(${id}, ${slug}) as id`

  it('wants its slug as a confirmation, and changes nothing without', async () => {
    const { organizationId } = await createTenant(project)
    const before = await fingerprint(project.sql)
    expect(await refusal(remove(organizationId, 'another'))).toBe('TP428')
    expect(await refusal(remove(crypto.randomUUID(), 'another'))).toBe('TP404')
    expect(await fingerprint(project.sql)).toEqual(before)
  })

  it('returns the job that undoes what exists outside, and leaves its owner an account', async () => {
    const { user, organizationId, external } = await provisionedTenant()
    const slug = String(only(await organization(organizationId)).slug)
    const { id } = only(await remove(organizationId, slug))
    expect(only(await jobs(organizationId, 'deprovision'))).toMatchObject({ id })
    expect(await outside(organizationId)).toEqual(released(external))
    expect(await project.sql`select from auth.users where id = ${user.id}`).toHaveLength(1)
  })

  it('by a plain delete leaves that job as well', async () => {
    const { organizationId, external } = await provisionedTenant()
    await project.sql`delete from public.organizations where id = ${organizationId}`
    expect(only(await jobs(organizationId, 'deprovision'))).toMatchObject({ status: 'queued' })
    expect(await outside(organizationId)).toEqual(released(external))
  })

  it('resolves its alerts and gives a failed undo up, so that nothing of it counts as failed any more', async () => {
    const { organizationId, jobId } = await createTenant(project)
    await project.sql`update public.provisioning_jobs set status = 'failed', finished_at = now() where id = ${jobId}`
    const undo = only(
      await project.sql<{ id: string }[]>`
        select provisioning.enqueue(${organizationId}, 'undo', '{"stripe_customer": "delete"}') as id`,
    )
    await project.sql`update public.provisioning_jobs set status = 'failed', finished_at = now() where id = ${undo.id}`
    await project.sql`select provisioning.open_alert(${organizationId}, 'neon_project_missing', 'critical', 'gone')`
    const open = () => project.sql`
      select kind from public.tenant_alerts where organization_id = ${organizationId} and resolved_at is null order by kind`
    expect((await open()).map(({ kind }) => kind)).toEqual([
      'neon_project_missing',
      'provision_failed',
      'undo_failed',
    ])
    await project.sql`delete from public.organizations where id = ${organizationId}`
    expect(await open()).toHaveLength(0)
    expect(only(await jobs(organizationId, 'undo')).status).toBe('cancelled')
    const { id } = only(await jobs(organizationId, 'deprovision'))
    await project.sql`update public.provisioning_jobs set status = 'failed', finished_at = now() where id = ${id}`
    expect((await open()).map(({ kind }) => kind)).toEqual(['deprovision_failed'])
    const checks = only(
      await project.sql<{ checks: string[] }[]>`select array(
        select c ->> 'check' from jsonb_array_elements(provisioning.describe_tenant(${organizationId}) -> 'checks') c) as checks`,
    )
    expect(checks.checks).toEqual(['deprovision'])
  })

  it('cancels what was still to be done, and the undo waits until a call under way has ended', async () => {
    const { organizationId, jobId } = await createTenant(project)
    await project.sql`delete from public.organizations where id = ${organizationId}`
    const steps = await project.sql`select distinct status::text from provisioning.steps_of(${jobId})`
    expect(steps.map((row) => row.status)).toEqual(['cancelled'])
    expect(
      only(
        await project.sql`select next_attempt_at > now() + interval '40 s' as later from public.provisioning_jobs
          where organization_id = ${organizationId} and kind = 'deprovision'`,
      ).later,
    ).toBe(true)
  })

  it('says when the database may go: after the hours of grace of its kind', async () => {
    const { organizationId } = await provisionedTenant()
    await project.sql`delete from public.organizations where id = ${organizationId}`
    const { hours } = only(
      await project.sql<{ hours: number }[]>`
        select extract(epoch from remove_at - now())::float8 / 3600 as hours from public.tenant_resources
        where organization_id = ${organizationId} and kind = 'neon_project'`,
    )
    expect(hours).toBeCloseTo(72, 1)
  })
})
