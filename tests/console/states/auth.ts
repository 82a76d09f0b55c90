import { expect, it } from 'vitest'
import { page, pages, project } from './stage.ts'

/** The pages of whoever is not signed in, or not any more. */
const FORMS = {
  '/sign-up': { submit: 'Sign up', fields: ['E-mail address', 'Password'] },
  '/sign-in': { submit: 'Sign in', fields: ['E-mail address', 'Password'] },
  '/forgot-password': { submit: 'Send the link', fields: ['E-mail address'] },
} as const
const FILLED = { 'E-mail address': 'ann@example.com', Password: 'a-long-password' } as const

it.each(Object.entries(FORMS))(
  'the form of %s says that it is busy, why it was refused, and that there is no connection, and keeps what was typed',
  async (path, { submit, fields }) => {
    await page.evaluate(() => localStorage.removeItem('console-session'))
    await page.goto(`${pages.url}${path}`)
    const button = page.getByRole('button', { name: submit, exact: true })
    for (const field of fields) await page.getByLabel(field, { exact: true }).fill(FILLED[field])
    project.fates.set('auth', 'hang')
    await button.click()
    await expect.poll(() => button.isDisabled()).toBe(true)
    project.fates.set('auth', { code: 'too_many_requests' })
    project.cut()
    await page.getByRole('alert').getByText('Too many attempts. Try again in some minutes.').waitFor()
    await page.context().setOffline(true)
    await button.click()
    await page.getByRole('alert').getByText('You are offline.').waitFor()
    for (const field of fields)
      expect(await page.getByLabel(field, { exact: true }).inputValue()).toBe(FILLED[field])
    await page.context().setOffline(false)
  },
)

it('tells whoever has signed up to look into their mail, where an address has to be confirmed', async () => {
  await page.evaluate(() => localStorage.removeItem('console-session'))
  await page.goto(`${pages.url}/sign-up`)
  await page.getByLabel('E-mail address', { exact: true }).fill(FILLED['E-mail address'])
  await page.getByLabel('Password', { exact: true }).fill(FILLED.Password)
  await page.getByRole('button', { name: 'Sign up', exact: true }).click()
  await page.getByRole('heading', { name: 'Look into your mail' }).waitFor()
  await page.getByText(/^We sent a link to ann@example\.com\./).waitFor()
})
