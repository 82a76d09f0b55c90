import type { Browser, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, vi } from 'vitest'
import { type ConsoleServer, startConsole } from '../../../local/console.ts'
import { ensureConsole } from '../../../tools/console/build.ts'
import { launchBrowser } from '../browser.ts'
import { openContext, type Trouble } from '../pages.ts'
import { type Fate, type PretendedProject, signInAt, startPretendedProject } from '../pretended-project.ts'

// What the tests of this folder play on: a browser for all of them, and the page of somebody who is signed in at a project that is
// pretended. Each begins at a page that asks for nothing but the organizations.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

export let project: PretendedProject
export let pages: ConsoleServer
export let browser: Browser
export let page: Page
export let trouble: Trouble

beforeAll(async () => {
  await ensureConsole()
  ;[project, browser] = await Promise.all([startPretendedProject(), launchBrowser()])
  pages = await startConsole({ url: project.url, publishableKey: 'sb_publishable_pretended' }, 0)
  const opened = await openContext(browser, [pages.url, project.url])
  trouble = opened.trouble
  page = await opened.context.newPage()
  page.setDefaultTimeout(15_000)
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
  // What is said of a time must not depend on how far the tests before have put the clock forward.
  await page.clock.setSystemTime(Date.now())
  await signInAt(page, pages.url)
  // A page that asks for nothing but the organizations.
  await page.goto(`${pages.url}/o/no-such-organization`)
  await page.getByRole('heading', { name: 'There is no such page' }).waitFor()
})

afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') console.log(page.url(), await page.locator('body').textContent())
  project.cut()
  await page.context().setOffline(false)
  await page.clock.resume()
})

export const link = (name: string) => () => page.getByRole('link', { name, exact: true }).first().click()
export const card = (title: string) => () =>
  page.locator('section', { has: page.getByRole('heading', { name: title, exact: true }) })

/** What becomes of requests from now on, by the names of their operations. */
export function becomes(asks: readonly string[], fate: Fate): void {
  for (const name of asks) project.fates.set(name, fate)
}
