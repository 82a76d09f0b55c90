import type { Browser, Page, Request } from 'playwright-core'
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest'
import { type ConsoleServer, startConsole } from '../../local/console.ts'
import { ensureConsole } from '../../tools/console/build.ts'
import { type SignedUp, startTestProject, type TestProject } from '../support/project.ts'
import { launchBrowser } from './browser.ts'
import { accessibilityProblems, openContext, type Trouble } from './pages.ts'

vi.setConfig({ testTimeout: 60_000, hookTimeout: 90_000 })

let project: TestProject
let pages: ConsoleServer
let browser: Browser
let trouble: Trouble
let page: Page

let operator: SignedUp

// Of everybody whom TestProject signs up.
const PASSWORD = 'correct horse battery staple'
const TENANTS = 120

/** Rows alone: T001 is the oldest. The first five have failed, for two reasons; every tenth is in Sydney. */
async function insertTenants(): Promise<void> {
  await project.superuser.begin(async (sql) => {
    await sql`set local session_replication_role = replica`
    await sql`
      insert into auth.users (id, email, created_at)
      select md5('user' || n)::uuid, 'user' || n || '@example.com', now() from generate_series(1, ${TENANTS}) n`
    await sql`
      insert into public.organizations (id, name, slug, owner_id, data_region, hosting_region, provisioning_status, provisioned_at, created_at)
      select md5('tenant' || n)::uuid, 'T' || lpad(n::text, 3, '0'), 't-' || n, md5('user' || n)::uuid,
        case when n % 10 = 0 then 'ap-southeast-2' else 'eu-central-1' end, 'eu-central-1',
        jsonb_build_object('overall', case when n <= 5 then 'failed' else 'ready' end), case when n > 5 then now() end,
        now() - interval '1 day' + n * interval '1 minute'
      from generate_series(1, ${TENANTS}) n`
    await sql`
      insert into public.organization_databases (organization_id, neon_project_id, region, size, status, health_status, schema_version)
      select md5('tenant' || n)::uuid, 'project-' || n, 'aws-eu-central-1', 'small', 'active', 'healthy', 1
      from generate_series(6, ${TENANTS}) n`
    await sql`
      insert into public.provisioning_jobs (organization_id, kind, status, attempts, created_at, started_at, finished_at, last_error)
      select md5('tenant' || n)::uuid, 'provision', 'failed', 3, now(), now(), now(), jsonb_build_object('step', 'neon_project',
        'retryable', false, 'message', 'The provider refused it.', 'code', case when n <= 2 then 'neon_key_rejected' else 'neon_refused' end)
      from generate_series(1, 5) n`
  })
}

beforeAll(async () => {
  await ensureConsole()
  ;[project, browser] = await Promise.all([startTestProject(), launchBrowser()])
  operator = await project.signUp()
  await project.waitFor(operator.organizationId)
  await project.sql`select provisioning.grant_operator(${operator.userId}, 'a test')`
  await insertTenants()
  await project.sql`update provisioning.provider_status set state = 'open', consecutive_failures = 5,
    next_try_at = now() + interval '1 hour', last_error = 'It did not answer within 10 s.' where provider = 'stripe_live'`
  const { url } = project.services
  pages = await startConsole({ url, publishableKey: project.keys.publishableKey }, 0)
  const opened = await openContext(browser, [pages.url, url])
  trouble = opened.trouble
  page = await opened.context.newPage()
  page.setDefaultTimeout(15_000)
  await page.goto(`${pages.url}/sign-in`)
  await page.getByLabel('E-mail address').fill(operator.email)
  await page.getByLabel('Password', { exact: true }).fill(PASSWORD)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByText('Your database is ready').waitFor()
})

afterAll(async () => {
  await browser?.close()
  await pages?.stop()
  await project?.stop()
})

afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') console.log(page.url(), await page.locator('body').textContent())
})

const rows = () => page.locator('tbody tr')
const tenant = (name: string) => page.getByRole('button', { name, exact: true })
const panel = (title: string) =>
  page.locator('section', { has: page.getByRole('heading', { name: title, exact: true }) })
const parameters = () => Object.fromEntries(new URL(page.url()).searchParams)

it('says which provider does not answer, which versions the tenants have, and why some have failed', async () => {
  await page.goto(`${pages.url}/tenants`)
  await panel('Providers').getByText('Does not answer').waitFor()
  await panel('Providers').getByText('It did not answer within 10 s.').waitFor()
  expect(
    await panel('Providers')
      .getByText(/% free/)
      .count(),
  ).toBeGreaterThan(1)
  await panel('Schema versions').getByText('Version 1').waitFor()
  await panel('Schema versions').getByText('116', { exact: true }).waitFor()
  await panel('Failed, by reason').getByRole('button', { name: 'Neon refused.' }).waitFor()
  expect(await accessibilityProblems(page)).toEqual([])
})

it('asks for the list once when it is opened, before anything else, and not for a pointer that passes by', async () => {
  await page.goto(`${pages.url}/`)
  await page.getByText('Your database is ready').waitFor()
  const asked: string[] = []
  const note = (request: Request) => {
    const [, name] = /"query":"(?:query|mutation) (\w+)/.exec(request.postData() ?? '') ?? []
    if (name) asked.push(name)
  }
  page.on('request', note)
  const link = page.getByRole('link', { name: 'Tenants' }).first()
  await link.hover()
  await page.waitForLoadState('networkidle')
  expect(asked).toEqual([])
  await link.click()
  await panel('Failed, by reason').getByRole('button').first().waitFor()
  page.off('request', note)
  expect(asked[0]).toBe('Tenants')
  expect(asked.filter((name) => name === 'Tenants')).toHaveLength(1)
  expect(asked).toContain('FleetCounts')
})

it('narrows the list to a reason, and takes the filter away again', async () => {
  await panel('Failed, by reason').getByRole('button', { name: 'Neon does not accept NEON_API_KEY.' }).click()
  await expect.poll(() => rows().count()).toBe(2)
  expect(parameters()).toEqual({ code: 'neon_key_rejected' })
  await page
    .getByRole('button', { name: 'Remove the filter Failed: Neon does not accept NEON_API_KEY.' })
    .click()
  await expect.poll(() => rows().count()).toBe(50)
})

it('keeps filters, order and page in the address, so that a reload and another person see the same', async () => {
  await page.getByRole('combobox', { name: 'Region' }).selectOption('eu-central-1')
  await page.getByRole('combobox', { name: 'Order' }).selectOption('Name, A to Z')
  await tenant('T001').waitFor()
  await page.getByRole('button', { name: 'Next' }).click()
  // Every tenth of the first 50 is elsewhere.
  await tenant('T056').waitFor()
  expect(parameters()).toEqual({
    region: 'eu-central-1',
    sort: 'NAME_ASC',
    after: expect.stringMatching(/^\S+$/),
  })
  await page.reload()
  await tenant('T056').waitFor()
  expect(await page.getByRole('combobox', { name: 'Region' }).inputValue()).toBe('eu-central-1')
  await page.getByRole('button', { name: 'Next' }).click()
  await tenant('T112').waitFor()
  await page.getByRole('button', { name: 'Previous' }).click()
  await tenant('T056').waitFor()
  // Nobody knows the way back from a page that was opened by its address.
  await page.getByRole('button', { name: 'First page' }).click()
  await tenant('T001').waitFor()
  expect(parameters()).toEqual({ region: 'eu-central-1', sort: 'NAME_ASC' })
})

it('leaves no step of a search that is being typed in the history', async () => {
  await page.goto(`${pages.url}/tenants`)
  await rows().first().waitFor()
  const before = await page.evaluate(() => history.length)
  await page.getByRole('searchbox').pressSequentially('user7@', { delay: 120 })
  await page.getByRole('searchbox').fill('T077')
  await expect.poll(() => rows().count()).toBe(1)
  expect(parameters()).toEqual({ search: 'T077' })
  expect(await page.evaluate(() => history.length)).toBe(before)
})

it('opens a tenant’s whole verification in a drawer, which has an address of its own', async () => {
  await page.goto(`${pages.url}/tenants?search=${operator.email}`)
  await rows().first().getByRole('button').click()
  const drawer = page.getByRole('dialog')
  await drawer.getByText('Fine').first().waitFor()
  await drawer.getByRole('heading', { name: 'Steps' }).waitFor()
  await drawer.getByText('Connection check').waitFor()
  expect(await accessibilityProblems(page)).toEqual([])
  const { tenant: id } = parameters()
  expect(id).toMatch(/^[0-9a-f-]{36}$/)
  await page.reload()
  await drawer.getByText(operator.email).first().waitFor()
  await drawer.getByRole('button', { name: 'Close' }).click()
  await drawer.waitFor({ state: 'detached' })
  expect(parameters()).toEqual({ search: operator.email })
})

it('counts what a bulk retry is about before it tries anything, then tries it in the lane that waits', async () => {
  await page.goto(`${pages.url}/tenants?code=neon_refused`)
  await expect.poll(() => rows().count()).toBe(3)
  const waiting = () =>
    project.sql`select from public.provisioning_jobs where lane = 'batch' and organization_id in (
      select md5('tenant' || n)::uuid from generate_series(1, 5) n)`
  await page.getByRole('button', { name: 'Try failed ones again' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByText('3 tenants of this view have failed').waitFor()
  expect(await waiting()).toHaveLength(0)
  expect(await accessibilityProblems(page)).toEqual([])
  await dialog.getByRole('button', { name: 'Try 3 again' }).click()
  await dialog.getByText('3 tenants are tried again.').waitFor()
  expect(await waiting()).toHaveLength(3)
})

it('asked nobody but the project, and broke no rule of its policy', () => {
  expect(trouble.found).toEqual([])
})
