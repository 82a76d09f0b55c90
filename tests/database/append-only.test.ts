import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fingerprint } from './fingerprint.ts'
import { createTenant, openProject, type Project, refusal } from './project.ts'

let project: Project

beforeAll(async () => {
  project = await openProject()
})

afterAll(async () => {
  await project.close()
})

describe('history', () => {
  it.each(['provisioning_events', 'audit_logs'])(
    'in %s cannot be changed, even by its owner',
    async (table) => {
      const { organizationId, user } = await createTenant(project)
      await project.sql`select provisioning.audit(${organizationId}, 'test', 'user', ${user.id})`
      const before = await fingerprint(project.sql)
      const target = project.sql(`public.${table}`)
      const mine = project.sql`organization_id = ${organizationId}`
      expect(await refusal(project.sql`update ${target} set metadata = '{}' where ${mine}`)).toBe('42501')
      expect(await refusal(project.sql`delete from ${target} where ${mine}`)).toBe('42501')
      expect(await refusal(project.sql`truncate ${target}`)).toBe('42501')
      expect(await fingerprint(project.sql)).toEqual(before)
    },
  )
})
