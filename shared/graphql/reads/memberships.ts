import { PUBLIC_SCHEMA } from '../../kernel/database/schema.ts'
import type { KeyedQuery, Query } from '../reader.ts'

const EXPECTED_MEMBER = `'id', e.id, 'organizationId', e.organization_id, 'email', e.email, 'role', e.role,
  'expectedBy', e.expected_by, 'createdAt', e.created_at, 'endsAt', e.ends_at`

/** Pages of {first, after} of those who belong to each organization; after is [created_at, user_id] or null. */
export const MEMBERS: KeyedQuery = {
  name: 'members',
  missing: [],
  sql: (argument) => `
    select jsonb_object_agg(key.id, page.list)
    from (select jsonb_array_elements_text(${argument} -> 'keys')::uuid as id) key
    cross join lateral (
      select coalesce(jsonb_agg(jsonb_build_object('userId', m.user_id, 'organizationId', key.id, 'role', m.role,
        'fullName', p.full_name, 'email', p.email, 'createdAt', m.created_at) order by m.created_at, m.user_id), '[]') as list
      from (
        select m.user_id, m.role, m.created_at from ${PUBLIC_SCHEMA}.organization_members m
        where m.organization_id = key.id and (${argument} ->> 'after' is null or (m.created_at, m.user_id)
          > ((${argument} #>> '{after,0}')::timestamptz, (${argument} #>> '{after,1}')::uuid))
        order by m.created_at, m.user_id limit (${argument} ->> 'first')::integer) m
      left join ${PUBLIC_SCHEMA}.profiles p on p.id = m.user_id) page`,
}

export const EXPECTED_MEMBERS: Query = {
  name: 'expected members',
  sql: (argument) => `
    select coalesce(jsonb_agg(jsonb_build_object(${EXPECTED_MEMBER}) order by e.created_at, e.id), '[]')
    from provisioning.expected_members_as_caller((${argument} ->> 'organizationId')::uuid) e`,
}

export const MY_EXPECTATIONS: Query = {
  name: 'expected memberships',
  sql: () => `
    select coalesce(jsonb_agg(jsonb_build_object('organizationId', e.organization_id, 'organizationName', e.organization_name,
      'role', e.role, 'endsAt', e.ends_at) order by e.place), '[]')
    from provisioning.my_expected_memberships_as_caller() with ordinality e (organization_id, organization_name, role, ends_at, place)`,
}

export const EXPECT_MEMBER: Query = {
  name: 'an expected member',
  sql: (argument) => `
    select jsonb_build_object(${EXPECTED_MEMBER})
    from provisioning.expect_member_as_caller(${argument} ->> 'email', (${argument} ->> 'organizationId')::uuid,
      ${argument} ->> 'role', (${argument} ->> 'endsAt')::timestamptz) e`,
}

export const WITHDRAW_EXPECTATION: Query = {
  name: 'the end of an expectation',
  sql: (argument) => `
    select to_jsonb(provisioning.withdraw_expected_member_as_caller(
      ${argument} ->> 'email', (${argument} ->> 'organizationId')::uuid))`,
}

export const ACCEPT_MEMBERSHIP: Query = {
  name: 'a membership',
  sql: (argument) =>
    `select to_jsonb(provisioning.accept_membership_as_caller((${argument} ->> 'organizationId')::uuid))`,
}

export const DECLINE_MEMBERSHIP: Query = {
  name: 'no membership',
  sql: (argument) =>
    `select to_jsonb(provisioning.decline_membership_as_caller((${argument} ->> 'organizationId')::uuid))`,
}
