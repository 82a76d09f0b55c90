import { readdir, readFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createTenant, only, openProject, type Project } from './project.ts'

let project: Project

beforeAll(async () => {
  project = await openProject()
})

afterAll(() => project?.close())

const root = new URL('../../', import.meta.url)

/** What one call of provisioning.audit is given, up to its closing parenthesis. */
function argumentsAt(sql: string, start: number): string {
  let depth = 1
  let end = start
  while (depth > 0 && end < sql.length) depth += { '(': 1, ')': -1 }[sql[end++] ?? ''] ?? 0
  return sql.slice(start, end)
}

async function writtenActions(): Promise<string[]> {
  const folder = new URL('supabase/migrations/', root)
  const files = await Promise.all(
    (await readdir(folder)).map((name) => readFile(new URL(name, folder), 'utf8')),
  )
  const calls = files.flatMap((sql) =>
    [...sql.matchAll(/(?<!function )provisioning\.audit\(/g)].map(({ 0: { length }, index }) =>
      argumentsAt(sql, index + length),
    ),
  )
  return calls.flatMap((call) => {
    const actions = [...call.matchAll(/'([a-z_]+\.[a-z_]+)'/g)].map(([, action = '']) => action)
    expect(actions, call).not.toEqual([])
    return actions
  })
}

async function documentedActions(): Promise<string[]> {
  const page = await readFile(new URL('docs/security.md', root), 'utf8')
  const section = page.slice(page.indexOf('## Audit log'), page.indexOf('## Deliberately out of scope'))
  const rows = section.split('\n').map((line) => /^\| (`.+?) \|/.exec(line)?.[1] ?? '')
  return rows.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, action = '']) => action))
}

it('the documentation names each action that the migrations write, and no other', async () => {
  const [written, documented] = await Promise.all([writtenActions(), documentedActions()])
  expect(documented.toSorted()).toEqual([...new Set(written)].sort())
})

const trail = (organizationId: string) => project.sql`
  select action, resource_id, metadata from public.audit_logs where organization_id = ${organizationId}`

describe('the audit log', () => {
  it('leaves out the owner with whom the organization came, and no later one', async () => {
    const { organizationId } = await createTenant(project)
    expect(await trail(organizationId)).toHaveLength(0)
    const { user } = await createTenant(project)
    await project.api.begin(async (tx) => {
      await tx`set local role service_role`
      await tx`insert into public.organization_members (organization_id, user_id, role)
        values (${organizationId}, ${user.id}, 'owner')`
    })
    expect([...(await trail(organizationId))]).toEqual([
      { action: 'member.added', resource_id: user.id, metadata: { to: 'owner' } },
    ])
  })

  it('has a second owner who came in the same transaction', async () => {
    const { user: colleague } = await createTenant(project)
    const { user, organizationId } = await createTenant(project)
    await project.sql.begin(async (tx) => {
      await tx`update public.organizations set created_at = now() where id = ${organizationId}`
      await tx`insert into public.organization_members (organization_id, user_id, role)
        values (${organizationId}, ${colleague.id}, 'owner')`
    })
    expect(user.id).not.toBe(colleague.id)
    expect(only(await trail(organizationId))).toMatchObject({ action: 'member.added' })
  })

  it('has a change of the owner, whoever makes it', async () => {
    const { user, organizationId } = await createTenant(project)
    const { user: next } = await createTenant(project)
    await project.sql`update public.organizations set owner_id = ${next.id} where id = ${organizationId}`
    expect([...(await trail(organizationId))]).toContainEqual({
      action: 'organization.owner_changed',
      resource_id: next.id,
      metadata: { from: user.id, to: next.id },
    })
  })
})
