import { mkdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { Browser, Page } from 'playwright-core'
import type postgres from 'postgres'
import { startConsole } from '../../local/console.ts'
import { runCommand, withoutArguments } from '../../tools/command.ts'
import { ensureConsole } from '../../tools/console/build.ts'
import { projectRoot } from '../../tools/project.ts'
import { type BenchProject, withProject } from '../benchmarks/project.ts'
import { animate } from './animation.ts'
import { launchBrowser } from './browser.ts'
import { openContext } from './pages.ts'

const HELP = `npm run screenshots

Takes pictures of every page of the console, in both themes and at the width of a phone, and the animation of a sign-up, into
docs/images. The project behind it is made for that and thrown away. CONSOLE_PNG names a folder that gets them as PNG, too.`

const FOLDER = path.join(projectRoot, 'docs/images')
const VIEWS = [
  { name: 'light', theme: 'light', width: 1280, height: 800 },
  { name: 'dark', theme: 'dark', width: 1280, height: 800 },
  { name: 'phone', theme: 'light', width: 390, height: 844 },
] as const
const PASSWORD = 'a-long-password'
const EXPECTED = 'emma@example.com'
const SMALL = { width: 960, height: 640 }

const signal = new AbortController().signal

async function takePictures(browser: Browser, project: BenchProject, address: string): Promise<void> {
  const { context, trouble } = await openContext(browser, [address, project.services.url])
  const page = await context.newPage()
  page.setDefaultTimeout(30_000)
  const camera = new Camera(page, await (await browser.newContext()).newPage())
  const go = async (where: string, shows: string) => {
    await page.goto(`${address}${where}`)
    await page.getByText(shows).first().waitFor()
    await page.waitForLoadState('networkidle')
  }
  await go('/sign-in', 'Forgot')
  await camera.take('sign-in')
  await go('/sign-up', 'E-mail address')
  await camera.take('sign-up')
  const slug = await signUp(page, project, camera)
  await fillHistory(project.superuser)
  await fillTeam(project.superuser)
  await go(`/o/${slug}`, 'Your database is ready')
  await camera.take('progress')
  await page.goto(`${address}/o/${slug}/health`)
  await page.getByRole('tab', { name: '1 hour' }).click()
  await page.getByRole('button', { name: 'Check now' }).click()
  await page.getByText('not measured').first().waitFor({ state: 'detached' })
  await page.waitForLoadState('networkidle')
  await camera.take('health')
  // The check has read which version of the schema the database has.
  await go(`/o/${slug}/infrastructure`, '••••••••')
  await camera.take('infrastructure')
  await go(`/o/${slug}/query`, 'with your own rights')
  await page.getByRole('button', { name: 'Run', exact: true }).click()
  await page.getByText('totalCount').last().waitFor()
  await camera.take('query')
  await go('/new-organization', 'Frankfurt')
  await camera.take('new-organization')
  await go('/tenants', 'Failed, by reason')
  await camera.take('tenants', 1_400)
  await page.locator('tbody tr button').first().click()
  await page.getByRole('heading', { name: 'Checks' }).waitFor()
  await camera.take('tenant', 900)
  await go('/o/nobodys', 'There is no such page')
  await camera.take('not-found')
  if (trouble.found.length > 0) throw new Error(trouble.found.join('\n'))
}

/** What somebody sees who is expected as a member, and then has forgotten the password. */
async function takeInvited(browser: Browser, project: BenchProject, address: string): Promise<void> {
  const { context, trouble } = await openContext(browser, [address, project.services.url])
  const page = await context.newPage()
  page.setDefaultTimeout(30_000)
  const camera = new Camera(page, await (await browser.newContext()).newPage())
  await page.goto(`${address}/sign-up`)
  await page.getByLabel('E-mail address', { exact: true }).fill(EXPECTED)
  await page.getByLabel('Password', { exact: true }).fill(PASSWORD)
  await page.getByRole('button', { name: 'Sign up' }).click()
  await page.getByText('You are expected').waitFor()
  await camera.take('expected')
  await page.getByRole('button', { name: /^Sign out/ }).click()
  await page.getByRole('link', { name: 'Forgot your password?' }).click()
  await page.getByLabel('E-mail address', { exact: true }).fill(EXPECTED)
  await camera.take('forgot-password')
  await page.getByRole('button', { name: 'Send the link' }).click()
  await page.getByText('Look into your mail').waitFor()
  const reply = await fetch(`${project.services.url}/mail.json`)
  const mails: readonly { to: string; type: string; link: string }[] = await reply.json()
  await page.goto(mails.find(({ to, type }) => to === EXPECTED && type === 'recovery')?.link ?? '')
  await page.getByRole('button', { name: 'Change the password' }).waitFor()
  await camera.take('new-password')
  if (trouble.found.length > 0) throw new Error(trouble.found.join('\n'))
}

/** In the smaller window of the animation. @returns the slug of the organization */
async function signUp(page: Page, project: BenchProject, camera: Camera): Promise<string> {
  await page.setViewportSize(SMALL)
  const frames: { webp: Buffer; ms: number }[] = []
  const look = async (ms: number) => void frames.push({ webp: await camera.still(), ms })
  await look(600)
  for (const [label, text] of [
    ['Organization', 'Ann’s bakery'],
    ['E-mail address', 'ann@example.com'],
    ['Password', PASSWORD],
  ] as const) {
    await page.getByLabel(label, { exact: true }).fill(text)
    await look(500)
  }
  // So that each step is seen: the emulators answer at once otherwise.
  for (const emulator of [project.services.neon, project.services.stripe])
    emulator?.faults.add({ match: {}, action: { type: 'latency', ms: 350 } })
  await page.getByRole('button', { name: 'Sign up' }).click()
  await page.getByRole('heading', { name: 'Ann’s bakery' }).waitFor()
  const isReady = page.getByText('Your database is ready')
  const until = Date.now() + 30_000
  while (!(await isReady.isVisible()) && Date.now() < until) {
    await look(500)
    await page.waitForTimeout(400)
  }
  await isReady.waitFor()
  await page.waitForTimeout(400)
  await look(2_500)
  for (const emulator of [project.services.neon, project.services.stripe]) emulator?.faults.clear()
  await writeFile(
    path.join(FOLDER, 'console-sign-up-to-ready.webp'),
    animate(frames, SMALL.width, SMALL.height),
  )
  await project.superuser`
    select provisioning.grant_operator(id, 'pictures') from auth.users where email = 'ann@example.com'`
  const [row] = await project.superuser<{ slug: string }[]>`
    select slug from public.organizations where name = 'Ann’s bakery'`
  return row?.slug ?? ''
}

/** Before anybody signs up: the rows of the others are filled for every job that there is. */
async function makeOthers(superuser: postgres.Sql): Promise<void> {
  const tenants = 300
  // Those of a project, for people to see; the one behind the pictures has none.
  await superuser`update provisioning.rate_limits set burst = 100, per_second = 10`
  for (const file of ['growth-fleet.sql', 'console-fleet.sql'])
    await superuser.unsafe(await readFile(new URL(`../benchmarks/${file}`, import.meta.url), 'utf8'))
  await superuser.unsafe(`call growth.fill(${tenants})`).simple()
  await superuser.unsafe(`call growth.trouble(${tenants})`).simple()
  await superuser`update public.organization_databases set schema_version = case when random() < 0.1 then 1 else 2 end
    where neon_project_id like 'project-%'`
}

/** An hour of checks with a gap in it. */
async function fillHistory(superuser: postgres.Sql): Promise<void> {
  await superuser`
    insert into public.tenant_health_checks (organization_id, checked_at, probe, status, latency_ms, connect_ms, pooled_connect_ms,
      transactions_per_second, cache_hit_ratio, longest_query_seconds, connections, max_connections, size_bytes)
    select o.id, now() - m * interval '1 minute', 'connection', 'healthy', 2 + sin(m / 7.0) + m % 3 * 0.4, 24, 12,
      8 + 3 * sin(m / 5.0), 0.96 + 0.03 * sin(m / 9.0), 0, round(5 + 3 * sin(m / 8.0)), 300, 8300000 + (60 - m) * 20000
    from public.organizations o cross join generate_series(2, 58, 2) m
    where o.name = 'Ann’s bakery' and m not between 22 and 46
    on conflict do nothing`
  await superuser.unsafe('analyze').simple()
}

/** Keys, members and somebody who is expected: the first people of the others belong to this organization, too. */
async function fillTeam(superuser: postgres.Sql): Promise<void> {
  await superuser.begin(async (sql) => {
    const [own] = await sql<{ id: string; ownerId: string }[]>`
      select id, owner_id as "ownerId" from public.organizations where name = 'Ann’s bakery'`
    if (!own) throw new Error('There is no organization to take pictures of.')
    await sql`select provisioning.insert_api_key(${own.id}, 'Website', 'read', now() + interval '90 days', null),
      provisioning.insert_api_key(${own.id}, 'Till', 'write', null, null)`
    await sql`update public.tenant_api_keys set last_used_at = now() - interval '4 minutes' where name = 'Website'`
    await sql`
      insert into provisioning.expected_members (organization_id, email, role, expected_by, ends_at)
      values (${own.id}, ${EXPECTED}, 'member', ${own.ownerId}, now() + interval '7 days')`
    // Rows alone: nobody is made known to the tenant's database for a picture.
    await sql`set local session_replication_role = replica`
    await sql`update public.profiles set full_name = 'Ann Archer' where id = ${own.ownerId}`
    await sql`
      insert into public.organization_members (organization_id, user_id, role)
      select ${own.id}, p.id, case when row_number() over (order by p.created_at) = 1 then 'admin' else 'member' end
      from public.profiles p where p.id <> ${own.ownerId} order by p.created_at limit 3`
  })
}

class Camera {
  readonly #page: Page
  /** Of a page that allows a canvas to be read. */
  readonly #encoder: Page

  constructor(page: Page, encoder: Page) {
    this.#page = page
    this.#encoder = encoder
  }

  still = async (): Promise<Buffer> => {
    const png = await this.#page.screenshot()
    const webp = await this.#encoder.evaluate(async (source) => {
      const image = new Image()
      image.src = `data:image/png;base64,${source}`
      await image.decode()
      const canvas = Object.assign(document.createElement('canvas'), {
        width: image.width,
        height: image.height,
      })
      canvas.getContext('2d')?.drawImage(image, 0, 0)
      return canvas.toDataURL('image/webp', 0.8).split(',')[1] ?? ''
    }, png.toString('base64'))
    if (process.env.CONSOLE_PNG) await writeFile(`${process.env.CONSOLE_PNG}/${++Camera.#count}.png`, png)
    return Buffer.from(webp, 'base64')
  }
  static #count = 0

  /** @param mostPixels how much of a long page is shown */
  take = async (name: string, mostPixels = Infinity): Promise<void> => {
    // What was clicked is not to look like something that is about to be.
    await this.#page.mouse.move(0, 0)
    for (const view of VIEWS) {
      await this.#page.setViewportSize({ width: view.width, height: view.height })
      await this.#page.evaluate((theme) => {
        document.documentElement.dataset.theme = theme
      }, view.theme)
      // Charts are drawn anew for another width.
      await this.#page.waitForTimeout(400)
      // The window is as high as the page, so that what keeps to its edges is where the page ends.
      const length = await this.#page.evaluate(() => document.documentElement.scrollHeight)
      const height = Math.max(view.height, Math.min(length, mostPixels))
      await this.#page.setViewportSize({ width: view.width, height })
      // Colours fade.
      await this.#page.waitForTimeout(200)
      const file = `console-${name}-${view.name}.webp`
      await writeFile(path.join(FOLDER, file), await this.still())
      console.error(`… ${file}`)
    }
    await this.#page.setViewportSize({ width: VIEWS[0].width, height: VIEWS[0].height })
  }
}

await runCommand(
  withoutArguments(HELP, async () => {
    await ensureConsole()
    await mkdir(FOLDER, { recursive: true })
    const options = { runs: 1, quick: true, signal, progress: (what: string) => console.error(`… ${what}`) }
    await withProject({ spareDatabases: 2, authConnections: 1 }, options, async (project) => {
      await makeOthers(project.superuser)
      const { url } = project.services
      const server = await startConsole({ url, publishableKey: project.keys.publishableKey }, 0)
      const browser = await launchBrowser()
      try {
        await takePictures(browser, project, server.url)
        await takeInvited(browser, project, server.url)
      } finally {
        await browser.close()
        await server.stop()
      }
    })
    return 0
  }),
)
