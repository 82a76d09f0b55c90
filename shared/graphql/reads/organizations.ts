import { PUBLIC_SCHEMA } from '../../kernel/database/schema.ts'
import type { Query } from '../reader.ts'

export const MY_ORGANIZATIONS: Query = {
  name: 'organizations',
  sql: () => `
    select coalesce(jsonb_agg(jsonb_build_object(
      'id', o.id, 'name', o.name, 'slug', o.slug, 'role', m.role,
      'permissions', provisioning.permissions_of(m.role), 'plan', o.plan, 'ownerId', o.owner_id,
      'stripeCustomerId', o.stripe_customer_id, 'stripeSubscriptionId', o.stripe_subscription_id,
      'stripeSubscriptionStatus', o.stripe_subscription_status, 'billingEmail', o.billing_email,
      'dataRegion', o.data_region, 'hostingRegion', o.hosting_region, 'provisioningStatus', o.provisioning_status,
      'provisionedAt', o.provisioned_at, 'createdAt', o.created_at, 'updatedAt', o.updated_at
    ) order by o.created_at, o.id), '[]')
    from ${PUBLIC_SCHEMA}.organization_members m join ${PUBLIC_SCHEMA}.organizations o on o.id = m.organization_id
    where m.user_id = (select auth.uid())`,
}

/** For its owners and admins; the database function checks that, and audits the revealing of the password. */
export const CONNECTION_INFO: Query = {
  name: 'connection info',
  sql: (argument) => `
    select jsonb_build_object('host', c -> 'host', 'pooledHost', c -> 'pooled_host', 'port', c -> 'port', 'pooledPort', c -> 'pooled_port',
      'database', c -> 'database', 'role', c -> 'role', 'sslMode', c -> 'ssl_mode',
      'graphqlEndpoint', c -> 'graphql_endpoint', 'password', c -> 'password')
    from ${PUBLIC_SCHEMA}.database_connection((${argument} ->> 'organizationId')::uuid, (${argument} ->> 'reveal')::boolean) c`,
}

export const CREATE_ORGANIZATION: Query = {
  name: 'a new organization',
  sql: (argument) => `
    select to_jsonb(provisioning.create_organization_as_caller(
      ${argument} ->> 'name', ${argument} ->> 'dataRegion', ${argument} ->> 'databaseSize',
      ${argument} ->> 'tier'))`,
}

export const UPDATE_ORGANIZATION: Query = {
  name: 'changes of an organization',
  sql: (argument) => `
    select to_jsonb(provisioning.update_organization_as_caller(
      (${argument} ->> 'organizationId')::uuid, ${argument} -> 'changes'))`,
}

export const DELETE_ORGANIZATION: Query = {
  name: 'the end of an organization',
  sql: (argument) => `
    select provisioning.delete_organization_as_caller(
      (${argument} ->> 'organizationId')::uuid, ${argument} ->> 'confirm', (${argument} ->> 'dryRun')::boolean)`,
}
