import { expect, it } from 'vitest'
import { ALL, ORGANIZATION } from '../pretended-data.ts'
import { card, link, page, project } from './stage.ts'

it('says how a database is, why, and what was measured, and checks it when asked to', async () => {
  project.instead.set('tenantHealth', {
    ...ALL.tenantHealth,
    status: 'DEGRADED',
    reasons: [{ code: 'latency_high', severity: 'WARNING', message: 'It answers slowly.' }],
  })
  project.instead.set('checkTenantHealth', ALL.tenantHealth)
  await link('Health')()
  const now = card('Now')()
  await now.getByText('Degraded', { exact: true }).waitFor()
  await now.getByText('It answers slowly.').waitFor()
  expect(await now.getByRole('definition').allTextContents()).toEqual([
    '2.1 ms',
    '3 of 112',
    '99 %',
    '7.9 MB of 476.8 MB',
  ])
  project.instead.set('tenantHealth', ALL.tenantHealth)
  await now.getByRole('button', { name: 'Check now' }).click()
  await now.getByText('Healthy', { exact: true }).waitFor()
  // Their role may wake it.
  expect(project.asked.get('CheckHealth')).toEqual({ organizationId: ORGANIZATION.id, deep: true })
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
  const clock = new Intl.DateTimeFormat('en-GB', { timeStyle: 'short', timeZone: 'Europe/Berlin' })
  expect(await chart.locator('svg text').allTextContents()).toEqual([
    '14 ms',
    ...[points[0], points.at(-1)].map((point) => clock.format(new Date(point?.at ?? ''))),
  ])
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
