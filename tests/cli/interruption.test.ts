import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { startTestProject, type TestProject, until } from '../support/project.ts'
import { operatorOf, startTenants, tenantsJson } from './cli.ts'

vi.setConfig({ testTimeout: 90_000, hookTimeout: 90_000 })

const USERS = 1_200

let project: TestProject
beforeAll(async () => {
  project = await startTestProject()
  // What is looked at are the rows; nobody needs the databases.
  await project.services.worker.pauseHttp()
  await project.superuser`alter table auth.users disable trigger user`
  await project.superuser`
    insert into auth.users (id, aud, role, email, raw_app_meta_data, raw_user_meta_data, email_confirmed_at, created_at, updated_at)
    select gen_random_uuid(), 'authenticated', 'authenticated', 'user' || i || '@example.com', '{}', '{}', now(), now(), now()
    from generate_series(1, ${USERS}::integer) i`
  await project.superuser`alter table auth.users enable trigger user`
})
afterAll(() => project?.stop())

const repaired = async () => {
  const [row] = await project.sql<{ count: number }[]>`select count(*)::integer as count from public.wallets`
  return row?.count ?? 0
}

test('a backfill that is interrupted says exactly how many it repaired, and the next one does the rest', async () => {
  const environment = operatorOf(project)
  const running = startTenants(environment, 'backfill', '--yes', '--json')
  await until('repaired user', async () => (await repaired()) > 0 || undefined, 60_000)
  running.signalGroup('SIGINT')
  const { code, stdout, stderr } = await running.ended
  expect(code).toBe(130)
  const before = await repaired()
  expect(before).toBeLessThan(USERS)
  expect(JSON.parse(stdout)).toMatchObject({ repaired: before, complete: false })
  expect(stderr).toContain('Waiting for the portion that is being repaired; Ctrl-C again ends at once.')
  expect(stderr).toContain(`${before} users were repaired; start it again to go on.`)
  const { document } = await tenantsJson(environment, 'backfill', '--yes')
  expect(document).toMatchObject({ repaired: USERS - before, failed: 0, complete: true })
  expect(await repaired()).toBe(USERS)
})
