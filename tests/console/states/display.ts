import { expect, it } from 'vitest'
import { accessibilityProblems, openContext } from '../pages.ts'
import { ORGANIZATION } from '../pretended-data.ts'
import { signInAt } from '../pretended-project.ts'
import { becomes, browser, link, page, pages, project } from './stage.ts'

it('says what is missing where config.json beside the pages names no project', async () => {
  const without = '**/config.json'
  await page.route(without, (route) => route.fulfill({ json: { url: '', publishableKey: '' } }))
  try {
    await page.goto(pages.url)
    await page.getByRole('heading', { name: 'The console cannot start' }).waitFor()
    await page.getByRole('alert').getByText('it needs "url" and "publishableKey"').waitFor()
    expect(await accessibilityProblems(page)).toEqual([])
  } finally {
    await page.unroute(without)
  }
})

it('says so where the program of a page cannot be loaded for want of a connection, and goes on by itself', async () => {
  const fresh = await openContext(browser, [pages.url, project.url])
  const own = await fresh.context.newPage()
  own.setDefaultTimeout(15_000)
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

it('is used with the keyboard alone: from a new page to its content, from tab to tab, into a question and back', async () => {
  const focused = () => page.evaluate(() => document.activeElement?.textContent ?? '')
  const tag = () => page.evaluate(() => document.activeElement?.tagName)
  await page.goto(`${pages.url}/o/${ORGANIZATION.slug}/infrastructure`)
  await page.getByText('pool.example.com').first().waitFor()
  await page.keyboard.press('Tab')
  expect(await focused()).toBe('Skip to the content')
  await page.keyboard.press('Enter')
  await page.keyboard.press('Tab')
  expect(await focused()).toBe('Reveal the password')

  await page.keyboard.press('Enter')
  const dialog = page.getByRole('dialog', { name: 'Reveal the password?' })
  await dialog.getByRole('button', { name: 'Reveal', exact: true }).waitFor()
  const isWithin = () => dialog.evaluate((element) => element.contains(document.activeElement))
  await expect.poll(isWithin).toBe(true)
  // As often as it takes to leave it, if it could be left.
  for (let step = 0; step < 4; step += 1) {
    await page.keyboard.press('Tab')
    await expect.poll(isWithin).toBe(true)
  }
  await page.keyboard.press('Escape')
  await dialog.waitFor({ state: 'detached' })
  await expect.poll(focused).toBe('Reveal the password')

  await page.keyboard.press('Tab')
  expect(await focused()).toBe('psql')
  await page.keyboard.press('ArrowRight')
  await expect.poll(focused).toBe('URI')
  await page.keyboard.press('Enter')
  await page.getByRole('button', { name: 'Copy the uri form' }).waitFor()
  // Another page begins at its heading.
  await link('Health')()
  await expect.poll(tag).toBe('H1')
  expect(await focused()).toBe('Health')
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
  becomes(['Health'], 'hang')
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
