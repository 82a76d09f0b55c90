import { readFile } from 'node:fs/promises'
import path from 'node:path'
import type { Browser, Locator, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { type ConsoleServer, startConsole } from '../../local/console.ts'
import { ensureConsole } from '../../tools/console/build.ts'
import { projectRoot } from '../../tools/project.ts'
import { launchBrowser } from './browser.ts'
import { accessibilityProblems, openContext, problemsIn, type Trouble } from './pages.ts'
import { ALL, ORGANIZATION } from './pretended-data.ts'
import { type Fate, type PretendedProject, signInAt, startPretendedProject } from './pretended-project.ts'

vi.setConfig({ testTimeout: 30_000, hookTimeout: 60_000 })

let project: PretendedProject
let pages: ConsoleServer
let browser: Browser
let page: Page
let trouble: Trouble

/** What is shown of one thing that the API tells, and how a person gets there from the overview. */
interface View {
  /** Of the API, or `tenant-graphql`. */
  readonly asks: readonly string[]
  readonly open: () => Promise<void>
  /** Where it is shown, when other views are on the same page. */
  readonly within?: () => Locator
  /** As in `Loading the keys…`. */
  readonly loads: string
  readonly shows: string | RegExp
  /** What is said where there is nothing; `code` when the API says so by a refusal. */
  readonly empty: { readonly says: string | RegExp; readonly code?: 'database_not_found' }
  /** What somebody is told who may not see it. */
  readonly denied?: string
}

const DENIED = 'Your role in this organization does not allow this. Ask an owner or admin.'
const link = (name: string) => () => page.getByRole('link', { name, exact: true }).first().click()
const card = (title: string) => () =>
  page.locator('section', { has: page.getByRole('heading', { name: title, exact: true }) })
const tenants = link('Tenants')

const VIEWS: Readonly<Record<string, View>> = {
  'the organizations': {
    asks: ['Session', 'MyExpectations'],
    open: async () => {
      // The first thing that any page asks for.
      await page.goto(`${pages.url}/`)
    },
    loads: 'your organizations',
    shows: 'Your database is ready',
    empty: { says: 'You are in no organization yet' },
  },
  'who expects somebody': {
    asks: ['MyExpectations'],
    open: async () => {
      project.instead.set('myOrganizations', [])
      await page.goto(`${pages.url}/`)
    },
    loads: 'who expects you',
    shows: 'Join a team, or decline: then you get an organization of your own.',
    empty: { says: 'You are in no organization yet' },
  },
  'the progress': {
    asks: ['ProvisioningProgress', 'ProvisioningStatus'],
    open: link('Overview'),
    loads: 'the progress',
    shows: 'Your database is ready',
    empty: { says: 'Nothing has begun yet' },
  },
  'the connection': {
    asks: ['ConnectionInfo'],
    open: link('Infrastructure'),
    within: card('Connection'),
    loads: 'the connection',
    shows: 'pool.example.com',
    empty: { says: 'There is no database yet', code: 'database_not_found' },
  },
  'the API keys': {
    asks: ['ApiKeys'],
    open: link('Infrastructure'),
    within: card('API keys'),
    loads: 'the keys',
    shows: 'Website',
    empty: { says: 'There are no keys yet' },
  },
  'the schema version': {
    asks: ['SchemaVersion'],
    open: link('Infrastructure'),
    within: card('Schema version'),
    loads: 'the schema version',
    shows: 'table public.deals is changed',
    empty: { says: /^Not known yet/ },
  },
  'the members': {
    asks: ['Members'],
    open: link('Infrastructure'),
    within: card('Members'),
    loads: 'the members',
    shows: 'Ann Archer',
    empty: { says: 'There are no members.' },
  },
  'the expected members': {
    asks: ['ExpectedMembers'],
    open: link('Infrastructure'),
    within: card('Expected members'),
    loads: 'the expected members',
    shows: 'bob@example.com',
    empty: { says: 'Nobody is expected at the moment.' },
  },
  'the health': {
    asks: ['Health'],
    open: link('Health'),
    loads: 'the health',
    shows: 'Healthy',
    empty: { says: 'There is no database yet' },
  },
  'the tables': {
    asks: ['tenant-graphql'],
    open: link('Query'),
    within: card('Tables'),
    loads: 'the tables',
    shows: 'users',
    empty: { says: 'This database has no tables to ask for.' },
    denied: 'The list is switched off for this project. The schema that you were given has it.',
  },
  'what can be chosen': {
    asks: ['ProvisioningOptions'],
    open: async () => {
      await page.getByLabel('Organization', { exact: true }).selectOption('New organization …')
    },
    loads: 'what can be chosen',
    shows: /Frankfurt/,
    empty: { says: 'Nothing is offered at the moment' },
  },
  'the tenants': {
    asks: ['Tenants'],
    open: tenants,
    loads: 'the tenants',
    shows: 'ann@example.com',
    empty: { says: 'There are no such tenants' },
    denied: 'For operators',
  },
  'the counts': {
    asks: ['FleetCounts'],
    open: tenants,
    loads: 'the counts',
    shows: '1,234',
    empty: { says: /^All tenants0$/ },
    denied: 'For operators',
  },
  'the providers and versions': {
    asks: ['FleetPanels'],
    open: tenants,
    loads: 'Providers',
    shows: '97 % free',
    empty: { says: 'No provider has been called yet.' },
  },
  'the failures': {
    asks: ['RetryTenants'],
    open: tenants,
    within: card('Failed, by reason'),
    loads: 'Failed, by reason',
    shows: 'Neon refused the request.',
    empty: { says: 'No tenant has failed.' },
  },
  'a tenant': {
    asks: ['TenantDetails'],
    open: async () => {
      await tenants()
      await page.getByRole('cell').or(page.getByRole('rowheader')).getByRole('button').first().click()
    },
    within: () => page.getByRole('dialog'),
    loads: 'the checks',
    shows: 'The tenant is ready.',
    empty: { says: 'There is no such tenant.' },
  },
  'the tenants that can be tried again': {
    asks: ['RetryTenants'],
    open: async () => {
      await tenants()
      await page.getByRole('button', { name: 'Try failed ones again' }).click()
    },
    within: () => page.getByRole('dialog'),
    loads: 'the number',
    shows: 'Neon refused the request.',
    empty: { says: 'None of the tenants of this view has failed.' },
  },
}

beforeAll(async () => {
  await ensureConsole()
  ;[project, browser] = await Promise.all([startPretendedProject(), launchBrowser()])
  pages = await startConsole({ url: project.url, publishableKey: 'sb_publishable_pretended' }, 0)
  const opened = await openContext(browser, [pages.url, project.url])
  trouble = opened.trouble
  page = await opened.context.newPage()
  page.setDefaultTimeout(5_000)
  // What is tried again by itself waits for seconds.
  await page.clock.install()
})

afterAll(async () => {
  await browser?.close()
  await pages?.stop()
  await project?.stop()
})

beforeEach(async () => {
  project.fates.clear()
  project.instead.clear()
  await page.emulateMedia({ media: null, reducedMotion: null })
  await signInAt(page, pages.url)
  // A page that asks for nothing but the organizations.
  await page.goto(`${pages.url}/o/no-such-organization`)
  await page.getByRole('heading', { name: 'There is no such page' }).waitFor()
})

afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') console.log(page.url(), await page.locator('body').textContent())
  project.cut()
  await page.context().setOffline(false)
})

const placeOf = ({ within }: View) => within?.() ?? page.locator('main')
const shown = (view: View, text: string | RegExp) =>
  placeOf(view)
    .getByText(text, { exact: typeof text === 'string' })
    .first()
    .waitFor()

function becomes({ asks }: Pick<View, 'asks'>, fate: Fate): void {
  for (const name of asks) project.fates.set(name, fate)
}

/** What is tried again by itself is, until this is shown. */
const afterTries = (view: View, text: RegExp) =>
  vi.waitFor(async () => {
    await page.clock.fastForward(4_000)
    await placeOf(view).getByText(text).first().waitFor({ timeout: 250 })
  }, 5_000)

/** Axe takes half a second. The views say how they stand with the same parts: one of them is looked at each time, all in test:long. */
const problemsOf = async (name: string, view: View, theme: 'light' | 'dark') =>
  name === 'the health' || process.env.LONG_TESTS === '1' ? problemsIn(placeOf(view), theme) : []

describe.each(Object.entries(VIEWS))('%s', (name, view) => {
  it('says that it is loading, then that there is no connection, and goes on by itself when there is one', async () => {
    becomes(view, 'hang')
    await view.open()
    await placeOf(view).getByText(`Loading ${view.loads}…`).first().waitFor({ state: 'attached' })
    expect(await problemsOf(name, view, 'light')).toEqual([])
    await page.context().setOffline(true)
    becomes(view, 'cut')
    project.cut()
    await shown(view, /^You are offline\. This page goes on when the connection is back\./)
    expect(await problemsOf(name, view, 'dark')).toEqual([])
    becomes(view, 'data')
    await page.context().setOffline(false)
    await shown(view, view.shows)
    expect(await page.getByText(/You are offline/).count()).toBe(0)
  })

  it('says that something went wrong, with the number for support, and can be tried again', async () => {
    becomes(view, { code: 'internal_error' })
    await view.open()
    await afterTries(view, /^Something went wrong on our side\. Tell support this number: request-1\.$/)
    expect(await problemsOf(name, view, 'light')).toEqual([])
    // The page's own timers stand still, so that it is the button that asks again.
    await page.clock.pauseAt((await page.evaluate(() => Date.now())) + 1_000)
    becomes(view, 'data')
    await placeOf(view).getByRole('button', { name: 'Try again' }).first().click()
    await page.clock.resume()
    await shown(view, view.shows)
    expect(
      await placeOf(view)
        .getByText(/Something went wrong/)
        .count(),
    ).toBe(0)
  })

  it('says who may see it', async () => {
    becomes(view, { code: 'forbidden' })
    await view.open()
    await shown(view, view.denied ?? DENIED)
    expect(await problemsOf(name, view, 'dark')).toEqual([])
  })

  it('says that there is nothing, and what comes', async () => {
    becomes(view, view.empty.code ? { code: view.empty.code } : 'nothing')
    await view.open()
    await shown(view, view.empty.says)
    expect(await problemsOf(name, view, 'light')).toEqual([])
  })
})

it('is tried for every query and subscription of the pages', async () => {
  const operations = await readFile(path.join(projectRoot, 'console/operations.graphql'), 'utf8')
  const named = [...operations.matchAll(/^(?:query|subscription) (\w+)/gm)].map(([, name]) => name)
  expect(named.length).toBeGreaterThan(10)
  expect(Object.values(VIEWS).flatMap(({ asks }) => asks)).toEqual(expect.arrayContaining(named))
})

it('offers to provision a tenant where there is none, and leads to its progress', async () => {
  const cancelled = { ...ORGANIZATION, provisioningStatus: { overall: 'cancelled' }, provisionedAt: null }
  project.instead.set('myOrganizations', [cancelled])
  project.instead.set('provisioningStatus', { ...ALL.provisioningStatus, overall: 'CANCELLED', percent: 0 })
  await page.goto(`${pages.url}/o/${ORGANIZATION.slug}/infrastructure`)
  await page.getByRole('heading', { name: 'Provision tenant' }).waitFor()
  await page.getByRole('radio', { name: /Frankfurt/ }).waitFor()
  await page.getByRole('button', { name: 'Set up', exact: true }).click()
  await page.getByText('Confirm this first.').waitFor()
  await page.getByRole('checkbox', { name: /cannot be changed later/ }).check()
  await page.getByRole('button', { name: 'Set up', exact: true }).click()
  await page.getByText('Your database is ready').waitFor()
  expect(project.asked.get('ProvisionTenant')).toEqual({
    organizationId: ORGANIZATION.id,
    dataRegion: 'eu-central-1',
    databaseSize: 'small',
  })
  // A plain member is told that there is nothing to be seen, and not asked to choose.
  project.instead.set('myOrganizations', [{ ...cancelled, role: 'MEMBER', permissions: ['CHECK_HEALTH'] }])
  await page.goto(`${pages.url}/o/${ORGANIZATION.slug}/infrastructure`)
  await page.getByText('For owners and admins').waitFor()
})

it('asks whoever is in no organization whether they join the team that expects them', async () => {
  project.instead.set('myOrganizations', [])
  await page.goto(`${pages.url}/`)
  await page.getByText('Ann’s bakery').waitFor()
  expect(await accessibilityProblems(page)).toEqual([])
  await page.getByRole('button', { name: 'Join' }).click()
  await expect.poll(() => project.asked.get('AcceptMembership')).toEqual({ organizationId: ORGANIZATION.id })
  project.instead.clear()
  await page.getByText('Your database is ready').waitFor()
})

it('gives whoever declines an organization of their own', async () => {
  project.instead.set('myOrganizations', [])
  await page.goto(`${pages.url}/`)
  await page.getByRole('button', { name: 'Decline' }).click()
  await expect.poll(() => project.asked.get('DeclineMembership')).toEqual({ organizationId: ORGANIZATION.id })
  project.instead.clear()
  await page.getByText('Your database is ready').waitFor()
})

it('asks what a new organization is to get, where its plan leaves a choice, and which of it stays', async () => {
  const { plans, ...options } = ALL.provisioningOptions
  const { tiers } = options
  const choose = async (allowed: readonly string[]) => {
    project.instead.set('provisioningOptions', { ...options, plans: [{ ...plans[0], tiers: allowed }] })
    await page.goto(`${pages.url}/new-organization`)
    await page.getByLabel('Name of the organization').fill('Ann’s café')
    const choice = (label = '') => page.getByRole('radio', { name: new RegExp(`^${label}`) })
    return [choice(tiers[0]?.label), choice(tiers[1]?.label)] as const
  }
  const send = async () => {
    project.asked.delete('CreateOrganization')
    await page.getByRole('checkbox', { name: /cannot be changed later/ }).check()
    await page.getByRole('button', { name: 'Create and set up' }).click()
    await expect.poll(() => project.asked.get('CreateOrganization')).toBeDefined()
    return project.asked.get('CreateOrganization')
  }
  const wishes = { name: 'Ann’s café', dataRegion: 'eu-central-1', databaseSize: 'small' }

  const [own, whole] = await choose(['database'])
  expect(await own.isChecked()).toBe(true)
  expect(await whole.isDisabled()).toBe(true)
  await page.getByText('The region cannot be changed later.').waitFor()
  expect(await send()).toEqual(wishes)

  const [, chosen] = await choose(['database', 'project'])
  // What a tier means is what it consists of.
  await page.getByText('Billing, Supabase project, Repository').waitFor()
  await page.getByText('The region and what you get cannot be changed later.').waitFor()
  await chosen.check()
  expect(await send()).toEqual({ ...wishes, tier: 'project' })
})

it('says what is wrong with a name while it is typed', async () => {
  await page.goto(`${pages.url}/new-organization`)
  const name = page.getByLabel('Name of the organization')
  const problem = page.getByText('Give your organization a name.')
  await name.fill('A')
  expect(await problem.count()).toBe(0)
  await name.fill('')
  await problem.waitFor()
  await name.fill('Ann')
  await problem.waitFor({ state: 'detached' })
})

const STEP = ALL.provisioningStatus.steps[0]
/** By the clock of the page, which other tests have put forward. */
const soon = () => page.evaluate(() => new Date(Date.now() + 40_000).toISOString())

function progressIs(progress: Readonly<Record<string, unknown>>): Promise<void> {
  for (const field of ['provisioningProgress', 'provisioningStatus'])
    project.instead.set(field, { ...ALL.provisioningStatus, percent: 40, provisionedAt: null, ...progress })
  return link('Overview')()
}

it('says of each step how it stands, what it waits for and why, and what to do meanwhile', async () => {
  const error = { code: 'neon_unavailable', message: 'Neon does not answer.', retryable: true }
  await progressIs({
    overall: 'PROVISIONING',
    nextAttemptAt: await soon(),
    error: { ...error, step: 'neon_project' },
    steps: [
      { ...STEP, startedAt: '2026-01-01T10:00:00Z', finishedAt: '2026-01-01T10:00:04.2Z' },
      { ...STEP, step: 'neon_project', status: 'RETRYING', attempts: 3, nextAttemptAt: await soon(), error },
      { ...STEP, step: 'credentials', status: 'PENDING', attempts: 0, startedAt: null, finishedAt: null },
    ],
  })
  const step = (name: string) =>
    page.getByRole('list', { name: 'Steps' }).getByRole('listitem').filter({ hasText: name })
  await step('Billing account').getByText('Done · 4.2 s').waitFor()
  await step('Database').getByText('Will be tried again').waitFor()
  await step('Database').getByText('3 attempts so far').waitFor()
  await step('Database').getByText('Neon does not answer.').waitFor()
  await step('Database')
    .getByText(/^Next try in \d+ s$/)
    .waitFor()
  await step('Logins').getByText('Waiting', { exact: true }).waitFor()
  await page.getByText('Something did not work; it is tried again by itself').waitFor()
  await page.getByRole('heading', { name: 'While you wait' }).waitFor()
  await page.getByText('Not working?').click()
  await page.getByText(/^If this page is not live/).waitFor()
  expect(await accessibilityProblems(page)).toEqual([])

  await progressIs({ overall: 'PENDING', pausedBecause: 'Neon is being looked after.', steps: [] })
  await page.getByText('Neon is being looked after.').waitFor()
})

it('tries the service again that has failed, and none of the others', async () => {
  const error = { code: 'neon_refused', message: 'Neon refused.', retryable: false }
  await progressIs({
    overall: 'FAILED',
    error: { ...error, step: 'neon_project' },
    steps: [STEP, { ...STEP, step: 'neon_project', service: 'neon', status: 'FAILED', error }],
  })
  await page.getByText('Database could not be completed').waitFor()
  project.instead.set('provisioningProgress', ALL.provisioningProgress)
  await page.getByRole('button', { name: 'Try Database again' }).click()
  await page.getByText('Your database is ready').waitFor()
  expect(project.asked.get('RetryProvisioning')).toEqual({
    organizationId: ORGANIZATION.id,
    services: ['neon'],
  })
})

it('lists the members page by page, and expects and withdraws others', async () => {
  const member = (n: number) => ({
    ...ALL.members[0],
    userId: ORGANIZATION.ownerId.replace(/..$/, String(n).padStart(2, '0')),
    role: 'MEMBER',
    fullName: null,
    email: `m${n}@example.com`,
    cursor: `after ${n}`,
  })
  const all = Array.from({ length: 60 }, (_, n) => member(n))
  project.instead.set('members', ({ first, after }: { first: number; after: string | null }) => {
    const from = all.findIndex(({ cursor }) => cursor === after) + 1
    return all.slice(from, from + first)
  })
  await link('Infrastructure')()
  const members = card('Members')()
  await members.getByText('m49@example.com').waitFor()
  await members.getByRole('button', { name: 'Show more' }).click()
  await members.getByText('m59@example.com').waitFor()
  expect(await members.getByRole('listitem').count()).toBe(60)
  expect(await members.getByRole('button', { name: 'Show more' }).count()).toBe(0)

  const expected = card('Expected members')()
  await expected.getByLabel('E-mail address').fill('cleo@example.com')
  await expected.getByLabel('Role').selectOption('Admin')
  await expected.getByRole('button', { name: 'Expect' }).click()
  await expect
    .poll(() => project.asked.get('ExpectMember'))
    .toEqual({ organizationId: ORGANIZATION.id, email: 'cleo@example.com', role: 'ADMIN' })
  await expect.poll(() => expected.getByLabel('E-mail address').inputValue()).toBe('')
  await expected.getByRole('button', { name: 'Withdraw bob@example.com' }).click()
  await expect
    .poll(() => project.asked.get('WithdrawExpectation'))
    .toEqual({ organizationId: ORGANIZATION.id, email: 'bob@example.com' })
})

it('gives an organization another name, and leads from one to the other', async () => {
  await link('Infrastructure')()
  const name = card('Name')()
  await name.getByLabel('Name of the organization').fill('Ann’s mill')
  await name.getByRole('button', { name: 'Save' }).click()
  await name.getByText('The name is changed.').waitFor()
  expect(project.asked.get('UpdateOrganization')).toEqual({
    organizationId: ORGANIZATION.id,
    name: 'Ann’s mill',
  })
  const mill = { ...ORGANIZATION, id: ORGANIZATION.id.replace(/.$/, '2'), name: 'Ann’s mill', slug: 'mill' }
  project.instead.set('myOrganizations', [ORGANIZATION, mill])
  await page.goto(`${pages.url}/o/${ORGANIZATION.slug}/health`)
  await page.getByLabel('Organization', { exact: true }).selectOption('Ann’s mill')
  await page.getByRole('heading', { name: 'Ann’s mill', level: 1 }).waitFor()
  expect(new URL(page.url()).pathname).toBe('/o/mill')
})

it('begins with a query that works also where the tables are none of ours', async () => {
  const column = (field: string) => ({ name: field, args: [], type: { kind: 'SCALAR', ofType: null } })
  project.instead.set('tenant-graphql', {
    data: {
      __schema: {
        queryType: {
          fields: [{ name: 'invoices', args: [{ name: 'first' }], type: { name: 'Page', ofType: null } }],
        },
      },
      __type: {
        fields: [
          { name: 'nodes', type: { ofType: { ofType: { fields: [column('id'), column('total')] } } } },
        ],
      },
    },
  })
  await link('Query')()
  await expect
    .poll(() => page.getByLabel('Query', { exact: true }).inputValue())
    .toMatch(/invoices\(first: \$first\) \{[^}]*id\s+total/)
  const asked = await page.getByLabel('Query', { exact: true }).inputValue()
  await page.getByRole('button', { name: 'Run', exact: true }).click()
  await page.getByRole('region', { name: 'Data' }).waitFor()
  expect(project.queries.at(-1)).toBe(asked)
})

it('copies the connection in four forms, with the password while it is shown, which is for 30 seconds', async () => {
  await page.getByRole('link', { name: 'Infrastructure' }).first().click()
  const copied = async (tab: string, form: string) => {
    await page.getByRole('tab', { name: tab, exact: true }).click()
    await page.getByRole('button', { name: `Copy the ${form} form`, exact: true }).click()
    return page.evaluate(() => navigator.clipboard.readText())
  }
  const where = 'pool.example.com'
  expect(await copied('psql', 'psql')).toBe(
    `psql "host=${where} port=6543 dbname=tenant user=app_1 password=YOUR_PASSWORD sslmode=verify-full sslrootcert=system"`,
  )
  expect(await copied('URI', 'uri')).toBe(
    `postgresql://app_1:YOUR_PASSWORD@${where}:6543/tenant?sslmode=verify-full`,
  )
  expect(await copied('.env', 'env')).toMatch(/^PGHOST=pool\.example\.com\nPGPORT=6543\n/)
  expect(await copied('Node.js', 'node')).toContain(`host: '${where}', port: 6543, database: 'tenant'`)
  await page.getByLabel('Through the pooler, for many short connections').uncheck()
  expect(await copied('URI', 'uri')).toContain('@db.example.com:5432/')

  const secret = 'a/password of the test'
  // The password was changed meanwhile, for which another user was made.
  project.instead.set('tenantConnectionInfo', {
    ...ALL.tenantConnectionInfo,
    role: 'app_2',
    password: secret,
  })
  await page.getByRole('button', { name: 'Reveal the password' }).click()
  await page.getByRole('button', { name: 'Reveal', exact: true }).click()
  await page.getByRole('button', { name: 'Hide the password' }).waitFor()
  expect(await copied('URI', 'uri')).toContain('//app_2:a%2Fpassword%20of%20the%20test@')
  expect(await copied('.env', 'env')).toContain(`PGPASSWORD=${secret}`)
  await page.clock.fastForward(25_000)
  expect(await page.content()).toContain(secret)
  await page.clock.fastForward(6_000)
  await page.getByRole('button', { name: 'Reveal the password' }).waitFor()
  expect(await page.content()).not.toContain(secret)
  expect(await copied('URI', 'uri')).toContain('//app_2:YOUR_PASSWORD@')
})

it('makes, renames, replaces and revokes keys, and changes the password, as a person says', async () => {
  await page.getByRole('link', { name: 'Infrastructure' }).first().click()
  const keys = card('API keys')()
  await keys.getByText(/last used 1\d minutes ago/).waitFor()
  await keys.getByRole('button', { name: 'New key' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByLabel('Name', { exact: true }).fill('Shop')
  await dialog.getByLabel('What it may do').selectOption('Read and write')
  await dialog.getByLabel('Ends').selectOption('in 30 days')
  await dialog.getByRole('button', { name: 'Create the key' }).click()
  await dialog.getByText('tdk_shown_once').waitFor()
  const { expiresAt, ...wishes } = project.asked.get('CreateApiKey') ?? {}
  expect(wishes).toEqual({ organizationId: ORGANIZATION.id, name: 'Shop', scope: 'WRITE' })
  const days = (new Date(String(expiresAt)).getTime() - Date.now()) / 86_400_000
  expect(Math.abs(days - 30)).toBeLessThan(0.1)
  await dialog.getByRole('button', { name: 'I have copied it' }).click()
  await dialog.waitFor({ state: 'detached' })
  expect(await page.content()).not.toContain('tdk_shown_once')

  const { id } = ALL.apiKeys[0] ?? {}
  await keys.getByRole('button', { name: 'Rename Website' }).click()
  await dialog.getByLabel('Name', { exact: true }).fill('Shop window')
  await dialog.getByRole('button', { name: 'Rename' }).click()
  await expect.poll(() => project.asked.get('RenameApiKey')).toEqual({ id, name: 'Shop window' })
  await dialog.waitFor({ state: 'detached' })
  await keys.getByRole('button', { name: 'Replace Website' }).click()
  await dialog.getByRole('button', { name: 'Replace' }).click()
  await dialog.getByText('tdk_replacement').waitFor()
  expect(project.asked.get('RerollApiKey')).toEqual({ id, graceHours: 24 })
  await dialog.getByRole('button', { name: 'I have copied it' }).click()
  await dialog.waitFor({ state: 'detached' })
  await keys.getByRole('button', { name: 'Revoke Website' }).click()
  await dialog.getByRole('button', { name: 'Revoke' }).click()
  await expect.poll(() => project.asked.get('RevokeApiKey')).toEqual({ id })

  await page.getByRole('button', { name: 'Change the password' }).click()
  await dialog.getByRole('button', { name: 'Change it' }).click()
  await page.getByText('A new login is being made').waitFor()
  expect(project.asked.get('RotateCredentials')).toEqual({ organizationId: ORGANIZATION.id })
})

it('breaks a chart where nothing was measured, goes through it with the keyboard, and has it as a table', async () => {
  const hours = [20, 19, 18, 3, 2]
  const points = hours.map((hoursAgo, index) => ({
    ...ALL.tenantHealthHistory[0],
    at: new Date(Date.now() - hoursAgo * 3_600_000).toISOString(),
    medianLatencyMs: 10 + index,
  }))
  project.instead.set('tenantHealthHistory', points)
  await page.getByRole('link', { name: 'Health' }).first().click()
  const chart = page.locator('figure', { hasText: 'Latency, median' })
  await chart.getByText('14 ms', { exact: true }).first().waitFor()
  const line = await chart.locator('svg path').getAttribute('d')
  expect(line?.match(/M/g)).toHaveLength(2)
  const slider = chart.getByRole('slider', { name: 'Latency, median' })
  await slider.focus()
  await page.keyboard.press('ArrowLeft')
  expect(await slider.getAttribute('aria-valuetext')).toMatch(/^13 ms, /)
  await page.keyboard.press('Home')
  expect(await slider.getAttribute('aria-valuetext')).toMatch(/^10 ms, /)
  for (const title of ['Availability', 'Latency, median', 'Connections', 'Found in memory', 'Storage']) {
    const figure = page.locator('figure', { hasText: title })
    await figure.getByText('As a table').press('Enter')
    expect(await figure.getByRole('row').count()).toBe(hours.length + 1)
  }
  // Fourteen hours without a check are no time in which all was well.
  const strip = page.locator('figure', { hasText: 'Availability' }).locator('span[title$="not measured"]')
  expect(await strip.count()).toBe(14)
})

it('shows a database that sleeps as one that sleeps, and the alerts that are over beside those that are not', async () => {
  const alert = { id: 'a1', kind: 'unhealthy', severity: 'CRITICAL', message: 'It does not answer.' }
  project.instead.set('tenantHealth', { ...ALL.tenantHealth, status: 'SLEEPING' })
  project.instead.set('tenantAlerts', [
    { ...alert, openedAt: ALL.tenantHealth.checkedAt, resolvedAt: null },
    {
      ...alert,
      id: 'a2',
      message: 'It was slow.',
      openedAt: ALL.tenantHealth.checkedAt,
      resolvedAt: ALL.tenantHealth.checkedAt,
    },
  ])
  await link('Health')()
  await page.getByText('Sleeping', { exact: true }).waitFor()
  await page.getByText(/^Nobody has used it for a while, so it sleeps/).waitFor()
  const alerts = card('Alerts')().getByRole('listitem')
  await alerts.filter({ hasText: 'It does not answer.' }).getByText('Critical').waitFor()
  await alerts.filter({ hasText: 'It was slow.' }).getByText('Over').waitFor()
  // Each range asks for its own time, and by the hour where there would be too many points.
  for (const [tab, hours, bucket] of [
    ['24 hours', 24, 'HOUR'],
    ['1 hour', 1, 'CHECK'],
    ['7 days', 168, 'HOUR'],
  ] as const) {
    await page.getByRole('tab', { name: tab }).click()
    await expect.poll(() => project.asked.get('Health')?.bucket).toBe(bucket)
    await expect
      .poll(() =>
        Math.round((Date.now() - new Date(String(project.asked.get('Health')?.since)).getTime()) / 3_600_000),
      )
      .toBe(hours)
  }
})

/** The pages of whoever is not signed in, or not any more. */
const FORMS = {
  '/sign-up': { submit: 'Sign up', fields: ['E-mail address', 'Password'] },
  '/sign-in': { submit: 'Sign in', fields: ['E-mail address', 'Password'] },
  '/forgot-password': { submit: 'Send the link', fields: ['E-mail address'] },
} as const
const FILLED = { 'E-mail address': 'ann@example.com', Password: 'a-long-password' } as const

it.each(Object.entries(FORMS))(
  'the form of %s says that it is busy, why it was refused, and that there is no connection, and keeps what was typed',
  async (path, { submit, fields }) => {
    await page.evaluate(() => localStorage.removeItem('console-session'))
    await page.goto(`${pages.url}${path}`)
    const button = page.getByRole('button', { name: submit, exact: true })
    for (const field of fields) await page.getByLabel(field, { exact: true }).fill(FILLED[field])
    project.fates.set('auth', 'hang')
    await button.click()
    await vi.waitFor(async () => expect(await button.isDisabled()).toBe(true))
    project.fates.set('auth', { code: 'too_many_requests' })
    project.cut()
    await page.getByRole('alert').getByText('Too many attempts. Try again in some minutes.').waitFor()
    await page.context().setOffline(true)
    await button.click()
    await page.getByRole('alert').getByText('You are offline.').waitFor()
    for (const field of fields)
      expect(await page.getByLabel(field, { exact: true }).inputValue()).toBe(FILLED[field])
    await page.context().setOffline(false)
  },
)

it('tells whoever has signed up to look into their mail, where an address has to be confirmed', async () => {
  await page.evaluate(() => localStorage.removeItem('console-session'))
  await page.goto(`${pages.url}/sign-up`)
  await page.getByLabel('E-mail address', { exact: true }).fill(FILLED['E-mail address'])
  await page.getByLabel('Password', { exact: true }).fill(FILLED.Password)
  await page.getByRole('button', { name: 'Sign up', exact: true }).click()
  await page.getByRole('heading', { name: 'Look into your mail' }).waitFor()
  await page.getByText(/^We sent a link to ann@example\.com\./).waitFor()
})

it('says so where the program of a page cannot be loaded for want of a connection, and goes on by itself', async () => {
  const fresh = await openContext(browser, [pages.url, project.url])
  const own = await fresh.context.newPage()
  own.setDefaultTimeout(5_000)
  await signInAt(own, pages.url)
  await own.goto(`${pages.url}/`)
  await own.getByText('Your database is ready').waitFor()
  await fresh.context.setOffline(true)
  await own.getByText('What you see may be old.').waitFor()
  await own.getByRole('link', { name: 'Health' }).first().click()
  await own.getByText(/^You are offline\. This page goes on/).waitFor()
  await fresh.context.setOffline(false)
  await own.getByText('Healthy', { exact: true }).waitFor()
  expect(await own.getByText(/You are offline/).count()).toBe(0)
  expect(fresh.trouble.found).toEqual([])
  await fresh.context.close()
})

it('shows a time in the zone of whoever looks, and the exact one to a pointer and to the keyboard', async () => {
  await page.getByRole('link', { name: 'Infrastructure' }).first().click()
  const made = page.locator('time').first()
  const exact = new Intl.DateTimeFormat('en-GB', {
    dateStyle: 'full',
    timeStyle: 'long',
    timeZone: 'Europe/Berlin',
  }).format(new Date((await made.getAttribute('datetime')) ?? ''))
  const tip = page.getByRole('tooltip')
  await made.hover()
  expect(await tip.textContent()).toBe(exact)
  await page.getByRole('heading', { level: 1 }).hover()
  await tip.waitFor({ state: 'detached' })
  await page.getByRole('button', { name: 'Rename Website' }).focus()
  await page.keyboard.press('Shift+Tab')
  await page.keyboard.press('Shift+Tab')
  expect(await page.evaluate(() => document.activeElement?.tagName)).toBe('TIME')
  await tip.waitFor()
  expect(await page.evaluate(() => document.activeElement?.getAttribute('aria-describedby'))).toBe(
    await tip.getAttribute('id'),
  )
  await page.keyboard.press('Escape')
  await tip.waitFor({ state: 'detached' })
})

it('prints black on white what is on a page, without what only screens need, from the dark theme too', async () => {
  await page.getByRole('link', { name: 'Infrastructure' }).first().click()
  await page.getByText('pool.example.com').first().waitFor()
  await page.evaluate(() => {
    document.documentElement.dataset.theme = 'dark'
  })
  await page.emulateMedia({ media: 'print' })
  const looks = await page.evaluate(() => {
    const style = (selector: string) => getComputedStyle(document.querySelector(selector) ?? document.body)
    return [style('body').backgroundColor, style('main h1').color, style('main section').backgroundColor]
  })
  expect(looks).toEqual(['rgb(255, 255, 255)', 'rgb(0, 0, 0)', 'rgb(255, 255, 255)'])
  expect(await page.getByRole('navigation').count()).toBe(0)
  expect(await page.locator('main button:not([role=tab]):visible').count()).toBe(0)
  await page.getByText('pool.example.com').first().waitFor()
  // A4 at 96 dots an inch, less its margins: nothing is cut off.
  await page.setViewportSize({ width: 718, height: 1_000 })
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(718)
  await page.setViewportSize({ width: 1280, height: 900 })
})

it('moves nothing for whoever does not want to see anything move', async () => {
  await page.emulateMedia({ reducedMotion: 'reduce' })
  becomes({ asks: ['Health'] }, 'hang')
  await page.getByRole('link', { name: 'Health' }).first().click()
  const skeleton = page.locator('main .animate-pulse').first()
  await skeleton.waitFor()
  const running = () =>
    page.evaluate(() => document.getAnimations().filter(({ playState }) => playState === 'running').length)
  await expect.poll(running).toBe(0)
  // Without the wish, it moves.
  await page.emulateMedia({ reducedMotion: 'no-preference' })
  await expect.poll(running).toBeGreaterThan(0)
})

it('broke no rule of the policy, and threw nothing', () => {
  expect(trouble.found).toEqual([])
})
