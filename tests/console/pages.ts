import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import path from 'node:path'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import type {
  Browser,
  BrowserContext,
  BrowserContextOptions,
  ElementHandle,
  Locator,
  Page,
} from 'playwright-core'
import { consoleDist } from '../../tools/console/build.ts'
import { projectRoot } from '../../tools/project.ts'

const axeSource = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

/** WCAG 2.2 at the levels A and AA. */
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']

/** What went wrong in the pages of a context, beside what they show. */
export interface Trouble {
  /** Violations of the policy, errors of scripts, and requests to anybody but the console and its project. */
  readonly found: string[]
  /** Every address that was gone to or asked for, and what was written to the browser's log: where no secret may be. */
  readonly told: string[]
}

/** A person with a browser of their own. Everything is noted that their pages do wrong. */
export async function openContext(
  browser: Browser,
  allowedOrigins: readonly string[],
  options: BrowserContextOptions = {},
): Promise<{ context: BrowserContext; trouble: Trouble }> {
  const found: string[] = []
  const told: string[] = []
  const context = await browser.newContext({
    locale: 'en-GB',
    timezoneId: 'Europe/Berlin',
    viewport: { width: 1280, height: 900 },
    permissions: ['clipboard-read', 'clipboard-write'],
    ...options,
  })
  await context.exposeFunction('noteTrouble', (text: string) => void found.push(text))
  await context.addInitScript(() => {
    addEventListener('securitypolicyviolation', (event) =>
      Reflect.get(
        window,
        'noteTrouble',
      )(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`),
    )
  })
  context.on('weberror', (error) => void found.push(`error: ${error.error().message}`))
  context.on('console', (message) => void told.push(message.text()))
  context.on('page', (page) => page.on('framenavigated', (frame) => void told.push(frame.url())))
  context.on('request', (request) => {
    told.push(request.url(), request.headers().referer ?? '')
    const { origin, protocol } = new URL(request.url())
    if (protocol.startsWith('http') && !allowedOrigins.includes(origin))
      found.push(`request: ${request.url()}`)
  })
  return { context, trouble: { found, told } }
}

/** What axe finds on a page in both themes and at the width of a phone, as `theme width: rule: where`. */
export async function accessibilityProblems(page: Page): Promise<string[]> {
  const problems: string[] = []
  const size = page.viewportSize() ?? { width: 1280, height: 900 }
  for (const [theme, width] of [
    ['light', size.width],
    ['dark', size.width],
    ['light', 390],
  ] as const) {
    await page.setViewportSize({ width, height: size.height })
    await page.evaluate((name) => {
      document.documentElement.dataset.theme = name
    }, theme)
    problems.push(...(await axe(page)).map((text) => `${theme} ${width}: ${text}`))
    const overflow = await page.evaluate(
      () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
    )
    if (overflow > 0) problems.push(`${theme} ${width}: the page is ${overflow} px too wide`)
  }
  await page.setViewportSize(size)
  await page.evaluate(() => delete document.documentElement.dataset.theme)
  return problems
}

/** What axe finds in one place of a page, in one theme and at the width that it has. */
export async function problemsIn(place: Locator, theme: 'light' | 'dark'): Promise<string[]> {
  const page = place.page()
  await page.evaluate((name) => {
    document.documentElement.dataset.theme = name
  }, theme)
  const problems = await axe(page, await place.elementHandle())
  await page.evaluate(() => delete document.documentElement.dataset.theme)
  return problems
}

/** @param place without it, the whole page */
async function axe(page: Page, place: ElementHandle | null = null): Promise<string[]> {
  // Colours that fade are not those that are read.
  await page.evaluate(() =>
    Promise.all(
      document
        .getAnimations()
        .map((each) =>
          each.effect?.getTiming().iterations === Infinity ? undefined : each.finished.catch(() => undefined),
        ),
    ),
  )
  if (!(await page.evaluate(() => 'axe' in window))) await page.evaluate(axeSource)
  return page.evaluate(
    async ([rules, element]) => {
      const axeInPage = Reflect.get(window, 'axe')
      const { violations } = await axeInPage.run(element ?? document, {
        runOnly: { type: 'tag', values: rules },
      })
      return violations.map(
        ({ id, nodes }: { id: string; nodes: { target: string[]; failureSummary: string }[] }) =>
          `${id}: ${nodes.map(({ target, failureSummary }) => `${target.join(' ')} (${failureSummary})`).join('; ')}`,
      )
    },
    [RULES, place] as const,
  )
}

/** JavaScript that a page has loaded since it was opened, in kilobytes as gzip leaves them, which is what hosts send. */
export async function scriptKilobytes(page: Page): Promise<number> {
  const paths = await page.evaluate(() =>
    performance
      .getEntriesByType('resource')
      .map(({ name }) => new URL(name).pathname)
      .filter((name) => name.endsWith('.js')),
  )
  const sizes = await Promise.all(
    [...new Set(paths)].map(
      async (name) => (await promisify(gzip)(await readFile(path.join(consoleDist, name)))).length,
    ),
  )
  if (sizes.length === 0) throw new Error('The page has loaded no script.')
  return sizes.reduce((sum, size) => sum + size, 0) / 1_000
}

/**
 * Where a secret is that may be in memory alone: in a store of the browser, an address, a log.
 * @param logs of servers, by their names
 */
export async function placesOf(
  secret: string,
  page: Page,
  { told }: Trouble,
  logs: Readonly<Record<string, string>>,
): Promise<string[]> {
  const stores = await page.evaluate(async () => {
    const all = (store: Storage) => JSON.stringify({ ...store })
    const databases = await indexedDB.databases()
    const caches_ = await caches.keys()
    return {
      localStorage: all(localStorage),
      sessionStorage: all(sessionStorage),
      // Nobody makes any: whatever is in one would be a surprise.
      IndexedDB: databases.map(({ name }) => name ?? '').join(' '),
      caches: caches_.join(' '),
      history: JSON.stringify(history.state),
      title: document.title,
    }
  })
  if (stores.IndexedDB + stores.caches !== '') throw new Error(`A page keeps ${JSON.stringify(stores)}.`)
  const cookies = JSON.stringify(await page.context().cookies())
  const places = { ...stores, cookies, address: page.url(), 'addresses and log': told.join('\n'), ...logs }
  const forms = [
    secret,
    encodeURIComponent(secret),
    Buffer.from(secret).toString('base64').replace(/=+$/, ''),
  ]
  return Object.entries(places)
    .filter(([, text]) => forms.some((form) => text.includes(form)))
    .map(([name]) => name)
}

/** Takes pictures of a page when CONSOLE_PICTURES names a folder, for people to look at. */
export async function picture(page: Page, name: string): Promise<void> {
  const { CONSOLE_PICTURES: folder } = process.env
  if (!folder) return
  const size = page.viewportSize() ?? { width: 1280, height: 900 }
  for (const [theme, width] of [
    ['light', 1280],
    ['dark', 1280],
    ['light', 390],
  ] as const) {
    await page.setViewportSize({ width, height: 900 })
    await page.evaluate((wanted) => {
      document.documentElement.dataset.theme = wanted
    }, theme)
    await page.waitForTimeout(250)
    await page.screenshot({
      path: path.resolve(projectRoot, folder, `${name}-${theme}-${width}.png`),
      fullPage: true,
    })
  }
  await page.setViewportSize(size)
}
