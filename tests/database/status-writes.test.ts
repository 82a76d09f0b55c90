import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Job, JobStore } from '../../shared/engine/jobs.ts'
import { createTenant, only, openProject, type Project } from './project.ts'

let project: Project
let jobs: JobStore

beforeAll(async () => {
  project = await openProject()
  jobs = new JobStore(project.sql)
  await project.sql.unsafe(`
    create table provisioning.statuses_written (organization_id uuid, status jsonb, position bigint generated always as identity);
    create function provisioning.note_status() returns trigger language plpgsql as $$
    begin
      insert into provisioning.statuses_written (organization_id, status) values (new.id, new.provisioning_status);
      return null;
    end $$;
    create trigger note_status after update of provisioning_status on public.organizations
      for each row execute function provisioning.note_status()`)
})

afterAll(() => project?.close())

async function written({ organizationId }: Pick<Job, 'organizationId'>) {
  const rows = await project.sql<{ status: Record<string, string> }[]>`
    with taken as (delete from provisioning.statuses_written where organization_id = ${organizationId} returning *)
    select status - 'changed_at' as status from taken order by position`
  return rows.map(({ status }) => status)
}

it('a worker writes the status of an organization once a statement, as it is at the statement’s end', async () => {
  const { organizationId } = await createTenant(project)
  const job = only(await jobs.claim(['provision'], 1, {}))
  expect(job.organizationId).toBe(organizationId)
  const begun = (await jobs.prepare(job)).map(({ step }) => step)
  expect(begun).toEqual(['stripe_customer', 'neon_project'])
  expect(await written(job)).toMatchObject([{ overall: 'provisioning', stripe: 'running', neon: 'running' }])

  const complete = async (step: string, isLast = false) => {
    const { next, finished } = await jobs.completeStep(job, step, { output: {} }, new Set(begun), isLast)
    begun.push(...next.map((each) => each.step))
    return { next: next.map((each) => each.step), finished, status: await written(job) }
  }
  expect(await complete('stripe_customer')).toMatchObject({
    next: [],
    finished: false,
    status: [{ stripe: 'ready', neon: 'running' }],
  })
  expect(await complete('neon_project')).toEqual({ next: ['credentials'], finished: false, status: [] })
  expect(await complete('credentials')).toEqual({ next: ['tenant_schema'], finished: false, status: [] })
  expect(await complete('tenant_schema')).toMatchObject({
    next: ['verify_connection', 'graphql_endpoint'],
    finished: false,
    status: [{ neon: 'running', graphql: 'running' }],
  })
  expect(await complete('graphql_endpoint')).toMatchObject({ next: [], status: [{ graphql: 'ready' }] })
  expect(await complete('verify_connection', true)).toMatchObject({
    next: [],
    finished: true,
    status: [{ overall: 'ready', stripe: 'ready', neon: 'ready', graphql: 'ready' }],
  })
})
