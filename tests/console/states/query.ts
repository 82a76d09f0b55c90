import { expect, it } from 'vitest'
import { link, page, project } from './stage.ts'

it('begins with a query that works also where the tables are none of ours', async () => {
  const column = (field: string) => ({ name: field, args: [], type: { kind: 'SCALAR', ofType: null } })
  project.instead.set('tenant-graphql', {
    data: {
      __schema: {
        queryType: {
          fields: [{ name: 'invoices', args: [{ name: 'first' }], type: { name: 'Page', ofType: null } }],
        },
      },
      __type: {
        fields: [
          { name: 'nodes', type: { ofType: { ofType: { fields: [column('id'), column('total')] } } } },
        ],
      },
    },
  })
  await link('Query')()
  await expect
    .poll(() => page.getByLabel('Query', { exact: true }).inputValue())
    .toMatch(/invoices\(first: \$first\) \{[^}]*id\s+total/)
  const asked = await page.getByLabel('Query', { exact: true }).inputValue()
  await page.getByRole('button', { name: 'Run', exact: true }).click()
  await page.getByRole('region', { name: 'Data' }).waitFor()
  expect(project.queries.at(-1)).toBe(asked)
})
