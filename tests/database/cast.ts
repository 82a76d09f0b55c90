import type { Caller } from '../support/roles.ts'
import { signUp } from '../support/sign-up.ts'
import { createBegunTenant, openProject, type Project, type Tenant } from './project.ts'

export const PEOPLE = ['anon', 'stranger', 'member', 'admin', 'owner', 'service_role'] as const
export type Person = (typeof PEOPLE)[number]
export const EVERYBODY_INSIDE: readonly Person[] = ['member', 'admin', 'owner', 'service_role']
export const THE_HEADS: readonly Person[] = ['admin', 'owner', 'service_role']
/** Whoever a request of the Data API can be; `public` is everybody. */
export const API_ROLES = ['anon', 'authenticated', 'service_role', 'authenticator', 'public']

/** A project with a tenant that has a row in every table, and everybody who may come to it. */
export interface Cast {
  readonly project: Project
  readonly ours: Tenant
  /** Of an API key of ours. */
  readonly keyId: string
  /** Of a login for a time that our owner has asked for. */
  readonly accessId: string
  readonly people: Readonly<Record<Person, Caller>>
  /** A user who has no rows at all, for rows that need one. */
  readonly newcomer: string
  /** The user that a person is; those without one name the stranger, as somebody would who pretends. */
  readonly userIdOf: (person: Person) => string
}

export async function openCast(): Promise<Cast> {
  const project = await openProject()
  const ours = await createBegunTenant(project, { metadata: { full_name: 'Olga Owner' } })
  const signIn = (tenant: Tenant): Caller => ({ role: 'authenticated', userId: tenant.user.id })
  const [member, admin, stranger] = [
    await createBegunTenant(project),
    await createBegunTenant(project),
    await createBegunTenant(project),
  ]
  await project.sql`
    select provisioning.open_alert(${ours.organizationId}, 'provision_failed', 'critical', 'Something is wrong.')`
  await project.sql`insert into public.tenant_health (organization_id, status) values (${ours.organizationId}, 'healthy')`
  await project.sql`insert into public.tenant_health_checks (organization_id, checked_at, probe, status)
    values (${ours.organizationId}, now(), 'connection', 'healthy')`
  await project.sql`insert into public.tenant_health_hourly (organization_id, hour, checks, available)
    values (${ours.organizationId}, date_trunc('hour', now()), 1, 1)`
  await project.sql`select provisioning.record_resource(${ours.organizationId}, 'neon_project', 'org', 'a-project')`
  const [{ keyId } = { keyId: '' }] = await project.sql<{ keyId: string }[]>`
    select provisioning.insert_api_key(${ours.organizationId}, 'A key', 'read', null, null) ->> 'id' as "keyId"`
  const [{ accessId } = { accessId: '' }] = await project.sql<{ accessId: string }[]>`
    insert into provisioning.tenant_logins (organization_id, login, access_role, requested_by, made_at, ends_at, look_at)
    values (${ours.organizationId}, 'access_test', 'read', ${ours.user.id}, now(), now() + interval '1 day', now() + interval '1 day')
    returning id as "accessId"`
  await project.sql`insert into public.organization_members (organization_id, user_id, role) values
    (${ours.organizationId}, ${member.user.id}, 'member'), (${ours.organizationId}, ${admin.user.id}, 'admin')`
  const people: Cast['people'] = {
    anon: { role: 'anon' },
    stranger: signIn(stranger),
    member: signIn(member),
    admin: signIn(admin),
    owner: signIn(ours),
    service_role: { role: 'service_role' },
  }
  const newcomer = (await signUp(project.auth, { email: null, anonymous: true })).id
  const userIdOf = (person: Person): string => {
    const caller: Caller = people[person]
    return caller.role === 'authenticated' ? caller.userId : userIdOf('stranger')
  }
  return { project, ours, keyId, accessId, people, newcomer, userIdOf }
}

/** Ends a transaction without leaving anything. */
export class Undo extends Error {}

export function unlessUndone(error: unknown): void {
  if (!(error instanceof Undo)) throw error
}
