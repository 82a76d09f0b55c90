import { readFile } from 'node:fs/promises'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, expect, inject, it, vi } from 'vitest'
import { type ConsoleServer, startConsole } from '../../local/console.ts'
import { ensureConsole } from '../../tools/console/build.ts'
import { freePort } from '../../tools/ports.ts'
import { sweep } from '../functions/health-project.ts'
import { startTestProject, type TestProject } from '../support/project.ts'
import { launchBrowser } from './browser.ts'
import {
  accessibilityProblems,
  openContext,
  picture,
  placesOf,
  scriptKilobytes,
  type Trouble,
} from './pages.ts'

// Three browsers' work on a machine that may do much else.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 90_000 })

let project: TestProject
let pages: ConsoleServer
let browser: Browser
let context: BrowserContext
let trouble: Trouble
let page: Page

const EMAIL = 'ann@example.com'
// Of this run alone: the server's log is that of all tests.
const PASSWORD = crypto.randomUUID()
/** What the pages have had in their memory, by what it is. */
const secrets = new Map<string, string>([['the password of the account', PASSWORD]])

beforeAll(async () => {
  await ensureConsole()
  ;[project, browser] = await Promise.all([
    // "Check now" is pressed more often than a person would.
    startTestProject({ settings: { health_requests_per_minute: 1_000 } }),
    launchBrowser(),
  ])
  const { url } = project.services
  pages = await startConsole({ url, publishableKey: project.keys.publishableKey }, 0)
  ;({ context, trouble } = await openContext(browser, [pages.url, url]))
  page = await context.newPage()
  page.setDefaultTimeout(15_000)
})

afterAll(async () => {
  await browser?.close()
  await pages?.stop()
  await project?.stop()
})

afterEach(async ({ task }) => {
  if (task.result?.state !== 'fail') return
  console.log(page.url(), await page.locator('body').textContent())
  console.log(
    project.log
      .slice(-20)
      .map(({ text }) => text)
      .join('\n'),
  )
})

const answer = () => page.getByRole('region', { name: 'Data' })
const status = (text: string | RegExp) => page.getByText(text, { exact: typeof text === 'string' }).first()

it('tells what is wrong with a form before it asks anybody', async () => {
  await page.goto(pages.url)
  await page.getByRole('link', { name: 'Create an account' }).click()
  await page.getByLabel('E-mail address').fill('ann')
  await page.getByLabel('Password', { exact: true }).fill('short')
  await page.getByRole('button', { name: 'Sign up' }).click()
  await status(/such as ann@example.com/).waitFor()
  await status('Take at least 8 characters.').waitFor()
  expect(await page.getByLabel('E-mail address').evaluate((input) => input === document.activeElement)).toBe(
    true,
  )
  expect(await accessibilityProblems(page)).toEqual([])
  await picture(page, 'sign-up')
  // Auth takes a domain without a dot.
  await page.getByLabel('E-mail address').fill('ann@intranet')
  await page.getByRole('button', { name: 'Sign up' }).click()
  await status(/such as ann@example.com/).waitFor({ state: 'hidden' })
})

it('leads from the sign-up to the live progress, and goes on after a reload and when a stream was lost', async () => {
  project.neonEmulator.faults.add({
    match: { operation: 'createProject' },
    action: { type: 'status', status: 422 },
  })
  await page.getByLabel('Organization').fill('Ann’s bakery')
  await page.getByLabel('E-mail address').fill(EMAIL)
  await page.getByLabel('Password', { exact: true }).fill(PASSWORD)
  await page.getByRole('button', { name: 'Sign up' }).click()
  await page.getByRole('heading', { name: 'Ann’s bakery' }).waitFor()
  await page.getByText('Database could not be completed').waitFor()
  expect(await accessibilityProblems(page)).toEqual([])
  // All that was needed from an empty browser to the live progress.
  expect(await scriptKilobytes(page)).toBeLessThanOrEqual(200)
  await picture(page, 'progress-failed')

  project.neonEmulator.faults.clear()
  const live = page.getByText('Live', { exact: true })
  await project.whileHeld(async () => {
    await page.getByRole('button', { name: 'Try again', exact: true }).click()
    await live.waitFor()
    await page.reload()
    await live.waitFor()
    await context.setOffline(true)
    await page.getByText('Not live: reconnecting.').waitFor()
    expect(await accessibilityProblems(page)).toEqual([])
    await context.setOffline(false)
    await live.waitFor()
  })
  await page.getByText('Your database is ready').waitFor()
  await status('100 %').waitFor()
  expect(await accessibilityProblems(page)).toEqual([])
  await picture(page, 'progress-ready')
})

it('leads to a first query that works, with the member’s own rights', async () => {
  await page.getByRole('link', { name: 'Run the first query' }).click()
  await page.getByRole('button', { name: 'Run', exact: true }).click()
  await answer().getByText(EMAIL).waitFor()
  await status(/^Answered in \d+ ms\. /).waitFor()
  expect(await accessibilityProblems(page)).toEqual([])
  await picture(page, 'query')

  const query = page.getByLabel('Query', { exact: true })
  await query.fill('{\n  users(first: 1) { nodes { nickname } }\n}')
  await query.press('Control+Enter')
  await status('Line 2, column 29').waitFor()
  await status(/Cannot query field "nickname"/).waitFor()
  await status(/^invalid_query · request [0-9a-f-]+$/).waitFor()
  expect(await accessibilityProblems(page)).toEqual([])
  await picture(page, 'query-refused')
  await page.getByLabel('Variables').fill('[1')
  await query.press('Control+Enter')
  await status(/no JSON object/).waitFor()

  await page.getByRole('button', { name: 'organizations', exact: true }).click()
  await expect.poll(() => query.inputValue()).toContain('timeZone')
  await query.press('Control+Enter')
  await answer().getByText('"name": "Ann’s bakery"').waitFor()
  await query.press('Control+z')
  expect(await query.inputValue()).toContain('nickname')
})

it('shows how to connect, reveals the password on request, and keeps it nowhere', async () => {
  await page.getByRole('link', { name: 'Infrastructure' }).first().click()
  await page.getByRole('heading', { name: 'Infrastructure', level: 1 }).waitFor()
  await page.getByText('••••••••').waitFor()
  expect(await accessibilityProblems(page)).toEqual([])
  await picture(page, 'infrastructure')

  await page.getByRole('button', { name: 'Reveal the password' }).click()
  await page.getByRole('dialog').getByText('audit log').waitFor()
  expect(await accessibilityProblems(page)).toEqual([])
  await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click()
  const password = await revealed()
  secrets.set('the password of the database', password)
  await page.getByRole('button', { name: 'Hide the password' }).click()
  expect(await page.content()).not.toContain(password)
})

/** Reveals the password of the database, and leaves it shown. */
async function revealed(): Promise<string> {
  await page.getByRole('button', { name: 'Reveal the password' }).click()
  await page.getByRole('button', { name: 'Reveal', exact: true }).click()
  await page.getByRole('button', { name: 'Hide the password' }).waitFor()
  const shown = await page.locator('pre[data-secret]').textContent()
  const [, password = ''] = /password=(\S+)/.exec(shown ?? '') ?? []
  expect(password.length).toBeGreaterThan(10)
  expect(await placesOf(password, page, trouble, {})).toEqual([])
  return password
}

it('changes the password of the database, and shows the new one', async () => {
  await page.getByRole('button', { name: 'Change the password' }).click()
  await page.getByRole('button', { name: 'Change it' }).click()
  await page.getByText('A new login is being made').waitFor()
  await expect
    .poll(() => project.sql`select status from public.provisioning_jobs where kind = 'rotate_credentials'`)
    .toEqual([{ status: 'succeeded' }])
  const password = await revealed()
  expect(password).not.toBe(secrets.get('the password of the database'))
  secrets.set('the password that took its place', password)
  await page.getByRole('button', { name: 'Hide the password' }).click()
})

it('makes an API key and shows it once; it works until it is revoked, and the one in its place thereafter', async () => {
  await page.getByRole('link', { name: 'Infrastructure' }).first().click()
  await page.getByRole('button', { name: 'New key' }).click()
  await page.getByLabel('Name', { exact: true }).fill('Website')
  await page.getByRole('button', { name: 'Create the key' }).click()
  await page.locator('code[data-secret]').waitFor()
  expect(await accessibilityProblems(page)).toEqual([])
  const key = await copiedKey('the API key')
  await page.getByText('Website', { exact: true }).waitFor()
  expect(await page.content()).not.toContain(key)

  await askWithKey(key)
  await answer().getByText(EMAIL).waitFor()
  await page.getByRole('link', { name: 'Infrastructure' }).first().click()
  await page.getByRole('button', { name: 'Replace Website' }).click()
  await page.getByRole('button', { name: 'Replace', exact: true }).click()
  const next = await copiedKey('the API key that took its place')
  const former = page.getByRole('listitem').filter({ has: page.getByText('Replaced', { exact: true }) })
  await former.getByRole('button', { name: 'Revoke Website' }).click()
  await page.getByRole('button', { name: 'Revoke', exact: true }).click()
  await page.getByText('Revoked', { exact: true }).waitFor()
  expect(
    await project.sql`select replaced_by is null as newer from public.tenant_api_keys where revoked_at is null`,
  ).toEqual([{ newer: true }])
  await askWithKey(next)
  await answer().getByText(EMAIL).waitFor()
  await askWithKey(key)
  // What was found valid is relied on for up to a second.
  await vi.waitFor(async () => {
    await page.getByRole('button', { name: 'Run', exact: true }).click()
    await status(/This API key is not valid/).waitFor({ timeout: 500 })
  }, 20_000)
  expect(await accessibilityProblems(page)).toEqual([])
  await picture(page, 'query-key-refused')
})

/** The key that a dialog shows once, which is closed then. */
async function copiedKey(what: string): Promise<string> {
  const key = (await page.locator('code[data-secret]').textContent()) ?? ''
  expect(key).toMatch(/^tdk_[0-9a-f]{48}$/)
  expect(await placesOf(key, page, trouble, {})).toEqual([])
  secrets.set(what, key)
  await page.getByRole('button', { name: 'I have copied it' }).click()
  await page.locator('code[data-secret]').waitFor({ state: 'detached' })
  return key
}

async function askWithKey(key: string): Promise<void> {
  await page.getByRole('link', { name: 'Query' }).first().click()
  await page.getByLabel('Query', { exact: true }).fill('{ users(first: 5) { nodes { email } } }')
  await page.getByLabel('With an API key').check()
  await page.getByLabel('API key', { exact: true }).fill(key)
  await page.getByRole('button', { name: 'Run', exact: true }).click()
}

it('shows the health, and checks it when asked to', async () => {
  await page.getByRole('link', { name: 'Health' }).first().click()
  await page.getByRole('button', { name: 'Check now' }).click()
  await page.getByText('Healthy', { exact: true }).waitFor()
  await page.getByRole('tab', { name: '1 hour' }).click()
  await page.getByText('no interruption').waitFor()
  expect(await accessibilityProblems(page)).toEqual([])
  await picture(page, 'health')
})

it('shows the alert when the database breaks, and that it is over when it has recovered', async () => {
  const [broken] = await project.sql<{ organizationId: string; port: number }[]>`
    select d.organization_id as "organizationId", d.port
    from public.organization_databases d join public.organizations o on o.id = d.organization_id
    where o.name = 'Ann’s bakery'`
  if (!broken) throw new Error('Ann’s bakery has no database.')
  await checkThriceAt(broken.organizationId, await freePort())
  await page.getByText('Unhealthy', { exact: true }).waitFor()
  await page.getByText('Critical', { exact: true }).waitFor()
  expect(await accessibilityProblems(page)).toEqual([])
  await picture(page, 'health-alert')
  await checkThriceAt(broken.organizationId, broken.port)
  await page.getByText('Healthy', { exact: true }).waitFor()
  expect(await page.getByText('Critical', { exact: true }).count()).toBe(0)
})

/** One bad check opens no alert, one good check ends none, and those that come soon after another do not count. */
async function checkThriceAt(organizationId: string, port: number): Promise<void> {
  await project.sql`
    update public.organization_databases set port = ${port} where organization_id = ${organizationId}`
  for (let round = 0; round < 3; round += 1) {
    await project.sql`
      update public.tenant_health set counted_at = counted_at - interval '1 hour'
      where organization_id = ${organizationId}`
    await sweep(project, [{ organizationId }])
  }
  await page.getByRole('button', { name: 'Check now' }).click()
}

it('makes another organization where the person wants it, when they have confirmed what stays', async () => {
  await page.getByLabel('Organization', { exact: true }).selectOption('New organization …')
  await page.getByRole('heading', { name: 'New organization' }).waitFor()
  await page.getByRole('radio', { name: /Frankfurt/ }).waitFor()
  // The clock of the browser is in Berlin.
  expect(await page.getByRole('radio', { name: /Frankfurt/ }).isChecked()).toBe(true)
  expect(await page.getByRole('radio', { name: /large/ }).isDisabled()).toBe(true)
  await page.getByLabel('Name of the organization').fill('Ann’s café')
  await page.getByRole('button', { name: 'Create and set up' }).click()
  await page.getByText('Confirm this first.').waitFor()
  expect(await accessibilityProblems(page)).toEqual([])
  await picture(page, 'new-organization')
  await page.getByRole('checkbox', { name: /cannot be changed later/ }).check()
  await page.getByRole('button', { name: 'Create and set up' }).click()
  await page.getByRole('heading', { name: 'Ann’s café' }).waitFor()
  await page.getByText('Your database is ready').waitFor()
  const [row] = await project.sql`select data_region from public.organizations where name = 'Ann’s café'`
  expect(row?.data_region).toBe('eu-central-1')
})

it('refuses the list of all tenants to whoever is no operator, and gives it to operators', async () => {
  await page.goto(`${pages.url}/tenants`)
  await page.getByText('For operators', { exact: true }).waitFor()
  await project.sql`
    select provisioning.grant_operator(id, 'a test') from auth.users where email = ${EMAIL}`
  await page.goto(`${pages.url}/tenants?search=caf%C3%A9`)
  await page.getByRole('button', { name: 'Ann’s café' }).waitFor()
  expect(await page.getByRole('button', { name: 'Ann’s bakery' }).count()).toBe(0)
  await page.getByRole('button', { name: /^All tenants/ }).click()
  await page.getByRole('button', { name: 'Ann’s bakery' }).waitFor()
  await expect.poll(() => new URL(page.url()).search).toBe('')
  expect(await accessibilityProblems(page)).toEqual([])
  await picture(page, 'tenants')
  await page.getByRole('button', { name: 'Ann’s bakery' }).click()
  await page.getByRole('dialog').getByText('Fine').first().waitFor()
  expect(await accessibilityProblems(page)).toEqual([])
  await picture(page, 'tenant')
  await page.getByRole('button', { name: 'Close', exact: true }).click()
  await page.getByRole('button', { name: 'Try failed ones again' }).click()
  await page.getByText('None of the tenants of this view has failed.').waitFor()
  await page.getByRole('button', { name: 'Close', exact: true }).click()
})

it('signs out and in again, and keeps no password', async () => {
  await page.getByRole('button', { name: /^Sign out/ }).click()
  await page.getByRole('heading', { name: 'Sign in' }).waitFor()
  await page.getByLabel('E-mail address').fill(EMAIL)
  await page.getByLabel('Password', { exact: true }).fill('wrong-password')
  await page.getByRole('button', { name: 'Sign in' }).click()
  await status('The e-mail address or the password is wrong.').waitFor()
  expect(await accessibilityProblems(page)).toEqual([])
  await page.getByLabel('Password', { exact: true }).fill(PASSWORD)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByRole('heading', { name: 'Ann’s bakery' }).waitFor()
  const stored = await page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }))
  expect(stored).not.toContain(PASSWORD)
})

it('deletes an organization when its slug was typed', async () => {
  const [row] = await project.sql`select slug from public.organizations where name = 'Ann’s café'`
  await page.goto(`${pages.url}/o/${row?.slug}/infrastructure`)
  await page.getByRole('button', { name: 'Delete', exact: true }).click()
  const confirm = page.getByRole('button', { name: 'Delete for good' })
  expect(await confirm.isDisabled()).toBe(true)
  await page.getByLabel(`Type ${row?.slug} to confirm`).fill(row?.slug ?? '')
  await page.getByText(/removed after/).waitFor()
  await picture(page, 'delete')
  await confirm.click()
  await page.getByRole('heading', { name: 'Ann’s bakery' }).waitFor()
  expect(await project.sql`select from public.organizations where name = 'Ann’s café'`).toHaveLength(0)
})

it('left no password and no key in an address, a store of the browser or a log, from the sign-up to the deletion', async () => {
  expect([...secrets.keys()]).toHaveLength(5)
  const logs = {
    functions: project.log.map(({ text }) => text).join('\n'),
    Postgres: await readFile(inject('postgresLog'), 'utf8'),
  }
  expect(logs.functions).not.toBe('')
  expect(trouble.told.length).toBeGreaterThan(20)
  for (const [what, secret] of secrets)
    expect([what, await placesOf(secret, page, trouble, logs)]).toEqual([what, []])
  // It would be found: the session is where auth-js keeps it.
  const token = await page.evaluate(
    () => JSON.parse(localStorage.getItem('console-session') ?? '{}').access_token,
  )
  expect(await placesOf(token, page, trouble, logs)).toEqual(['localStorage'])
})

it('asked nobody but the project, and broke no rule of its policy', () => {
  expect(trouble.found).toEqual([])
})
