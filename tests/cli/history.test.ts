import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { type SignedUp, startTestProject, type TestProject } from '../support/project.ts'
import { operatorOf, tenants, tenantsJson } from './cli.ts'

vi.setConfig({ testTimeout: 90_000, hookTimeout: 90_000 })

const ROWS = 3

let project: TestProject
let person: SignedUp
beforeAll(async () => {
  project = await startTestProject()
  await project.services.worker.pauseHttp()
  person = await project.signUp()
  // Of one moment, so that a page ends between rows that only their ids tell apart.
  await project.sql`
    insert into public.provisioning_events (organization_id, event_type, resource_type, status, started_at)
    select ${person.organizationId}, 'page.test', 'job', 'succeeded', '2026-01-01' from generate_series(1, ${ROWS}::integer)`
  await project.sql`
    insert into public.tenant_alerts (organization_id, kind, severity, message, opened_at)
    select ${person.organizationId}, 'page_test_' || i, 'warning', 'Page.', '2026-01-01' from generate_series(1, ${ROWS}::integer) i`
})
afterAll(() => project?.stop())

const run = (...args: string[]) => tenants(operatorOf(project), ...args)

/** The ids of every page, and how many pages there were. */
async function pages(rows: string, ...args: string[]) {
  const ids: string[] = []
  for (let page = 1, after: unknown; ; page++) {
    const { code, document } = await tenantsJson(
      operatorOf(project),
      ...args,
      ...(after ? ['--after', String(after)] : []),
    )
    expect(code).toBe(0)
    ids.push(...(document[rows] as { id: string }[]).map(({ id }) => id))
    after = document.after
    if (after === null) return { ids, page }
  }
}

const COMMANDS = [
  ['events', () => ['events', person.organizationId, '--type', 'page.test']],
  ['alerts', () => ['alerts']],
  ['alerts', () => ['alerts', '--all', '--tenant', person.organizationId]],
] as const

describe('events and alerts', () => {
  test.each(COMMANDS)('%s comes in pages, each row once', async (rows, args) => {
    const { ids, page } = await pages(rows, ...args(), '--limit', '2')
    expect(page).toBe(2)
    expect(new Set(ids).size).toBe(ROWS)
    expect(ids).toHaveLength(ROWS)
  })

  test('say that there may be more, and only then', async () => {
    for (const [, args] of COMMANDS) {
      const some = await run(...args(), '--limit', '2')
      const hint = /\n\nThere may be more: npm run tenants -- (.+)\n$/.exec(some.stdout)?.[1] ?? ''
      const rest = await run(...hint.split(' '))
      expect(rest.stdout.trimEnd().split('\n')).toHaveLength(ROWS - 2)
    }
    const all = await run(...COMMANDS[0][1](), '--limit', String(ROWS))
    expect(all.stdout.trimEnd().split('\n')).toHaveLength(ROWS)
  })

  test('refuse more rows than the Data API gives at once, and a cursor that is none', async () => {
    const [rows, word, unknown] = await Promise.all([
      run('alerts', '--limit', '1001'),
      run('events', person.organizationId, '--after', 'yesterday'),
      run('alerts', '--after', '00000000-0000-4000-8000-000000000000'),
    ])
    expect(rows).toMatchObject({ code: 2, stderr: expect.stringContaining('at most 1000') })
    expect(word).toMatchObject({ code: 2, stderr: expect.stringContaining('must be an id') })
    expect(unknown).toMatchObject({ code: 1, stderr: expect.stringContaining('begin again without it') })
  })
})
