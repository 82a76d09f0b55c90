import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Caller, runAs } from '../support/roles.ts'
import { claimedJob, Engine, withSettings } from './engine.ts'
import { createTenant, only, openProject, type Project, refusal, type Tenant } from './project.ts'

let project: Project
let engine: Engine

beforeAll(async () => {
  project = await openProject()
  engine = new Engine(project.sql)
})

afterAll(() => project.close())

const BACKEND: Caller = { role: 'service_role' }
const userOf = ({ user }: Pick<Tenant, 'user'>): Caller => ({ role: 'authenticated', userId: user.id })

const choose = (caller: Caller, organizationId: string, tier: string) =>
  runAs(
    project.api,
    caller,
    (tx) => tx`select provisioning.provision_as_caller(${organizationId}, p_tier => ${tier})`,
  )

const services = (tier: string) =>
  project.sql<{ services: string[] }[]>`select services from provisioning.tiers where tier = ${tier}`.then(
    (rows) => only(rows).services,
  )

interface State {
  readonly tier: string
  readonly services: readonly string[]
}

async function stateOf({ organizationId }: Pick<Tenant, 'organizationId'>): Promise<State> {
  const rows = await project.sql<{ tier: string; status: Record<string, string> }[]>`
    select j.tier, o.provisioning_status as status from public.organizations o
    join public.provisioning_jobs j on j.organization_id = o.id and j.kind = 'provision' and j.status <> 'cancelled'
    where o.id = ${organizationId}`
  const { tier, status } = only(rows)
  return { tier, services: Object.keys(status).filter((key) => !['overall', 'changed_at'].includes(key)) }
}

const setPlan = ({ organizationId }: Tenant, plan: string) =>
  project.sql`update public.organizations set plan = ${plan} where id = ${organizationId}`

describe('the tier of an organization', () => {
  it('is the usual one of settings.default_tier at the sign-up', async () => {
    expect((await stateOf(await createTenant(project))).tier).toBe('database')
    await withSettings(project, { default_tier: 'project' }, async () => {
      const state = await stateOf(await createTenant(project))
      expect(state.tier).toBe('project')
      expect(state.services.toSorted()).toEqual((await services('project')).sort())
    })
  })

  it('can be chosen until a worker has begun, and the status names its services then', async () => {
    const tenant = await createTenant(project)
    await setPlan(tenant, 'enterprise')
    await choose(userOf(tenant), tenant.organizationId, 'project')
    const state = await stateOf(tenant)
    expect(state.tier).toBe('project')
    expect(state.services.toSorted()).toEqual((await services('project')).sort())
    await choose(userOf(tenant), tenant.organizationId, 'database')
    expect((await stateOf(tenant)).tier).toBe('database')
  })

  it('is that of the plan: another one is for the backend alone', async () => {
    const tenant = await createTenant(project)
    expect(await refusal(choose(userOf(tenant), tenant.organizationId, 'project'))).toBe('TP402')
    expect((await stateOf(tenant)).tier).toBe('database')
    expect(await refusal(choose(BACKEND, tenant.organizationId, 'project'))).toBeUndefined()
    expect((await stateOf(tenant)).tier).toBe('project')
  })

  it('cannot be one that nobody knows', async () => {
    const { organizationId } = await createTenant(project)
    expect(await refusal(choose(BACKEND, organizationId, 'castle'))).toBe('TP422')
  })

  it('is fixed from the moment that a worker has begun, until a cancellation has taken that back', async () => {
    const { lease, ...tenant } = await claimedJob(project)
    expect(await refusal(choose(BACKEND, tenant.organizationId, 'project'))).toBe('TP409')
    expect(await refusal(choose(BACKEND, tenant.organizationId, 'database')), 'the same').toBeUndefined()
    await engine.finish(lease)
    expect(await refusal(choose(BACKEND, tenant.organizationId, 'project')), 'it waits').toBe('TP409')
    await project.sql`select provisioning.cancel_provisioning(${tenant.organizationId})`
    await project.sql`update public.provisioning_jobs set status = 'succeeded', finished_at = now()
      where organization_id = ${tenant.organizationId} and kind = 'undo'`
    await choose(BACKEND, tenant.organizationId, 'project')
    expect((await stateOf(tenant)).tier).toBe('project')
  })

  it('can be named when somebody makes an organization', async () => {
    const tenant = await createTenant(project)
    const create = (tier: string) =>
      runAs(project.api, userOf(tenant), async (tx) =>
        only(
          await tx<{ organizationId: string }[]>`
            select provisioning.create_organization_as_caller('Second', null, null, ${tier}) as "organizationId"`,
        ),
      )
    expect(await refusal(create('project')), 'the plan of new organizations has it not').toBe('TP402')
    await project.sql`update provisioning.plans set tiers = '{database,project}' where plan = 'free'`
    try {
      expect((await stateOf(await create('project'))).tier).toBe('project')
    } finally {
      await project.sql`update provisioning.plans set tiers = '{database}' where plan = 'free'`
    }
  })
})

describe('the services of a tier', () => {
  const setServices = (tier: string, names: readonly string[]) =>
    project.sql`update provisioning.tiers set services = ${[...names]} where tier = ${tier}`
  const stepsOf = async (jobId: string) => {
    const rows = await project.sql<{ service: string }[]>`
      select distinct service from provisioning.steps_of(${jobId})`
    return rows.map(({ service }) => service).sort()
  }

  it('are a switch: one that is taken out is not made for whoever comes from then on', async () => {
    const before = await services('database')
    const earlier = await claimedJob(project)
    await setServices(
      'database',
      before.filter((name) => name !== 'graphql'),
    )
    try {
      const later = await claimedJob(project)
      expect(await stepsOf(later.jobId)).toEqual(['neon', 'stripe'])
      expect((await stateOf(later)).services).not.toContain('graphql')
      expect(await engine.run(later.lease)).toBe('succeeded')
      expect(await stepsOf(earlier.jobId), 'a job that was begun before keeps it').toEqual([
        'graphql',
        'neon',
        'stripe',
      ])
    } finally {
      await setServices('database', before)
    }
  })

  describe('that come later', () => {
    const statusOf = async ({ organizationId }: Pick<Tenant, 'organizationId'>) => {
      const rows = await project.sql<{ status: Record<string, string> }[]>`
        select provisioning_status as status from public.organizations where id = ${organizationId}`
      return only(rows).status
    }
    const retry = async (
      { organizationId }: Pick<Tenant, 'organizationId'>,
      names: readonly string[] | null,
    ) => {
      await runAs(
        project.api,
        BACKEND,
        (tx) =>
          tx`select provisioning.provision_as_caller(${organizationId}, ${names === null ? null : [...names]})`,
      )
    }
    /** A tenant that was ready before its tier had the service. */
    async function readyWithout(
      service: string,
      work: (tenant: { jobId: string; organizationId: string }) => Promise<void>,
    ) {
      const before = await services('database')
      await setServices(
        'database',
        before.filter((name) => name !== service),
      )
      try {
        const { lease, ...tenant } = await claimedJob(project)
        expect(await engine.run(lease)).toBe('succeeded')
        await setServices('database', before)
        await work(tenant)
      } finally {
        await setServices('database', before)
      }
    }
    const finish = async () => expect(await engine.run(only(await engine.claim()))).toBe('succeeded')

    it('come to a tenant that is ready with a retry, named or not, and nothing else is done again', async () => {
      for (const names of [['graphql'], null])
        await readyWithout('graphql', async (tenant) => {
          await retry(tenant, names)
          expect(await statusOf(tenant)).toMatchObject({ graphql: 'pending', neon: 'ready' })
          await finish()
          expect(await stepsOf(tenant.jobId)).toEqual(['graphql', 'neon', 'stripe'])
          expect(await statusOf(tenant)).toMatchObject({ graphql: 'ready', overall: 'ready' })
          expect(await engine.step(tenant.jobId, 'neon_project')).toMatchObject({ attempts: 1 })
        })
    })

    it('do not come with the retry of another one', () =>
      readyWithout('graphql', async (tenant) => {
        await retry(tenant, ['stripe'])
        await finish()
        expect(await stepsOf(tenant.jobId)).toEqual(['neon', 'stripe'])
      }))

    it('come with what they need', async () => {
      const before = await services('database')
      await setServices('database', ['stripe'])
      try {
        const { lease, ...tenant } = await claimedJob(project)
        await engine.run(lease)
        await setServices('database', before)
        await retry(tenant, ['graphql'])
        expect(await stepsOf(tenant.jobId)).toEqual(['graphql', 'neon', 'stripe'])
        await finish()
      } finally {
        await setServices('database', before)
      }
    })

    it('and steps of a service that is there likewise', async () => {
      const { lease, ...tenant } = await claimedJob(project)
      await engine.run(lease)
      await project.sql`insert into provisioning.step_definitions (kind, tier, step, service, position, depends_on)
        values ('provision', 'database', 'new_step', 'stripe', 9, '{stripe_customer}')`
      try {
        await retry(tenant, null)
        expect(await engine.step(tenant.jobId, 'new_step')).toMatchObject({ status: 'pending' })
        await finish()
        await retry(tenant, null)
        expect(await statusOf(tenant), 'the second finds nothing to do').toMatchObject({ overall: 'ready' })
      } finally {
        await project.sql`delete from provisioning.step_definitions where step = 'new_step'`
      }
    })
  })

  it('are removed even if they are switched off meanwhile', async () => {
    const before = await services('database')
    await setServices('database', ['stripe'])
    try {
      const rows = await project.sql<{ service: string }[]>`
        select distinct service from provisioning.steps_for('deprovision', 'database')`
      expect(rows.map(({ service }) => service).sort()).toEqual(['neon', 'stripe'])
    } finally {
      await setServices('database', before)
    }
  })

  it('are never without what one of them depends on', async () => {
    expect(await refusal(setServices('database', ['stripe', 'graphql']))).toBe('TP422')
    expect(await services('database')).toEqual(['stripe', 'neon', 'graphql'])
  })
})
