import { expect } from 'vitest'
import { type NewUser, signUp } from '../support/sign-up.ts'
import { only, type Project } from './project.ts'

export interface Organization {
  readonly id: string
  readonly name: string
  readonly slug: string
  readonly plan: string
  readonly billing_email: string | null
  readonly data_region: string
  readonly hosting_region: string
  readonly provisioning_status: Readonly<Record<string, string>>
}

/** The database row, the steps and the event come when a worker begins. */
export const ONE_OF_EACH = {
  organizations: 1,
  profiles: 1,
  memberships: 1,
  wallets: 1,
  databases: 0,
  jobs: 1,
  steps: 0,
  events: 0,
}
export const BEGUN = { ...ONE_OF_EACH, databases: 1, steps: 6, events: 1 }
export const NOTHING = {
  organizations: 0,
  profiles: 0,
  memberships: 0,
  wallets: 0,
  databases: 0,
  jobs: 0,
  steps: 0,
  events: 0,
}

/** What the tests of sign-ups look at. */
export function signUpsOf(project: Project) {
  const organizationsOf = (userId: string) =>
    project.sql<Organization[]>`select * from public.organizations where owner_id = ${userId}`
  return {
    organizationsOf,
    async signUpOrganization(user: Partial<NewUser>): Promise<Organization> {
      const { id } = await signUp(project.auth, user)
      return only(await organizationsOf(id))
    },
    /** How many rows each table holds for a user, whichever way they are attached. */
    async rowsOf(userId: string) {
      return only(
        await project.sql`
          with mine as (select id from public.organizations where owner_id = ${userId})
          select
            (select count(*)::int from mine) as organizations,
            (select count(*)::int from public.profiles where id = ${userId}) as profiles,
            (select count(*)::int from public.organization_members where user_id = ${userId}) as memberships,
            (select count(*)::int from public.wallets where user_id = ${userId}) as wallets,
            (select count(*)::int from public.organization_databases where organization_id in (table mine)) as databases,
            (select count(*)::int from public.provisioning_jobs where organization_id in (table mine)) as jobs,
            (select count(*)::int from public.provisioning_steps where organization_id in (table mine)) as steps,
            (select count(*)::int from public.provisioning_events where organization_id in (table mine)) as events`,
      )
    },
    async expectNoTrouble(): Promise<void> {
      expect([...(await project.sql`select * from provisioning.sign_up_failures`)]).toEqual([])
    },
  }
}
