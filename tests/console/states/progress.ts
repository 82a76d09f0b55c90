import { expect, it } from 'vitest'
import { accessibilityProblems } from '../pages.ts'
import { ALL, ORGANIZATION } from '../pretended-data.ts'
import { link, page, project } from './stage.ts'

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
