import { expect, it } from 'vitest'
import { accessibilityProblems } from '../pages.ts'
import { ALL, ORGANIZATION } from '../pretended-data.ts'
import { card, link, page, pages, project } from './stage.ts'

it('offers to provision a tenant where there is none, and leads to its progress', async () => {
  const cancelled = { ...ORGANIZATION, provisioningStatus: { overall: 'cancelled' }, provisionedAt: null }
  project.instead.set('myOrganizations', [cancelled])
  project.instead.set('provisioningStatus', { ...ALL.provisioningStatus, overall: 'CANCELLED', percent: 0 })
  await page.goto(`${pages.url}/o/${ORGANIZATION.slug}/infrastructure`)
  await page.getByRole('heading', { name: 'Provision tenant' }).waitFor()
  await page.getByRole('radio', { name: /Frankfurt/ }).waitFor()
  await page.getByRole('button', { name: 'Set up', exact: true }).click()
  await page.getByText('Confirm this first.').waitFor()
  await page.getByRole('checkbox', { name: /cannot be changed later/ }).check()
  await page.getByRole('button', { name: 'Set up', exact: true }).click()
  await page.getByText('Your database is ready').waitFor()
  expect(project.asked.get('ProvisionTenant')).toEqual({
    organizationId: ORGANIZATION.id,
    dataRegion: 'eu-central-1',
    databaseSize: 'small',
  })
  // A plain member is told that there is nothing to be seen, and not asked to choose.
  project.instead.set('myOrganizations', [{ ...cancelled, role: 'MEMBER', permissions: ['CHECK_HEALTH'] }])
  await page.goto(`${pages.url}/o/${ORGANIZATION.slug}/infrastructure`)
  await page.getByText('For owners and admins').waitFor()
})

it('asks whoever is in no organization whether they join the team that expects them', async () => {
  project.instead.set('myOrganizations', [])
  await page.goto(`${pages.url}/`)
  await page.getByText('Ann’s bakery').waitFor()
  expect(await accessibilityProblems(page)).toEqual([])
  await page.getByRole('button', { name: 'Join' }).click()
  await expect.poll(() => project.asked.get('AcceptMembership')).toEqual({ organizationId: ORGANIZATION.id })
  project.instead.clear()
  await page.getByText('Your database is ready').waitFor()
})

it('gives whoever declines an organization of their own', async () => {
  project.instead.set('myOrganizations', [])
  await page.goto(`${pages.url}/`)
  await page.getByRole('button', { name: 'Decline' }).click()
  await expect.poll(() => project.asked.get('DeclineMembership')).toEqual({ organizationId: ORGANIZATION.id })
  project.instead.clear()
  await page.getByText('Your database is ready').waitFor()
})

it('asks what a new organization is to get, where its plan leaves a choice, and which of it stays', async () => {
  const { plans, ...options } = ALL.provisioningOptions
  const { tiers } = options
  const dearer = { ...plans[0], plan: 'pro', label: 'Pro', monthlyPrice: 2_500, sizes: ['small', 'medium'] }
  const choose = async (allowed: readonly string[]) => {
    project.instead.set('provisioningOptions', {
      ...options,
      sizes: [...options.sizes, { ...options.sizes[0], size: 'medium', suspendAfterSeconds: null }],
      plans: [{ ...plans[0], tiers: allowed }, dearer],
    })
    await page.goto(`${pages.url}/new-organization`)
    await page.getByLabel('Name of the organization').fill('Ann’s café')
    const choice = (label = '') => page.getByRole('radio', { name: new RegExp(`^${label}`) })
    return [choice(tiers[0]?.label), choice(tiers[1]?.label)] as const
  }
  const send = async () => {
    project.asked.delete('CreateOrganization')
    await page.getByRole('checkbox', { name: /cannot be changed later/ }).check()
    await page.getByRole('button', { name: 'Create and set up' }).click()
    await expect.poll(() => project.asked.get('CreateOrganization')).toBeDefined()
    return project.asked.get('CreateOrganization')
  }
  const wishes = { name: 'Ann’s café', dataRegion: 'eu-central-1', databaseSize: 'small' }

  const [own, whole] = await choose(['database'])
  for (const told of [
    'Frankfurt, Germany',
    'eu-central-1 · near you',
    'Free plan: free of charge, 512 MB of storage, can be restored to any moment of the last 24 h.',
    '0.25 to 1 vCPU, up to 4 GB memory',
    'Sleeps after 5 min without a query',
    // What another plan would allow, and for how much.
    'With Pro, US$25 a month',
    'Never sleeps',
  ])
    await page.getByText(told).first().waitFor()
  expect(await own.isChecked()).toBe(true)
  expect(await whole.isDisabled()).toBe(true)
  expect(await page.getByRole('radio', { name: /^medium/ }).isDisabled()).toBe(true)
  await page.getByText('The region cannot be changed later.').waitFor()
  expect(await send()).toEqual(wishes)

  const [, chosen] = await choose(['database', 'project'])
  // What a tier means is what it consists of.
  await page.getByText('Billing, Supabase project, Repository').waitFor()
  await page.getByText('The region and what you get cannot be changed later.').waitFor()
  await chosen.check()
  expect(await send()).toEqual({ ...wishes, tier: 'project' })
})

it('says what is wrong with a name while it is typed', async () => {
  await page.goto(`${pages.url}/new-organization`)
  const name = page.getByLabel('Name of the organization')
  const problem = page.getByText('Give your organization a name.')
  await name.fill('A')
  expect(await problem.count()).toBe(0)
  await name.fill('')
  await problem.waitFor()
  await name.fill('Ann')
  await problem.waitFor({ state: 'detached' })
})

it('gives an organization another name, and leads from one to the other', async () => {
  await link('Infrastructure')()
  const name = card('Name')()
  await name.getByLabel('Name of the organization').fill('Ann’s mill')
  await name.getByRole('button', { name: 'Save' }).click()
  await name.getByText('The name is changed.').waitFor()
  expect(project.asked.get('UpdateOrganization')).toEqual({
    organizationId: ORGANIZATION.id,
    name: 'Ann’s mill',
  })
  const mill = { ...ORGANIZATION, id: ORGANIZATION.id.replace(/.$/, '2'), name: 'Ann’s mill', slug: 'mill' }
  project.instead.set('myOrganizations', [ORGANIZATION, mill])
  await page.goto(`${pages.url}/o/${ORGANIZATION.slug}/health`)
  await page.getByLabel('Organization', { exact: true }).selectOption('Ann’s mill')
  await page.getByRole('heading', { name: 'Ann’s mill', level: 1 }).waitFor()
  expect(new URL(page.url()).pathname).toBe('/o/mill')
})
