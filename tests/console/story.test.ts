import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { type ConsoleServer, startConsole } from '../../local/console.ts'
import { ensureConsole } from '../../tools/console/build.ts'
import { startTestProject, type TestProject } from '../support/project.ts'
import { launchBrowser } from './browser.ts'
import { accessibilityProblems, openContext, picture, type Trouble } from './pages.ts'

// Three browsers' work on a machine that may do much else.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 90_000 })

let project: TestProject
let pages: ConsoleServer
let browser: Browser
let context: BrowserContext
let trouble: Trouble
let page: Page

const EMAIL = 'ann@example.com'
const PASSWORD = 'a-long-password'

beforeAll(async () => {
  await ensureConsole()
  ;[project, browser] = await Promise.all([startTestProject(), launchBrowser()])
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
})

it('leads from the sign-up to the live progress, and goes on when a stream was lost', async () => {
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
  await picture(page, 'progress-failed')

  project.neonEmulator.faults.clear()
  await page.getByRole('button', { name: 'Try again', exact: true }).click()
  await page.getByText('Your database is ready').waitFor()
  await status('100 %').waitFor()
  expect(await accessibilityProblems(page)).toEqual([])
  await picture(page, 'progress-ready')
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

it('asked nobody but the project, and broke no rule of its policy', () => {
  expect(trouble.found).toEqual([])
})
