import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { queuedDoorbells } from './doorbells.ts'
import { createBegunTenant, only, openProject, type Project } from './project.ts'

let project: Project

beforeAll(async () => {
  project = await openProject()
  await project.sql`
    select vault.create_secret('http://functions.example.com', 'functions_base_url')
    where not exists (select from vault.secrets where name = 'functions_base_url')`
})

afterAll(() => project?.close())

beforeEach(async () => {
  await project.sql`update provisioning.settings
    set reconcile_delete = false, reconcile_grace_hours = 24, reconcile_delete_cap = 20, reconcile_delete_percent = 1`
})

afterEach(async () => {
  await project.sql`delete from provisioning.reconciliation_runs`
  await project.sql`delete from provisioning.reconciliation_findings`
})

type Provider = 'neon' | 'stripe'
const KINDS = { neon: 'neon_project', stripe: 'stripe_customer' } as const

interface Resource {
  readonly id: string
  readonly organizationId?: string | null
  /** Days. */
  readonly age?: number
}

interface Finding {
  readonly id: string
  readonly resourceKind: string
  readonly kind: string
  readonly resourceId: string
  readonly open: boolean
  readonly deleted: boolean
  readonly firstSeenAt: Date
}

/** A run in which there is nothing but what the tests say of these two kinds: the lists of all others are empty. */
async function start(dryRun = false): Promise<string> {
  const rows = await project.sql<{ id: string }[]>`select provisioning.start_reconciliation(${dryRun}) as id`
  const { id } = only(rows)
  await project.sql`
    select provisioning.save_inventory_page(run_id, resource_kind, null, null, null, '[]')
    from provisioning.reconciliation_lists where run_id = ${id} and resource_kind <> all (${Object.values(KINDS)})`
  return id
}

interface Page {
  readonly cursor?: string
  readonly next?: string
  readonly gap?: string
}

async function savePage(runId: string, provider: Provider, resources: readonly Resource[], page: Page = {}) {
  const listed = resources.map(({ id, organizationId = null, age = 1 }) => ({
    resource_id: id,
    organization_id: organizationId,
    created_at: new Date(Date.now() - age * 86_400_000).toISOString(),
  }))
  const { cursor = null, next = null, gap = null } = page
  const rows = await project.sql<{ saved: boolean }[]>`
    select provisioning.save_inventory_page(${runId}, ${KINDS[provider]}, ${cursor}, ${next}, ${gap},
      ${project.sql.json(listed)}) as saved`
  return only(rows).saved
}

async function compare(runId: string): Promise<boolean> {
  const rows = await project.sql<{ done: boolean }[]>`select provisioning.compare_inventory(${runId}) as done`
  return only(rows).done
}

interface Lists {
  readonly neon?: readonly Resource[]
  readonly stripe?: readonly Resource[]
  readonly gap?: string
  readonly dryRun?: boolean
}

/** A run up to its comparison; it stays open. `gap` is one of Neon's list. */
async function compared({ neon = [], stripe = [], gap, dryRun }: Lists): Promise<string> {
  const runId = await start(dryRun)
  await savePage(runId, 'neon', neon, gap === undefined ? {} : { gap })
  await savePage(runId, 'stripe', stripe)
  expect(await compare(runId)).toBe(true)
  return runId
}

async function finish(runId: string): Promise<void> {
  await project.sql`select provisioning.finish_reconciliation(${runId})`
}

/** A whole run. */
async function run(lists: Lists): Promise<string> {
  const runId = await compared(lists)
  await finish(runId)
  return runId
}

async function findings(): Promise<Finding[]> {
  return project.sql<Finding[]>`
    select id, resource_kind as "resourceKind", kind, resource_id as "resourceId", resolved_at is null as open, deleted_at is not null as deleted,
      first_seen_at as "firstSeenAt"
    from provisioning.reconciliation_findings order by resource_kind, kind, resource_id, first_seen_at`
}

async function openFindings(): Promise<string[]> {
  return (await findings()).filter(({ open }) => open).map(({ kind, resourceId }) => `${kind} ${resourceId}`)
}

async function alerts(organizationId: string): Promise<{ kind: string; open: boolean; message: string }[]> {
  return project.sql`
    select kind, resolved_at is null as open, message from public.tenant_alerts
    where organization_id = ${organizationId} order by opened_at`
}

/** A tenant that became ready an hour ago, with what its rows name. */
async function readyTenant(recorded: { neon?: string; stripe?: string } = {}): Promise<string> {
  const { organizationId, jobId } = await createBegunTenant(project)
  await project.sql`update public.provisioning_jobs set status = 'succeeded', finished_at = now() - interval '1 hour'
    where id = ${jobId}`
  if (recorded.neon) await record(organizationId, 'neon', recorded.neon)
  if (recorded.stripe) await record(organizationId, 'stripe', recorded.stripe)
  return organizationId
}

const record = (organizationId: string, provider: Provider, id: string) =>
  project.sql`select provisioning.record_resource(${organizationId}, ${KINDS[provider]}, ${`org-${organizationId}`}, ${id})`

const unique = (name: string) => `${name}-${crypto.randomUUID().slice(0, 8)}`

/** Everything that earlier tests' rows name, so that it is not missing in this test's lists. */
async function others(provider: Provider): Promise<Resource[]> {
  return project.sql<Resource[]>`
    select t.external_id as id, t.organization_id as "organizationId" from public.tenant_resources     t join public.organizations o on o.id = t.organization_id
    where t.kind = ${KINDS[provider]} and t.state = 'active'`
}

async function runRow(runId: string) {
  return only(
    await project.sql`select status, complete, counts, error, deletions,
      (select count(*)::int from provisioning.reconciliation_inventory i where i.run_id = r.id) as inventory
      from provisioning.reconciliation_runs r where id = ${runId}`,
  )
}

describe('a run', () => {
  it('is one at a time, and a second start rings for the open one again', async () => {
    await project.sql`delete from net.http_request_queue`
    const runId = await start()
    expect(await start()).toBe(runId)
    const doorbells = await queuedDoorbells(project.sql)
    expect(doorbells.map(({ url }) => url.endsWith('/reconcile-tenants'))).toEqual([true, true])
  })

  it('stays one when several are started together', async () => {
    expect(new Set(await Promise.all(Array.from({ length: 6 }, () => start()))).size).toBe(1)
  })

  it('without progress for an hour is closed as failed, without its inventory, and another one begins', async () => {
    const abandoned = await start()
    await savePage(abandoned, 'neon', [{ id: unique('p'), organizationId: crypto.randomUUID() }], {
      next: '2',
    })
    await project.sql`update provisioning.reconciliation_runs
      set started_at = now() - interval '3 hours', progressed_at = now() - interval '59 minutes'`
    expect(await start()).toBe(abandoned)
    await project.sql`update provisioning.reconciliation_runs set progressed_at = now() - interval '61 minutes'`
    expect(await start()).not.toBe(abandoned)
    expect(await runRow(abandoned)).toMatchObject({
      status: 'failed',
      complete: false,
      error: expect.stringContaining('abandoned'),
      inventory: 0,
    })
  })

  it('that has fallen silent is rung for again, one at work is not', async () => {
    await project.sql`delete from net.http_request_queue`
    await start()
    const rung = async () => (await queuedDoorbells(project.sql)).length
    await project.sql`select provisioning.resume_reconciliation()`
    expect(await rung()).toBe(1)
    await project.sql`update provisioning.reconciliation_runs set progressed_at = now() - interval '3 minutes'`
    await project.sql`select provisioning.resume_reconciliation()`
    expect(await rung()).toBe(2)
  })

  it('begins daily by pg_cron, which also goes on with one that was interrupted', async () => {
    const jobs = await project.sql<{ schedule: string; command: string }[]>`
      select schedule, command from cron.job where jobname like '%reconcile%' order by jobname`
    expect([...jobs]).toEqual([
      { schedule: '43 4 * * *', command: 'select provisioning.start_reconciliation()' },
      { schedule: '*/10 * * * *', command: 'select provisioning.resume_reconciliation()' },
    ])
  })
})

describe('a page', () => {
  it('is kept once: a worker whose cursor is behind is refused and changes nothing', async () => {
    const organizationId = crypto.randomUUID()
    const runId = await start()
    expect(await savePage(runId, 'neon', [{ id: 'a', organizationId }], { next: '2' })).toBe(true)
    expect(await savePage(runId, 'neon', [{ id: 'b', organizationId }], { next: '2' })).toBe(false)
    expect(await savePage(runId, 'neon', [{ id: 'c', organizationId }], { cursor: '2' })).toBe(true)
    expect(await savePage(runId, 'neon', [{ id: 'd', organizationId }], { cursor: '2' })).toBe(false)
    const kept = await project.sql`select resource_id from provisioning.reconciliation_inventory order by 1`
    expect(kept.map((row) => row.resource_id)).toEqual(['a', 'c'])
  })

  it('is refused after the end of the run', async () => {
    const runId = await start()
    await project.sql`select provisioning.close_reconciliation(${runId}, 'failed', 'Stopped.')`
    expect(await savePage(runId, 'neon', [])).toBe(false)
  })

  it('keeps what carries our mark or stands in a row, and nothing of others in the account', async () => {
    const neon = unique('renamed')
    await readyTenant({ neon })
    const runId = await start()
    await savePage(runId, 'neon', [
      { id: neon },
      { id: 'foreign' },
      { id: 'ours', organizationId: crypto.randomUUID() },
    ])
    const kept = await project.sql`select resource_id from provisioning.reconciliation_inventory order by 1`
    expect(kept.map((row) => row.resource_id)).toEqual(['ours', neon].sort())
  })
})

describe('the comparison', () => {
  it('waits for the end of every list, and is made once', async () => {
    const runId = await start()
    await savePage(runId, 'stripe', [])
    await savePage(runId, 'neon', [], { next: '2' })
    expect(await compare(runId)).toBe(false)
    await savePage(runId, 'neon', [], { cursor: '2' })
    expect(await compare(runId)).toBe(true)
    expect(await compare(runId)).toBe(false)
  })

  it('finds nothing where each organization has what its row names', async () => {
    await readyTenant({ neon: unique('p'), stripe: unique('cus') })
    const runId = await run({ neon: await others('neon'), stripe: await others('stripe') })
    expect(await findings()).toEqual([])
    expect(await runRow(runId)).toMatchObject({ status: 'finished', complete: true, inventory: 0 })
  })

  it('keeps of several projects the one in the row, however old, and reports the others', async () => {
    const [recorded, older] = [unique('recorded'), unique('older')]
    const organizationId = await readyTenant({ neon: recorded })
    const lists = {
      neon: [...(await others('neon')), { id: older, organizationId, age: 9 }],
      stripe: await others('stripe'),
    }
    const runId = await run(lists)
    expect(await openFindings()).toEqual([`duplicate ${older}`])
    expect((await runRow(runId)).counts).toMatchObject({
      neon_project: { duplicate: 1, stranger: 0, missing: 0, resolved: 0, deleted: 0 },
    })
  })

  it('keeps the oldest while no row names one', async () => {
    const organizationId = await readyTenant()
    await run({
      neon: [
        ...(await others('neon')),
        { id: 'young', organizationId, age: 1 },
        { id: 'old', organizationId, age: 3 },
        { id: 'middle', organizationId, age: 2 },
      ],
      stripe: await others('stripe'),
    })
    expect(await openFindings()).toEqual(['duplicate middle', 'duplicate young'])
  })

  it('counts the project in the row under whatever name it has', async () => {
    const renamed = unique('renamed')
    const organizationId = await readyTenant({ neon: renamed })
    const neon = (await others('neon')).map(({ id }) => (id === renamed ? { id } : { id, age: 5 }))
    await run({ neon: [...neon, { id: 'second', organizationId }], stripe: await others('stripe') })
    expect(await openFindings()).toEqual(['duplicate second'])
  })

  it('opens one alert for an organization and resolves it when the duplicate is gone', async () => {
    const customer = unique('cus')
    const organizationId = await readyTenant({ stripe: customer })
    const neon = await others('neon')
    const stripe = await others('stripe')
    await run({ neon, stripe: [...stripe, { id: 'cus_second', organizationId }] })
    await run({ neon, stripe: [...stripe, { id: 'cus_second', organizationId }] })
    expect(await alerts(organizationId)).toEqual([
      { kind: 'stripe_customer_duplicate', open: true, message: expect.stringContaining('cus_second') },
    ])
    await run({ neon, stripe })
    expect((await alerts(organizationId)).map(({ open }) => open)).toEqual([false])
  })

  it('remembers when it first saw something, and begins anew after that was gone', async () => {
    const stranger = { id: unique('p'), organizationId: crypto.randomUUID() }
    const neon = await others('neon')
    const stripe = await others('stripe')
    await run({ neon: [...neon, stranger], stripe })
    const first = only(await findings())
    await run({ neon: [...neon, stranger], stripe })
    expect(await findings()).toEqual([first])
    await run({ neon, stripe })
    expect((await findings()).map(({ open }) => open)).toEqual([false])
    await run({ neon: [...neon, stranger], stripe })
    const [, again] = await findings()
    expect(again?.open).toBe(true)
    expect(again?.firstSeenAt.getTime()).toBeGreaterThan(first.firstSeenAt.getTime())
  })
})

describe('a resource whose organization has no row', () => {
  const deleteOrganization = (organizationId: string) =>
    project.sql`delete from public.organizations where id = ${organizationId}`
  const setUndo = async (organizationId: string, status: string, minutesAgo: number, graceHours: number) => {
    await project.sql`update public.provisioning_jobs
      set status = ${status}, finished_at = now() - make_interval(mins => ${minutesAgo})
      where organization_id = ${organizationId} and kind = 'deprovision'`
    await project.sql`update public.tenant_resources set remove_at = now() + make_interval(hours => ${graceHours})
      where organization_id = ${organizationId}`
  }

  it('is a stranger', async () => {
    const organizationId = crypto.randomUUID()
    await run({
      neon: [...(await others('neon')), { id: 'lost', organizationId }],
      stripe: [...(await others('stripe')), { id: 'cus_lost', organizationId }],
    })
    expect(await openFindings()).toEqual(['stranger lost', 'stranger cus_lost'])
    expect(await alerts(organizationId)).toEqual([])
  })

  it.each<[string, (organizationId: string) => Promise<unknown>, string[]]>([
    ['is none while its undo is open', async () => undefined, []],
    ['is none when its undo has ended during the run', (id) => setUndo(id, 'succeeded', -1, -1), []],
    ['is none within the grace period, though its undo has failed', (id) => setUndo(id, 'failed', 60, 1), []],
    [
      'is one when its undo has failed and the grace is over',
      (id) => setUndo(id, 'failed', 60, -1),
      ['stranger'],
    ],
    ['is one when its undo was done long ago', (id) => setUndo(id, 'succeeded', 60, -1), ['stranger']],
  ])('%s', async (_what, undo, expected) => {
    const left = unique('left')
    const organizationId = await readyTenant({ neon: left })
    await deleteOrganization(organizationId)
    await undo(organizationId)
    await run({
      neon: [...(await others('neon')), { id: left, organizationId }],
      stripe: await others('stripe'),
    })
    expect(await openFindings()).toEqual(expected.map((kind) => `${kind} ${left}`))
  })

  it('is none when it is a customer that was kept on purpose', async () => {
    const organizationId = await readyTenant({ stripe: 'cus_kept' })
    await deleteOrganization(organizationId)
    await setUndo(organizationId, 'succeeded', 60, -1)
    await project.sql`delete from public.provisioning_jobs where organization_id = ${organizationId}`
    const stripe = [...(await others('stripe')), { id: 'cus_kept', organizationId }]
    await run({ neon: await others('neon'), stripe })
    expect(await openFindings()).toEqual([])
  })
})

describe('a resource that a row names and the provider does not', () => {
  it('is missing, with an alert, until it is back', async () => {
    const gone = unique('gone')
    const organizationId = await readyTenant({ neon: gone })
    const all = await others('neon')
    const stripe = await others('stripe')
    await run({ neon: all.filter(({ id }) => id !== gone), stripe })
    expect(await openFindings()).toEqual([`missing ${gone}`])
    expect(await alerts(organizationId)).toEqual([
      { kind: 'neon_project_missing', open: true, message: `The Neon project ${gone} is gone.` },
    ])
    await run({ neon: all, stripe })
    expect(await openFindings()).toEqual([])
    expect((await alerts(organizationId)).map(({ open }) => open)).toEqual([false])
  })

  it('is not missing while its tenant is not ready, or became so only during the run', async () => {
    const gone = unique('gone')
    const organizationId = await readyTenant({ neon: gone })
    const lists = {
      neon: (await others('neon')).filter(({ id }) => id !== gone),
      stripe: await others('stripe'),
    }
    await project.sql`update public.provisioning_jobs set status = 'queued', finished_at = null
      where organization_id = ${organizationId}`
    await run(lists)
    expect(await openFindings()).toEqual([])
    await project.sql`update public.provisioning_jobs set status = 'succeeded', finished_at = now() + interval '1 minute'
      where organization_id = ${organizationId}`
    await run(lists)
    expect(await openFindings()).toEqual([])
    await project.sql`update public.provisioning_jobs set finished_at = now() where organization_id = ${organizationId}`
    await run(lists)
    expect(await openFindings()).toEqual([`missing ${gone}`])
    // A retry that is under way does not bring it back.
    await project.sql`update public.provisioning_jobs set status = 'queued', finished_at = null
      where organization_id = ${organizationId}`
    await run(lists)
    expect(await openFindings()).toEqual([`missing ${gone}`])
  })

  it('is no longer missing when the row names another one', async () => {
    const gone = unique('gone')
    const organizationId = await readyTenant({ neon: gone })
    await run({
      neon: (await others('neon')).filter(({ id }) => id !== gone),
      stripe: await others('stripe'),
    })
    await record(organizationId, 'neon', unique('new'))
    await run({ neon: await others('neon'), stripe: await others('stripe') })
    expect(await openFindings()).toEqual([])
  })
})

describe('a list with a gap', () => {
  it('proves nothing absent: nothing is missing and nothing resolved, for its provider alone', async () => {
    const gone = unique('gone')
    await readyTenant({ neon: gone, stripe: gone })
    const stranger = { id: 'stranger', organizationId: crypto.randomUUID() }
    const neon = (await others('neon')).filter(({ id }) => id !== gone)
    const stripe = await others('stripe')
    await run({ neon: [...(await others('neon')), stranger], stripe: [...stripe, stranger] })
    expect(await openFindings()).toEqual(['stranger stranger', 'stranger stranger'])

    const runId = await run({ neon, stripe: stripe.filter(({ id }) => id !== gone), gap: 'Not all.' })
    expect((await findings()).filter(({ open }) => open)).toMatchObject([
      { resourceKind: 'neon_project', kind: 'stranger' },
      { resourceKind: 'stripe_customer', kind: 'missing' },
    ])
    expect(await runRow(runId)).toMatchObject({ status: 'finished', complete: false })
  })

  it('still proves what it holds', async () => {
    const organizationId = crypto.randomUUID()
    const neon = [...(await others('neon')), { id: 'lost', organizationId }]
    await run({ neon, stripe: await others('stripe'), gap: 'Not all.' })
    expect(await openFindings()).toEqual(['stranger lost'])
  })

  it('stays one when a later page is complete', async () => {
    const runId = await start()
    await savePage(runId, 'neon', [], { next: '2', gap: 'Not all.' })
    await savePage(runId, 'neon', [], { cursor: '2' })
    await project.sql`select provisioning.end_list(${runId}, 'stripe_customer', 'Stripe is down.')`
    await compare(runId)
    const gaps = await project.sql`select gap from provisioning.reconciliation_lists
      where resource_kind = any (${Object.values(KINDS)}) order by resource_kind`
    expect(gaps.map((row) => row.gap)).toEqual(['Not all.', 'Stripe is down.'])
    expect((await runRow(runId)).complete).toBe(false)
  })
})

describe('deletion', () => {
  const allow = (settings: Record<string, boolean | number> = {}) =>
    project.sql`update provisioning.settings set ${project.sql({ reconcile_delete: true, ...settings })}`
  const backdate = (hours: number) =>
    project.sql`update provisioning.reconciliation_findings set first_seen_at = now() - make_interval(hours => ${hours})`
  const deletable = async (runId: string) =>
    (
      await project.sql`select resource_id from provisioning.deletable_findings(${runId}) order by resource_id`
    ).map((row) => row.resource_id)
  const begin = async (runId: string, resourceId: string) =>
    only(
      await project.sql`select provisioning.begin_deletion(${runId}, f.id) as allowed
        from provisioning.reconciliation_findings f where f.resource_id = ${resourceId} and f.resolved_at is null`,
    ).allowed
  const complete = (runId: string, resourceId: string) =>
    project.sql`select provisioning.complete_deletion(${runId}, f.id)
      from provisioning.reconciliation_findings f where f.resource_id = ${resourceId}`

  const markRemoved = (id: string) => project.sql`
    insert into public.tenant_resources (organization_id, service, kind, name, external_id, state, removed_at)
    values (gen_random_uuid(), 'neon', 'neon_project', 'removed', ${id}, 'removed', now())`

  /** A run that has seen a stranger and a duplicate, both known for 25 hours; our rows say that both were removed. */
  async function prepared(lists: Partial<Lists> = {}) {
    const [keep, duplicate, stranger] = [unique('keep'), unique('duplicate'), unique('stranger')]
    const organizationId = await readyTenant({ neon: keep })
    await markRemoved(duplicate)
    await markRemoved(stranger)
    const neon = [
      ...(await others('neon')),
      { id: duplicate, organizationId, age: 9 },
      { id: stranger, organizationId: crypto.randomUUID() },
    ]
    const runId = await compared({ neon, stripe: await others('stripe'), ...lists })
    await backdate(25)
    return { runId, keep, duplicate, stranger, organizationId, neon }
  }

  it('is off unless the settings allow it', async () => {
    const { runId } = await prepared()
    expect(await deletable(runId)).toEqual([])
  })

  it('takes strangers and duplicates, never what a row names', async () => {
    await allow()
    const { runId, duplicate, stranger } = await prepared()
    expect(await deletable(runId)).toEqual([duplicate, stranger].sort())
  })

  it('never takes by itself what no row says was removed: a restored database knows nothing of the newest tenants', async () => {
    await allow()
    const { runId, duplicate, stranger } = await prepared()
    await project.sql`delete from public.tenant_resources where external_id = ${stranger}`
    expect(await deletable(runId)).toEqual([duplicate])
    expect(await begin(runId, stranger)).toBe(false)
  })

  it('never takes by itself what a row says is there, though its organization is gone', async () => {
    await allow()
    const { runId, duplicate, stranger } = await prepared()
    await project.sql`update public.tenant_resources set state = 'active', removed_at = null where external_id = ${stranger}`
    expect(await deletable(runId)).toEqual([duplicate])
  })

  it('cannot be ordered of what is only missing', async () => {
    const gone = unique('gone')
    await readyTenant({ neon: gone })
    await run({
      neon: await others('neon').then((all) => all.filter(({ id }) => id !== gone)),
      stripe: await others('stripe'),
    })
    expect(await openFindings()).toEqual([`missing ${gone}`])
    const ordered = project.sql`select provisioning.order_deletion('neon_project', ${gone})`
    await expect(ordered).rejects.toMatchObject({ code: 'TP404' })
  })

  it('takes what an operator has named by its id, beyond what a run may delete by itself', async () => {
    const { runId, stranger } = await prepared()
    await project.sql`delete from public.tenant_resources where external_id = ${stranger}`
    await project.sql`select provisioning.order_deletion('neon_project', ${stranger})`
    expect(await deletable(runId)).toEqual([stranger])
    expect(await begin(runId, stranger)).toBe(true)
    expect((await runRow(runId)).deletions).toBe(0)
    const ordered = await project.sql`select from public.audit_logs
      where action = 'reconciliation.deletion_ordered' and resource_id = ${stranger}`
    expect(ordered).toHaveLength(1)
  })

  it('takes one for each hundred organizations, at least one; a run with more stops with a finding', async () => {
    await allow()
    const { runId, duplicate, stranger } = await prepared()
    expect(await begin(runId, duplicate)).toBe(true)
    await complete(runId, duplicate)
    expect(await begin(runId, stranger)).toBe(false)
    await finish(runId)
    expect((await runRow(runId)).error).toContain('The run has stopped: 1 more would have gone')
    expect(await openFindings()).toEqual([`deletions_stopped ${runId}`, `stranger ${stranger}`])
    await run({ neon: await others('neon'), stripe: await others('stripe') })
    expect(await openFindings()).toEqual([])
  })

  it.each([
    [1, 20, 0, 1],
    [1, 20, 99, 1],
    [1, 20, 299, 2],
    [1, 20, 300, 3],
    [0.5, 20, 800, 4],
    [0, 20, 800, 1],
    [1, 2, 800, 2],
    [1, 0, 800, 0],
  ])(
    'with %s percent and a cap of %s takes from %s organizations at most %s',
    async (percent, cap, fleet, most) => {
      const undo = new Error('undo')
      const measured = project.superuser.begin(async (sql) => {
        await sql`update provisioning.settings set reconcile_delete_percent = ${percent}, reconcile_delete_cap = ${cap}`
        await sql`set local session_replication_role = 'replica'`
        await sql`delete from public.organizations`
        await sql`
        insert into public.organizations (name, slug, owner_id, data_region, hosting_region, provisioning_status)
        select 'One of many', 'one-of-many-' || n, gen_random_uuid(), 'us-east-1', 'us-east-1', '{}'
        from generate_series(1, ${fleet}::integer) n`
        const rows = await sql`select provisioning.reconciliation_allowance() as allowed`
        expect(only(rows).allowed).toBe(most)
        throw undo
      })
      await expect(measured).rejects.toBe(undo)
    },
  )

  it('never takes more than a hundredth of the fleet, whatever somebody sets', async () => {
    const more = project.sql`update provisioning.settings set reconcile_delete_percent = 1.01`
    await expect(more).rejects.toThrow('reconcile_delete_percent_is_at_most_one')
  })

  it('does not happen in a dry run', async () => {
    await allow()
    const { runId } = await prepared({ dryRun: true })
    expect(await deletable(runId)).toEqual([])
  })

  it('does not happen from a list with a gap', async () => {
    await allow()
    const { runId } = await prepared({ gap: 'Not all.' })
    expect(await deletable(runId)).toEqual([])
  })

  it('waits for the grace period', async () => {
    await allow()
    const { runId } = await prepared()
    await backdate(23)
    expect(await deletable(runId)).toEqual([])
  })

  it('takes only what this run has seen again', async () => {
    await allow()
    const { runId, neon, stranger, duplicate } = await prepared()
    await finish(runId)
    const next = await start()
    await savePage(
      next,
      'neon',
      neon.filter(({ id }) => id !== stranger),
      { gap: 'Not all.' },
    )
    await savePage(next, 'stripe', [])
    await compare(next)
    await project.sql`update provisioning.reconciliation_lists set gap = null`
    expect(await deletable(next)).toEqual([duplicate])
  })

  it('never takes what is missing', async () => {
    await allow()
    const gone = unique('gone')
    await readyTenant({ neon: gone })
    const neon = (await others('neon')).filter(({ id }) => id !== gone)
    const runId = await compared({ neon, stripe: await others('stripe') })
    await backdate(25)
    expect(await openFindings()).toEqual([`missing ${gone}`])
    expect(await deletable(runId)).toEqual([])
  })

  it.each<[string, (found: Awaited<ReturnType<typeof prepared>>) => Promise<unknown>]>([
    [
      'the row has come to name it',
      ({ duplicate, organizationId }) => record(organizationId, 'neon', duplicate),
    ],
    [
      'a provision job of the organization is open',
      ({ organizationId }) =>
        project.sql`update public.provisioning_jobs set status = 'queued', finished_at = null
          where organization_id = ${organizationId}`,
    ],
    [
      'the organization is being deleted',
      ({ organizationId }) => project.sql`delete from public.organizations where id = ${organizationId}`,
    ],
    [
      'deletion was switched off',
      () => project.sql`update provisioning.settings set reconcile_delete = false`,
    ],
    [
      'the run was closed',
      ({ runId }) => project.sql`select provisioning.close_reconciliation(${runId}, 'failed', 'Stopped.')`,
    ],
  ])('is refused in the last moment because %s', async (_why, change) => {
    await allow()
    const found = await prepared()
    expect(await deletable(found.runId)).toContain(found.duplicate)
    await change(found)
    expect(await begin(found.runId, found.duplicate)).toBe(false)
    expect((await runRow(found.runId)).deletions).toBe(0)
  })

  it('is refused for a stranger whose organization has come back', async () => {
    await allow()
    const { runId, stranger, organizationId } = await prepared()
    await project.sql`update provisioning.reconciliation_inventory set organization_id = ${organizationId}
      where resource_id = ${stranger}`
    expect(await begin(runId, stranger)).toBe(false)
  })

  it('stops at the cap, also when it is asked for from several sides at once', async () => {
    await allow({ reconcile_delete_cap: 1 })
    const { runId, duplicate, stranger } = await prepared()
    const allowed = await Promise.all([begin(runId, duplicate), begin(runId, stranger)])
    expect(allowed.filter(Boolean)).toHaveLength(1)
    expect(await deletable(runId)).toEqual([])
  })

  it('is audited before and after, closes the finding and resolves the alert', async () => {
    await allow()
    const { runId, duplicate, organizationId } = await prepared()
    expect(await begin(runId, duplicate)).toBe(true)
    await complete(runId, duplicate)
    await complete(runId, duplicate)
    await finish(runId)
    const trail = await project.sql`
      select action, actor_type, resource_type, resource_id, metadata - 'first_seen_at' as metadata from public.audit_logs
      where organization_id = ${organizationId} and action like 'reconciliation.%' order by created_at`
    const entry = { actor_type: 'system', resource_type: 'neon_project', resource_id: duplicate }
    expect([...trail]).toEqual([
      { ...entry, action: 'reconciliation.deletion_started', metadata: { kind: 'duplicate', run_id: runId } },
      { ...entry, action: 'reconciliation.deleted', metadata: { kind: 'duplicate', run_id: runId } },
    ])
    expect((await findings()).find(({ resourceId }) => resourceId === duplicate)).toMatchObject({
      open: false,
      deleted: true,
    })
    expect((await alerts(organizationId)).map(({ open }) => open)).toEqual([false])
    expect((await runRow(runId)).counts).toMatchObject({
      neon_project: { deleted: 1, duplicate: 1, stranger: 1 },
    })
  })
})
