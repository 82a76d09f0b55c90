import { readFile } from 'node:fs/promises'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, expect, inject, it, vi } from 'vitest'
import { type ConsoleServer, startConsole } from '../../local/console.ts'
import { ensureConsole } from '../../tools/console/build.ts'
import { type SignedUp, startTestProject, type TestProject } from '../support/project.ts'
import { launchBrowser } from './browser.ts'
import { type Front, startFront } from './front.ts'
import { accessibilityProblems, openContext, picture, placesOf, type Trouble } from './pages.ts'

vi.setConfig({ testTimeout: 120_000, hookTimeout: 90_000 })

let project: TestProject
let front: Front
let pages: ConsoleServer
let browser: Browser
let ann: SignedUp
let slug: string
let opened: { context: BrowserContext; page: Page; trouble: Trouble }[] = []

/** What project.signUp gives everybody. */
const PASSWORD = 'correct horse battery staple'

beforeAll(async () => {
  await ensureConsole()
  ;[project, browser] = await Promise.all([startTestProject(), launchBrowser()])
  front = await startFront(project.services.url)
  pages = await startConsole({ url: front.url, publishableKey: project.keys.publishableKey }, 0)
  ann = await project.signUp({ organization_name: 'Ann’s bakery' })
  await project.waitFor(ann.organizationId)
  slug = await slugOf(ann)
})

afterAll(async () => {
  await browser?.close()
  await pages?.stop()
  await front?.stop()
  await project?.stop()
})

afterEach(async ({ task }) => {
  for (const { context, page, trouble } of opened) {
    if (task.result?.state === 'fail') console.log(page.url(), await page.locator('body').textContent())
    await context.close()
    expect(trouble.found).toEqual([])
  }
  opened = []
  front.streams = 'pass'
  front.refused.clear()
  front.answers.clear()
})

async function slugOf({ organizationId }: SignedUp): Promise<string> {
  const [row] = await project.sql`select slug from public.organizations where id = ${organizationId}`
  return String(row?.slug)
}

async function newBrowser(): Promise<Page> {
  // Links in mails lead through the project itself.
  const { context, trouble } = await openContext(browser, [pages.url, front.url, project.services.url])
  const page = await context.newPage()
  page.setDefaultTimeout(15_000)
  opened.push({ context, page, trouble })
  return page
}

/** A browser in which the person is signed in already. */
async function browserOf(person: SignedUp): Promise<Page> {
  const page = await newBrowser()
  const { session } = (await person.client.auth.getSession()).data
  await page.goto(`${pages.url}/icon.svg`)
  await page.evaluate((text) => localStorage.setItem('console-session', text), JSON.stringify(session))
  return page
}

const tokenIn = (page: Page) =>
  page.evaluate(() => String(JSON.parse(localStorage.getItem('console-session') ?? '{}').access_token))

it('shows strangers nothing of an organization, on no page of it', async () => {
  const page = await browserOf(await project.signUp({ organization_name: 'Bob’s garage' }))
  for (const part of ['', '/health', '/query', '/infrastructure']) {
    await page.goto(`${pages.url}/o/${slug}${part}`)
    await page.getByRole('heading', { name: 'There is no such page' }).waitFor()
    expect(await page.content()).not.toContain('Ann’s')
  }
  expect(await accessibilityProblems(page)).toEqual([])
  await picture(page, 'stranger')
  await page.goto(`${pages.url}/tenants`)
  await page.getByText('For operators', { exact: true }).waitFor()
  expect(await accessibilityProblems(page)).toEqual([])
})

it('tells plain members on each page what their role does not allow', async () => {
  const bob = await project.signUp({ organization_name: 'Bob’s bakery' })
  const setRole = (role: 'admin' | 'member') => project.sql`
    insert into public.organization_members (organization_id, user_id, role)
    values (${ann.organizationId}, ${bob.userId}, ${role})
    on conflict (organization_id, user_id) do update set role = excluded.role`
  await setRole('admin')
  const page = await browserOf(bob)
  await page.goto(`${pages.url}/o/${slug}/infrastructure`)
  await page.getByRole('button', { name: 'New key' }).click()
  await page.getByLabel('Name', { exact: true }).fill('Too late')
  // The page does not know yet what the API knows.
  await setRole('member')
  await page.getByRole('button', { name: 'Create the key' }).click()
  await page.getByText('Not allowed', { exact: true }).waitFor()
  await page.getByText(/^Your role in this organization does not allow this/).waitFor()

  await page.goto(`${pages.url}/o/${slug}`)
  await page.getByText('You are a member.').waitFor()
  await page.getByText('Your database is ready').waitFor()
  expect(await page.getByRole('link', { name: 'Connect to it' }).count()).toBe(0)
  await page.getByRole('link', { name: 'Infrastructure' }).first().click()
  await page.getByText('For owners and admins').waitFor()
  expect(await page.getByRole('button', { name: /Reveal|New key|Delete/ }).count()).toBe(0)
  expect(await accessibilityProblems(page)).toEqual([])
  await picture(page, 'member')
  await page.getByRole('link', { name: 'Health' }).first().click()
  await page.getByRole('button', { name: 'Check now' }).waitFor()
  await page.getByRole('link', { name: 'Query' }).first().click()
  await page
    .getByLabel('Query', { exact: true })
    .fill(
      'mutation { updateOrganization(input: { id: "%", patch: { industry: "Theft" } }) { organization { industry } } }'.replace(
        '%',
        ann.organizationId,
      ),
    )
  await page.getByRole('button', { name: 'Run', exact: true }).click()
  // A row that a policy keeps from somebody is none that could be changed.
  await page.getByRole('region', { name: 'Data' }).getByText('"organization": null').waitFor()
})

it('goes on with another token when the project refuses one', async () => {
  const page = await browserOf(ann)
  await page.goto(`${pages.url}/o/${slug}/query`)
  const query = page.getByLabel('Query', { exact: true })
  await query.fill('{ users(first: 1) { nodes { email } } }')
  const refused = await tokenIn(page)
  front.refused.add(refused)
  await query.press('Control+Enter')
  await page.getByRole('region', { name: 'Data' }).getByText(ann.email).waitFor()
  expect(await tokenIn(page)).not.toBe(refused)
})

it('asks to sign in again over the page when the session has ended, and keeps what was typed', async () => {
  const person = await project.signUp({ organization_name: 'Cleo’s café' })
  await project.waitFor(person.organizationId)
  const page = await browserOf(person)
  await page.goto(`${pages.url}/o/${await slugOf(person)}/query`)
  const query = page.getByLabel('Query', { exact: true })
  await query.fill('{ users(first: 1) { nodes { email role } } }')
  front.refused.add(await tokenIn(page))
  await project.sql`delete from auth.sessions where user_id = ${person.userId}`
  await query.press('Control+Enter')
  const dialog = page.getByRole('dialog', { name: 'Sign in again' })
  await dialog.waitFor()
  expect(await accessibilityProblems(page)).toEqual([])
  await picture(page, 'sign-in-again')
  await dialog.getByLabel('Password').fill('something else')
  await dialog.getByRole('button', { name: 'Sign in' }).click()
  await dialog.getByText('The e-mail address or the password is wrong.').waitFor()
  await dialog.getByLabel('Password').fill(PASSWORD)
  await dialog.getByRole('button', { name: 'Sign in' }).click()
  await dialog.waitFor({ state: 'detached' })
  expect(await query.inputValue()).toContain('email role')
  await query.press('Control+Enter')
  await page.getByRole('region', { name: 'Data' }).getByText(person.email).waitFor()
})

it('leads whoever has to sign in to the page that they wanted, and to no other site', async () => {
  const page = await browserOf(ann)
  await page.evaluate(() => localStorage.clear())
  await page.goto(`${pages.url}/o/${slug}/health`)
  await page.getByLabel('E-mail address').fill(ann.email)
  await page.getByLabel('Password', { exact: true }).fill(PASSWORD)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByRole('button', { name: 'Check now' }).waitFor()
  await page.goto(`${pages.url}/sign-in?to=//example.com/`)
  await page.getByRole('heading', { name: 'Ann’s bakery' }).waitFor()

  // In the other tab the session has not ended by itself.
  const [other] = await Promise.all([
    page.context().waitForEvent('page'),
    page.evaluate(() => void window.open('/')),
  ])
  await other.getByRole('heading', { name: 'Ann’s bakery' }).waitFor()
  await page.getByRole('button', { name: /^Sign out/ }).click()
  await other.getByRole('heading', { name: 'Sign in' }).waitFor()
  expect(new URL(other.url()).search).toBe('')
  await page.getByRole('heading', { name: 'Sign in' }).waitFor()
  expect(new URL(page.url()).search).toBe('')
})

it('lets somebody choose another password by a mailed link, in the browser that has asked for it', async () => {
  const person = await project.signUp({ organization_name: 'Emma’s estate' })
  const page = await newBrowser()
  const askForLink = async () => {
    await page.goto(`${pages.url}/sign-in`)
    await page.getByRole('link', { name: 'Forgot your password?' }).click()
    await page.getByLabel('E-mail address').fill(person.email)
    await page.getByRole('button', { name: 'Send the link' }).click()
    await page.getByText('Look into your mail').waitFor()
    return mailedLink(person.email)
  }
  const first = await askForLink()
  expect(await accessibilityProblems(page)).toEqual([])
  await picture(page, 'reset-sent')
  const stranger = await newBrowser()
  await stranger.goto(first)
  await stranger.getByText('This link cannot be used').waitFor()
  expect(await accessibilityProblems(stranger)).toEqual([])
  await picture(stranger, 'reset-refused')

  await page.goto(await askForLink())
  await page.getByRole('heading', { name: 'Choose another password' }).waitFor()
  await page.getByLabel('Password', { exact: true }).fill('short')
  await page.getByRole('button', { name: 'Change the password' }).click()
  await page.getByText('Take at least 8 characters.').waitFor()
  await page.getByLabel('Password', { exact: true }).fill(PASSWORD)
  await page.getByRole('button', { name: 'Change the password' }).click()
  await page.getByText('This is your present password. Choose another one.').waitFor()
  expect(await accessibilityProblems(page)).toEqual([])
  await picture(page, 'reset')
  expect(new URL(page.url()).search).toBe('')
  const next = crypto.randomUUID()
  await page.getByLabel('Password', { exact: true }).fill(next)
  await page.getByRole('button', { name: 'Change the password' }).click()
  await page.getByRole('heading', { name: 'Emma’s estate' }).waitFor()

  await page.getByRole('button', { name: /^Sign out/ }).click()
  await page.getByLabel('E-mail address').fill(person.email)
  await page.getByLabel('Password', { exact: true }).fill(next)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByRole('heading', { name: 'Emma’s estate' }).waitFor()
  const told = opened.flatMap(({ trouble }) => trouble.told)
  const logs = {
    functions: project.log.map(({ text }) => text).join('\n'),
    Postgres: await readFile(inject('postgresLog'), 'utf8'),
  }
  expect(await placesOf(next, page, { found: [], told }, logs)).toEqual([])
})

async function mailedLink(to: string): Promise<string> {
  const reply = await fetch(`${project.services.url}/mail.json`)
  const mails: readonly { to: string; type: string; link: string }[] = await reply.json()
  const mail = mails.find((each) => each.to === to && each.type === 'recovery')
  if (!mail) throw new Error(`There is no mail for ${to}.`)
  return mail.link
}

it('says that it is not live when a stream is half open, goes on by asking, and connects again', async () => {
  const [person, page] = await project.whileHeld(async () => {
    const signedUp = await project.signUp({ organization_name: 'Dora’s deli' })
    front.streams = 'hang'
    const shown = await browserOf(signedUp)
    await shown.clock.install()
    await shown.goto(`${pages.url}/`)
    await shown
      .getByText('Setting up', { exact: true })
      .or(shown.getByText('Loading the progress…'))
      .waitFor()
    await expect.poll(() => front.openStreams()).toBe(1)
    // Nobody answers for ten seconds: the state comes by asking for it.
    await shown.clock.fastForward(11_000)
    await shown.getByText('Not live: reconnecting.').waitFor()
    await shown.getByText('Waiting', { exact: true }).first().waitFor()
    front.streams = 'mute'
    await vi.waitFor(async () => {
      await shown.clock.fastForward(2_000)
      expect(front.openStreams()).toBe(1)
    }, 30_000)
    expect(await accessibilityProblems(shown)).toEqual([])
    await picture(shown, 'half-open')
    front.streams = 'pass'
    await vi.waitFor(async () => {
      await shown.clock.fastForward(16_000)
      // An answer has to come before the clock is put forward again: a request that takes ten seconds is given up.
      await shown.getByText('Live', { exact: true }).waitFor({ timeout: 5_000 })
    }, 40_000)
    expect(front.openStreams()).toBe(1)

    await setHidden(shown, true)
    await expect.poll(() => front.openStreams()).toBe(0)
    await shown.clock.fastForward(60_000)
    expect(front.openStreams()).toBe(0)
    await setHidden(shown, false)
    await shown.getByText('Live', { exact: true }).waitFor()
    expect(front.openStreams()).toBe(1)

    // The stream that is open becomes mute: the front says no more than the project, which is held.
    front.streams = 'mute'
    await setHidden(shown, true)
    await setHidden(shown, false)
    await expect.poll(() => front.openStreams()).toBe(1)
    return [signedUp, shown] as const
  })
  await project.waitFor(person.organizationId)
  await vi.waitFor(async () => {
    await page.clock.fastForward(31_000)
    await page.getByText('Your database is ready').waitFor({ timeout: 5_000 })
  }, 40_000)
  await expect.poll(() => front.openStreams()).toBe(0)
})

/** As when another tab is looked at, which a browser without a window has no notion of. */
async function setHidden(page: Page, isHidden: boolean): Promise<void> {
  await page.evaluate((hidden) => {
    Object.defineProperty(document, 'hidden', { configurable: true, get: () => hidden })
    document.dispatchEvent(new Event('visibilitychange'))
  }, isHidden)
}
