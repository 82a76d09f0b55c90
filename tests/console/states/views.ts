import { readFile } from 'node:fs/promises'
import path from 'node:path'
import type { Locator } from 'playwright-core'
import { describe, expect, it, vi } from 'vitest'
import { projectRoot } from '../../../tools/project.ts'
import { problemsIn } from '../pages.ts'
import { becomes, card, link, page, pages, project } from './stage.ts'

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

const placeOf = ({ within }: View) => within?.() ?? page.locator('main')
const shown = (view: View, text: string | RegExp, timeout = 15_000) =>
  placeOf(view)
    .getByText(text, { exact: typeof text === 'string' })
    .first()
    .waitFor({ timeout })

/** While the clock stands still but for what a page needs to show an answer: nothing is asked again by itself so soon. */
const slowly = (look: () => Promise<void>) =>
  vi.waitFor(async () => {
    await page.clock.runFor(10)
    await look()
  }, 15_000)

/** What is tried again by itself is, until this is shown. */
const afterTries = (view: View, text: RegExp) =>
  vi.waitFor(async () => {
    await page.clock.fastForward(4_000)
    await placeOf(view).getByText(text).first().waitFor({ timeout: 250 })
  }, 20_000)

/** Axe takes half a second. The views say how they stand with the same parts: one of them is looked at each time, all in test:long. */
const problemsOf = async (name: string, view: View, theme: 'light' | 'dark') =>
  name === 'the health' || process.env.AXE_VIEWS === 'all' ? problemsIn(placeOf(view), theme) : []

describe.each(Object.entries(VIEWS))('%s', (name, view) => {
  it('says that it is loading, then that there is no connection, and goes on by itself when there is one', async () => {
    becomes(view.asks, 'hang')
    await view.open()
    await placeOf(view).getByText(`Loading ${view.loads}…`).first().waitFor({ state: 'attached' })
    expect(await problemsOf(name, view, 'light')).toEqual([])
    await page.context().setOffline(true)
    becomes(view.asks, 'cut')
    project.cut()
    await shown(view, /^You are offline\. This page goes on when the connection is back\./)
    expect(await problemsOf(name, view, 'dark')).toEqual([])
    becomes(view.asks, 'data')
    await page.context().setOffline(false)
    await shown(view, view.shows)
    expect(await page.getByText(/You are offline/).count()).toBe(0)
  })

  it('says that something went wrong, with the number for support, and can be tried again', async () => {
    const wrong = placeOf(view).getByText(/Something went wrong/)
    becomes(view.asks, { code: 'internal_error' })
    await view.open()
    await afterTries(view, /^Something went wrong on our side\. Tell support this number: request-1\.$/)
    expect(await problemsOf(name, view, 'light')).toEqual([])
    // The page's own timers stand still, so that it is the button that asks again.
    await page.clock.pauseAt((await page.evaluate(() => Date.now())) + 1_000)
    becomes(view.asks, 'data')
    const isPressed = await placeOf(view)
      .getByRole('button', { name: 'Try again' })
      .first()
      .click({ timeout: 5_000 })
      .then(() => true)
      .catch(async (error: unknown) => {
        // What was asked for just before may come after, and takes the button away.
        if ((await wrong.count()) > 0) throw error
        return false
      })
    if (isPressed) await slowly(() => shown(view, view.shows, 250))
    await page.clock.resume()
    await shown(view, view.shows)
    expect(await wrong.count()).toBe(0)
  })

  it('says who may see it', async () => {
    becomes(view.asks, { code: 'forbidden' })
    await view.open()
    await shown(view, view.denied ?? DENIED)
    expect(await problemsOf(name, view, 'dark')).toEqual([])
  })

  it('says that there is nothing, and what comes', async () => {
    becomes(view.asks, view.empty.code ? { code: view.empty.code } : 'nothing')
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
