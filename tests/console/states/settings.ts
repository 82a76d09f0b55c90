import { expect, it } from 'vitest'
import { ALL, ORGANIZATION } from '../pretended-data.ts'
import { card, link, page, project } from './stage.ts'

it('lists the members page by page, and expects and withdraws others', async () => {
  const member = (n: number) => ({
    ...ALL.members[0],
    userId: ORGANIZATION.ownerId.replace(/..$/, String(n).padStart(2, '0')),
    role: 'MEMBER',
    fullName: null,
    email: `m${n}@example.com`,
    cursor: `after ${n}`,
  })
  const all = Array.from({ length: 60 }, (_, n) => member(n))
  project.instead.set('members', ({ first, after }: { first: number; after: string | null }) => {
    const from = all.findIndex(({ cursor }) => cursor === after) + 1
    return all.slice(from, from + first)
  })
  await link('Infrastructure')()
  const members = card('Members')()
  await members.getByText('m49@example.com').waitFor()
  await members.getByRole('button', { name: 'Show more' }).click()
  await members.getByText('m59@example.com').waitFor()
  expect(await members.getByRole('listitem').count()).toBe(60)
  expect(await members.getByRole('button', { name: 'Show more' }).count()).toBe(0)

  const expected = card('Expected members')()
  await expected.getByLabel('E-mail address').fill('cleo@example.com')
  await expected.getByLabel('Role').selectOption('Admin')
  await expected.getByRole('button', { name: 'Expect' }).click()
  await expect
    .poll(() => project.asked.get('ExpectMember'))
    .toEqual({ organizationId: ORGANIZATION.id, email: 'cleo@example.com', role: 'ADMIN' })
  await expect.poll(() => expected.getByLabel('E-mail address').inputValue()).toBe('')
  await expected.getByRole('button', { name: 'Withdraw bob@example.com' }).click()
  await expect
    .poll(() => project.asked.get('WithdrawExpectation'))
    .toEqual({ organizationId: ORGANIZATION.id, email: 'bob@example.com' })
})

it('copies the connection in four forms, with the password while it is shown, which is for 30 seconds', async () => {
  await page.getByRole('link', { name: 'Infrastructure' }).first().click()
  const copied = async (tab: string, form: string) => {
    await page.getByRole('tab', { name: tab, exact: true }).click()
    await page.getByRole('button', { name: `Copy the ${form} form`, exact: true }).click()
    return page.evaluate(() => navigator.clipboard.readText())
  }
  const where = 'pool.example.com'
  expect(await copied('psql', 'psql')).toBe(
    `psql "host=${where} port=6543 dbname=tenant user=app_1 password=YOUR_PASSWORD sslmode=verify-full sslrootcert=system"`,
  )
  expect(await copied('URI', 'uri')).toBe(
    `postgresql://app_1:YOUR_PASSWORD@${where}:6543/tenant?sslmode=verify-full`,
  )
  expect(await copied('.env', 'env')).toMatch(/^PGHOST=pool\.example\.com\nPGPORT=6543\n/)
  expect(await copied('Node.js', 'node')).toContain(`host: '${where}', port: 6543, database: 'tenant'`)
  await page.getByLabel('Through the pooler, for many short connections').uncheck()
  expect(await copied('URI', 'uri')).toContain('@db.example.com:5432/')

  const secret = 'a/password of the test'
  // The password was changed meanwhile, for which another user was made.
  project.instead.set('tenantConnectionInfo', {
    ...ALL.tenantConnectionInfo,
    role: 'app_2',
    password: secret,
  })
  await page.getByRole('button', { name: 'Reveal the password' }).click()
  await page.getByRole('button', { name: 'Reveal', exact: true }).click()
  await page.getByRole('button', { name: 'Hide the password' }).waitFor()
  expect(await copied('URI', 'uri')).toContain('//app_2:a%2Fpassword%20of%20the%20test@')
  expect(await copied('.env', 'env')).toContain(`PGPASSWORD=${secret}`)
  await page.clock.fastForward(25_000)
  expect(await page.content()).toContain(secret)
  await page.clock.fastForward(6_000)
  await page.getByRole('button', { name: 'Reveal the password' }).waitFor()
  expect(await page.content()).not.toContain(secret)
  expect(await copied('URI', 'uri')).toContain('//app_2:YOUR_PASSWORD@')
})

it('makes, renames, replaces and revokes keys, and changes the password, as a person says', async () => {
  await page.getByRole('link', { name: 'Infrastructure' }).first().click()
  const keys = card('API keys')()
  await keys.getByText(/last used 1\d minutes ago/).waitFor()
  await keys.getByRole('button', { name: 'New key' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByLabel('Name', { exact: true }).fill('Shop')
  await dialog.getByLabel('What it may do').selectOption('Read and write')
  await dialog.getByLabel('Ends').selectOption('in 30 days')
  await dialog.getByRole('button', { name: 'Create the key' }).click()
  await dialog.getByText('tdk_shown_once').waitFor()
  const { expiresAt, ...wishes } = project.asked.get('CreateApiKey') ?? {}
  expect(wishes).toEqual({ organizationId: ORGANIZATION.id, name: 'Shop', scope: 'WRITE' })
  const days = (new Date(String(expiresAt)).getTime() - Date.now()) / 86_400_000
  expect(Math.abs(days - 30)).toBeLessThan(0.1)
  await dialog.getByRole('button', { name: 'I have copied it' }).click()
  await dialog.waitFor({ state: 'detached' })
  expect(await page.content()).not.toContain('tdk_shown_once')

  const { id } = ALL.apiKeys[0] ?? {}
  await keys.getByRole('button', { name: 'Rename Website' }).click()
  await dialog.getByLabel('Name', { exact: true }).fill('Shop window')
  await dialog.getByRole('button', { name: 'Rename' }).click()
  await expect.poll(() => project.asked.get('RenameApiKey')).toEqual({ id, name: 'Shop window' })
  await dialog.waitFor({ state: 'detached' })
  await keys.getByRole('button', { name: 'Replace Website' }).click()
  await dialog.getByRole('button', { name: 'Replace' }).click()
  await dialog.getByText('tdk_replacement').waitFor()
  expect(project.asked.get('RerollApiKey')).toEqual({ id, graceHours: 24 })
  await dialog.getByRole('button', { name: 'I have copied it' }).click()
  await dialog.waitFor({ state: 'detached' })
  await keys.getByRole('button', { name: 'Revoke Website' }).click()
  await dialog.getByRole('button', { name: 'Revoke' }).click()
  await expect.poll(() => project.asked.get('RevokeApiKey')).toEqual({ id })

  await page.getByRole('button', { name: 'Change the password' }).click()
  await dialog.getByRole('button', { name: 'Change it' }).click()
  await page.getByText('A new login is being made').waitFor()
  expect(project.asked.get('RotateCredentials')).toEqual({ organizationId: ORGANIZATION.id })
})

it('changes nothing later than somebody asked for it: without a connection it is refused at once', async () => {
  await link('Infrastructure')()
  await page.getByRole('button', { name: 'Change the password' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.waitFor()
  project.asked.delete('RotateCredentials')
  await page.context().setOffline(true)
  await dialog.getByRole('button', { name: 'Change it' }).click()
  await dialog.getByText(/^You are offline\./).waitFor()
  await page.context().setOffline(false)
  await dialog.getByRole('button', { name: 'Cancel' }).click()
  await page.getByText('What you see may be old.').waitFor({ state: 'detached' })
  expect(project.asked.has('RotateCredentials')).toBe(false)
})
