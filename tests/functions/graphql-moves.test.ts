import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startTestProject, type TestProject, until } from '../support/project.ts'
import { ask, type Cast, castOf, type Person } from './graphql-client.ts'

let project: TestProject
let cast: Cast

beforeAll(async () => {
  project = await startTestProject({
    settings: { organization_acts_per_minute: 1_000, user_acts_per_minute: 1_000 },
  })
  cast = await castOf(project)
  await setPlan('enterprise')
  // What is asked for is looked at as it was written; moves.test.ts has what comes of it.
  await project.sql`select provisioning.pause('kind', 'move', 'A test looks at the job.')`
})

afterAll(() => project?.stop())

const setPlan = (plan: string) =>
  project.sql`update public.organizations set plan = ${plan} where id = ${cast.organizationId}`

const MOVE = `mutation ($id: ID!, $tier: String! = "project", $dryRun: Boolean! = false, $withData: Boolean! = true,
  $leaveExtraTables: Boolean! = false) {
  moveTenant(organizationId: $id, tier: $tier, dryRun: $dryRun, withData: $withData, leaveExtraTables: $leaveExtraTables) {
    organizationId jobId provisioning { overall } } }`
const CANCEL =
  'mutation ($id: ID!) { cancelMove(organizationId: $id) { organizationId jobId provisioning { overall } } }'

const as = (person: Person, mutation: string, variables: Record<string, unknown> = {}) =>
  ask(project, cast.credentials(person), mutation, { id: cast.organizationId, ...variables })

/** Those that belong to moves, oldest first. */
const jobs = () => project.sql<{ id: string; kind: string; tier: string; status: string }[]>`
  select id, kind, tier, status from public.provisioning_jobs
  where organization_id = ${cast.organizationId} and kind like '%move' order by created_at, id`

const refusal = (mutation: string, code: string) => [
  { path: [mutation === MOVE ? 'moveTenant' : 'cancelMove'], extensions: { code } },
]

describe('moveTenant', () => {
  it.each<Person>(['stranger', 'member', 'admin', 'owner'])(
    'is refused to a %s, and so is cancelMove',
    async (person) => {
      for (const mutation of [MOVE, CANCEL]) {
        const { data, errors } = await as(person, mutation)
        expect(data).toBeNull()
        expect(errors).toMatchObject(refusal(mutation, 'forbidden'))
      }
      expect(await jobs()).toEqual([])
    },
  )

  it.each<[string, Record<string, unknown>, string]>([
    ['an unknown tier', { tier: 'castle' }, 'unknown_choice'],
    ['a tier that is no word', { tier: '; drop' }, 'invalid_argument'],
    ['the tier that it is in', { tier: 'database' }, 'move_not_possible'],
    ['an organization that is no id', { id: 'x' }, 'invalid_argument'],
    [
      'an organization that does not exist',
      { id: '00000000-0000-4000-8000-000000000000' },
      'organization_not_found',
    ],
  ])('is refused for %s', async (_, variables, code) => {
    const { errors } = await as('operator', MOVE, variables)
    expect(errors).toMatchObject(refusal(MOVE, code))
    expect(await jobs()).toEqual([])
  })

  it('is refused to an operator where the plan does not have the tier', async () => {
    await setPlan('free')
    try {
      expect((await as('operator', MOVE)).errors).toMatchObject(refusal(MOVE, 'size_not_in_plan'))
    } finally {
      await setPlan('enterprise')
    }
    expect(await jobs()).toEqual([])
  })

  it('only looks in a dry run, and its job tells what it has seen', async () => {
    const { data } = await as('operator', MOVE, { dryRun: true })
    const { jobId, ...rest } = data.moveTenant
    expect(rest).toEqual({ organizationId: cast.organizationId, provisioning: { overall: 'READY' } })
    await until('look', async () => ((await jobs()).at(-1)?.status === 'succeeded' ? true : undefined))
    expect(await jobs()).toMatchObject([{ id: jobId, kind: 'check_move' }])
    const { data: step } = await project.admin
      .from('provisioning_steps')
      .select('output')
      .eq('job_id', jobId)
      .eq('step', 'move_check')
      .single()
      .throwOnError()
    expect(step.output).toMatchObject({ differ: [], extra: [] })
    expect(await project.sql`select from provisioning.tenant_moves`).toHaveLength(0)
    const [audited] = await project.sql`
      select actor_id, metadata from public.audit_logs where action = 'move.checked' and organization_id = ${cast.organizationId}`
    expect(audited).toMatchObject({ actor_id: cast.user('operator').userId, metadata: { tier: 'project' } })
  })

  it.each<Person>(['operator', 'service'])(
    'begins a move for the %s, goes on with it when asked again, and cancelMove ends it',
    async (person) => {
      const before = (await jobs()).length
      const { data } = await as(person, MOVE, { withData: false, leaveExtraTables: true })
      expect(data.moveTenant).toMatchObject({
        organizationId: cast.organizationId,
        provisioning: { overall: 'READY' },
      })
      const { jobId } = data.moveTenant
      const begun = [{ id: jobId, kind: 'move', tier: 'project', status: 'queued' }]
      expect((await jobs()).slice(before)).toEqual(begun)
      const wishes = () => project.sql`
      select job_id, with_data, leave_extra_tables from provisioning.tenant_moves where organization_id = ${cast.organizationId}`
      expect(await wishes()).toEqual([{ job_id: jobId, with_data: false, leave_extra_tables: true }])

      expect((await as(person, MOVE)).data.moveTenant.jobId).toBe(jobId)
      expect((await jobs()).slice(before)).toEqual(begun)
      expect(await wishes()).toEqual([{ job_id: jobId, with_data: true, leave_extra_tables: false }])

      const cancelled = await as(person, CANCEL)
      const { jobId: undoId } = cancelled.data.cancelMove
      expect(cancelled.data.cancelMove).toMatchObject({
        organizationId: cast.organizationId,
        provisioning: { overall: 'READY' },
      })
      expect((await jobs()).slice(before)).toEqual([
        { id: jobId, kind: 'move', tier: 'project', status: 'cancelled' },
        { id: undoId, kind: 'undo_move', tier: 'project', status: 'queued' },
      ])
      expect((await as(person, CANCEL)).errors).toMatchObject(refusal(CANCEL, 'nothing_to_cancel'))
      expect((await as(person, MOVE)).errors).toMatchObject(refusal(MOVE, 'undo_in_progress'))
      await project.sql`update public.provisioning_jobs set status = 'cancelled', finished_at = now() where id = ${undoId}`
    },
  )
})
