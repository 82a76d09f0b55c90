import { readFile } from 'node:fs/promises'
import { gzipSync } from 'node:zlib'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import type postgres from 'postgres'
import { type ConsoleServer, startConsole } from '../../local/console.ts'
import { ensureConsole } from '../../tools/console/build.ts'
import { supabaseClient } from '../../tools/supabase-client.ts'
import { launchBrowser } from '../console/browser.ts'
import { accessibilityProblems, openContext } from '../console/pages.ts'
import { type Benchmark, type BenchmarkOptions, interruptible, type Measurement } from './benchmark.ts'
import { type BenchProject, withProject } from './project.ts'
import { median } from './statistics.ts'
import { untilReady } from './tenants.ts'

const EMAIL = 'operator@example.com'
const PASSWORD = crypto.randomUUID()

/**
 * What a person waits for in the console, in a real browser, beside 100,000 tenants with their history. Each time is from the
 * navigation, the click or the choice until what was asked for is painted, with the request to the API and nothing remembered of an
 * earlier one. A monitor's filter is the slowest of several; a search has the pause after the last key in it.
 */
export const consolePages: Benchmark = {
  name: 'console',
  summary: 'what the console’s pages weigh and take, with 100,000 tenants',
  defaultRuns: 7,
  aims: [
    { metric: 'first_page_kb', is: 'at most', value: 200 },
    { metric: 'first_page_ms', is: 'at most', value: 1000 },
    { metric: 'monitor_page_ms', is: 'at most', value: 150 },
    { metric: 'monitor_filter_ms', is: 'at most', value: 150 },
    { metric: 'axe_violations', is: 'at most', value: 0 },
    { metric: 'csp_reports', is: 'at most', value: 0 },
  ],
  run: async (options) => {
    const tenants = options.tenants ?? (options.quick ? 2_000 : 100_000)
    await ensureConsole()
    return withProject({ spareDatabases: 1, authConnections: 1 }, options, async (project) => {
      await project.services.worker.pauseCron()
      options.progress(`making ${tenants.toLocaleString('en')} tenants with their history`)
      await makeFleet(project.superuser, tenants)
      const slug = await makeOperator(project, options.signal)
      const { url } = project.services
      const pages = await startConsole({ url, publishableKey: project.keys.publishableKey }, 0)
      const browser = await launchBrowser()
      try {
        const visit = await Visits.of(browser, pages, url)
        return await interruptible(measure(visit, slug, options), options.signal)
      } finally {
        await browser.close()
        await pages.stop()
      }
    })
  },
}

async function makeFleet(superuser: postgres.Sql, tenants: number): Promise<void> {
  for (const file of ['growth-fleet.sql', 'console-fleet.sql'])
    await superuser.unsafe(await readFile(new URL(file, import.meta.url), 'utf8'))
  // Sent as text: a procedure that commits needs to be the whole message.
  await superuser.unsafe(`call growth.fill(${tenants})`).simple()
  await superuser.unsafe(`call growth.trouble(${tenants})`).simple()
  await superuser.unsafe('vacuum analyze').simple()
}

/** @returns the slug of the operator's own organization */
async function makeOperator({ services, keys, superuser }: BenchProject, signal: AbortSignal) {
  const { data, error } = await supabaseClient(services.url, keys.publishableKey).auth.signUp({
    email: EMAIL,
    password: PASSWORD,
  })
  if (error || !data.user) throw new Error(`The sign-up failed: ${error?.message}`)
  await untilReady(superuser, data.user.id, signal)
  await superuser`select provisioning.grant_operator(${data.user.id}, 'a benchmark')`
  const [row] = await superuser<{ slug: string }[]>`
    select slug from public.organizations where owner_id = ${data.user.id}`
  return row?.slug ?? ''
}

/** Opens pages as somebody who has never been there, or as the operator. */
class Visits {
  readonly troubles: string[][] = []
  readonly #browser: Browser
  readonly #console: ConsoleServer
  readonly #project: string
  #session: BrowserContextOptions = {}

  private constructor(browser: Browser, pages: ConsoleServer, project: string) {
    this.#browser = browser
    this.#console = pages
    this.#project = project
  }

  static async of(browser: Browser, pages: ConsoleServer, project: string): Promise<Visits> {
    const visits = new Visits(browser, pages, project)
    await visits.stranger(async (page) => {
      await visits.go(page, '/sign-in')
      await page.getByLabel('E-mail address').fill(EMAIL)
      await page.getByLabel('Password', { exact: true }).fill(PASSWORD)
      await page.getByRole('button', { name: 'Sign in' }).click()
      await page.getByText('Your database is ready').waitFor()
      visits.#session = { storageState: await page.context().storageState() }
    })
    return visits
  }

  go = (page: Page, path: string) => page.goto(`${this.#console.url}${path}`)

  /** With a browser that has kept nothing. */
  stranger = <T>(work: (page: Page) => Promise<T>) => this.#open({}, work)

  operator = <T>(work: (page: Page) => Promise<T>) => this.#open(this.#session, work)

  async #open<T>(session: BrowserContextOptions, work: (page: Page) => Promise<T>): Promise<T> {
    const { context, trouble } = await openContext(this.#browser, [this.#console.url, this.#project], session)
    this.troubles.push(trouble.found)
    // The compiler that runs this program wraps functions in it, those too that are sent to the page.
    await context.addInitScript('globalThis.__name = (one) => one')
    try {
      const page = await context.newPage()
      page.setDefaultTimeout(30_000)
      return await work(page)
    } finally {
      await context.close()
    }
  }
}

async function measure(visits: Visits, slug: string, options: BenchmarkOptions): Promise<Measurement> {
  const { runs, progress, signal } = options
  progress('the first page')
  const first = await firstPages(visits, slug, runs)
  progress('the operators’ list')
  const monitor: Record<string, number[]> = {}
  const add = (name: string, ms: number) => {
    monitor[name] = [...(monitor[name] ?? []), ms]
  }
  for (let run = 0; run < runs; run++) {
    signal.throwIfAborted()
    await visits.operator(async (page) => {
      await visits.go(page, `/o/${slug}`)
      await page.getByText('Your database is ready').waitFor()
      // As the pointer does before the click.
      await page.getByRole('link', { name: 'Tenants' }).first().hover()
      await page.waitForLoadState('networkidle')
      add('page', await untilPainted(page, { click: 'nav a[href="/tenants"]' }, { rows: 50 }))
      for (const [name, { act, shows }] of Object.entries(CHANGES)) {
        await visits.go(page, '/tenants')
        await page.locator('tbody tr').nth(49).waitFor()
        await page.waitForLoadState('networkidle')
        add(name, await untilPainted(page, act, shows))
      }
    })
  }
  const medians = new Map(Object.entries(monitor).map(([name, times]) => [name, median(times)]))
  progress('accessibility')
  const axe = await problemsOfPages(visits, slug)
  const trouble = visits.troubles.flat()
  const { page = Number.NaN, ...changes } = Object.fromEntries(medians)
  return {
    metrics: {
      ...first,
      monitor_page_ms: page,
      monitor_filter_ms: Math.max(...Object.values(changes)),
      ...Object.fromEntries(Object.entries(changes).map(([name, ms]) => [`monitor_${name}_ms`, ms])),
      axe_violations: axe.length,
      csp_reports: trouble.filter((each) => each.startsWith('policy:')).length,
    },
    problems: [...axe, ...trouble],
  }
}

/** The larger and the slower of the two pages with which a visit can begin. */
async function firstPages(visits: Visits, slug: string, runs: number) {
  const begins = [
    { as: visits.stranger, path: '/', shows: 'input[type=email]' },
    { as: visits.operator, path: `/o/${slug}`, shows: 'main h1' },
  ]
  const kb: number[] = []
  const ms: number[] = []
  for (const { as, path, shows } of begins) {
    const times: number[] = []
    for (let run = 0; run < runs; run++)
      await as(async (page) => {
        const scripts: Promise<Buffer>[] = []
        page.on('response', (response) => {
          if (response.request().resourceType() === 'script') scripts.push(response.body())
        })
        await page.addInitScript(notePainted, shows)
        await visits.go(page, path)
        await page.locator(shows).first().waitFor()
        times.push(await page.evaluate(() => Reflect.get(window, 'painted')))
        await page.waitForLoadState('networkidle')
        const sizes = (await Promise.all(scripts)).map((body) => gzipSync(body, { level: 9 }).length)
        kb.push(sizes.reduce((sum, size) => sum + size, 0) / 1000)
      })
    ms.push(median(times))
  }
  return { first_page_kb: Math.max(...kb), first_page_ms: Math.max(...ms) }
}

/** In the page: when an element is painted, in milliseconds since the navigation began. */
function notePainted(selector: string): void {
  const painted = new Promise<number>((resolve) => {
    const look = () => {
      if (document.querySelector(selector))
        requestAnimationFrame(() => setTimeout(() => resolve(performance.now())))
      else requestAnimationFrame(look)
    }
    look()
  })
  Reflect.set(window, 'painted', painted)
}

interface Act {
  readonly click?: string
  readonly choose?: readonly [selector: string, value: string]
  readonly type?: readonly [selector: string, value: string]
}

/** How the rows are when they are those that were asked for. */
interface Shows {
  readonly rows: number
  /** In each of them. */
  readonly text?: string
  /** Others than before. */
  readonly changed?: true
}

const CHANGES: Readonly<Record<string, { readonly act: Act; readonly shows: Shows }>> = {
  state: {
    act: { choose: ['label:has-text("State") select', 'FAILED'] },
    shows: { rows: 1, text: 'Failed' },
  },
  health: {
    act: { choose: ['label:has-text("Health") select', 'UNHEALTHY'] },
    shows: { rows: 1, text: 'Unhealthy' },
  },
  sort: {
    act: { choose: ['label:has-text("Order") select', 'NAME_ASC'] },
    shows: { rows: 50, changed: true },
  },
  next: { act: { click: 'button:text-is("Next")' }, shows: { rows: 50, changed: true } },
  alerts: { act: { click: 'button:has-text("With open alerts")' }, shows: { rows: 1, changed: true } },
  search: { act: { type: ['input[type=search]', 'mason'] }, shows: { rows: 50, text: 'Mason' } },
  search_nobody: { act: { type: ['input[type=search]', 'zqx'] }, shows: { rows: 0 } },
}

/** Milliseconds from an act of the person until the frame in which the rows are those that were asked for. */
async function untilPainted(page: Page, act: Act, shows: Shows): Promise<number> {
  const selector = act.click ?? act.choose?.[0] ?? act.type?.[0] ?? ''
  const element = await page.locator(selector).first().elementHandle()
  if (!element) throw new Error(`There is no ${selector} on the page.`)
  return element.evaluate(doAndWait, { value: act.choose?.[1] ?? act.type?.[1], shows })
}

/** In the page. */
function doAndWait(
  element: Element,
  { value, shows }: { value: string | undefined; shows: Shows },
): Promise<number> {
  const rowsNow = () => [...document.querySelectorAll('tbody tr')].map((row) => row.textContent ?? '')
  const before = rowsNow()[0]
  const isShown = () => {
    const rows = rowsNow()
    if (shows.rows === 0) return rows.length === 0
    if (rows.length < shows.rows) return false
    return (
      (shows.text === undefined || rows.every((row) => row.includes(shows.text ?? ''))) &&
      (!shows.changed || rows[0] !== before)
    )
  }
  return new Promise((resolve, reject) => {
    const startedAt = performance.now()
    const look = () => {
      if (isShown()) requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - startedAt)))
      else if (performance.now() - startedAt > 20_000)
        reject(new Error('It was not shown within 20 seconds.'))
      else requestAnimationFrame(look)
    }
    if (element instanceof HTMLSelectElement && value !== undefined) {
      element.value = value
      element.dispatchEvent(new Event('change', { bubbles: true }))
    } else if (element instanceof HTMLInputElement && value !== undefined) {
      // React notes what it has set itself, and would take this for no change.
      Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value')?.set?.call(element, value)
      element.dispatchEvent(new Event('input', { bubbles: true }))
    } else if (element instanceof HTMLElement) element.click()
    look()
  })
}

/** What axe finds on each page, in both themes and at the width of a phone. */
async function problemsOfPages(visits: Visits, slug: string): Promise<string[]> {
  const found: string[] = []
  const look = async (page: Page, path: string) => {
    await visits.go(page, path)
    await page.getByRole('heading', { level: 1 }).waitFor()
    await page.waitForLoadState('networkidle')
    found.push(...(await accessibilityProblems(page)).map((text) => `${path}: ${text}`))
  }
  await visits.stranger(async (page) => {
    for (const path of ['/sign-in', '/sign-up', '/forgot-password']) await look(page, path)
  })
  await visits.operator(async (page) => {
    const own = ['', '/health', '/query', '/infrastructure'].map((part) => `/o/${slug}${part}`)
    for (const path of [...own, '/new-organization', '/tenants', '/o/nobodys']) await look(page, path)
  })
  return found
}
