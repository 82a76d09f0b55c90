import type postgres from 'postgres'
import { failed, type Result, success } from '../kernel/result.ts'
import { ACT_AS_OWNER, STOP_ACTING } from './as-owner.ts'
import { failure } from './failures.ts'
import { isOfTheTenant } from './tenants-error.ts'

/** What provisioning.tenant_people() has of an organization: its own row, its subscription and its members, as JSON. */
export type TenantPeople = Readonly<Record<string, unknown>>

/** In the tenant's schema public. Writes nothing that is right already. Tables that the files of this project do not make are left out. */
const COPY = `do $copy$
declare
  v_known constant jsonb := current_setting('provisioning.people')::jsonb;
  v_id constant uuid := v_known #>> '{organization,id}';
begin
  if to_regclass('organizations') is not null then
    insert into organizations as o (id, name, slug, plan)
    select n.id, n.name, n.slug, n.plan
    from jsonb_to_record(v_known -> 'organization') n (id uuid, name text, slug text, plan text)
    on conflict (id) do update set name = excluded.name, slug = excluded.slug, plan = excluded.plan
    where (o.name, o.slug, o.plan) is distinct from (excluded.name, excluded.slug, excluded.plan);
  end if;
  if to_regclass('users') is not null then
    delete from users u
    where u.organization_id = v_id and not exists (
      select from jsonb_to_recordset(v_known -> 'users') n (id uuid) where n.id = u.id);
    insert into users as u (id, organization_id, email, full_name, avatar_url, role)
    select n.id, v_id, lower(btrim(n.email)), n.full_name, n.avatar_url, n.role::member_role
    from jsonb_to_recordset(v_known -> 'users') n (id uuid, email text, full_name text, avatar_url text, role text)
    on conflict (id) do update set organization_id = excluded.organization_id, email = excluded.email,
      full_name = excluded.full_name, avatar_url = excluded.avatar_url, role = excluded.role
    where (u.organization_id, u.email, u.full_name, u.avatar_url, u.role) is distinct from
      (excluded.organization_id, excluded.email, excluded.full_name, excluded.avatar_url, excluded.role);
  end if;
  -- Two conditions, because one is planned as a whole, table included.
  if to_regclass('subscription_history') is not null then
    if not exists (
      select from subscription_history h, jsonb_to_record(v_known -> 'subscription')
        n (plan text, status text, stripe_subscription_id text)
      where h.organization_id = v_id and h.ended_at is null
        and (h.plan, h.status, h.stripe_subscription_id) is not distinct from (n.plan, n.status, n.stripe_subscription_id))
    then
      update subscription_history h set ended_at = now() where h.organization_id = v_id and h.ended_at is null;
      insert into subscription_history (organization_id, plan, status, stripe_subscription_id)
      select v_id, n.plan, n.status, n.stripe_subscription_id
      from jsonb_to_record(v_known -> 'subscription') n (plan text, status text, stripe_subscription_id text);
    end if;
  end if;
end
$copy$;`
const GIVE_UP = 'rollback'

/**
 * Makes the organization and its members in the tenant's database those that the project knows. Who is no member any more is
 * removed; what refers to such a person stays, and refers to nobody. Another plan than last time is a new line of the history.
 * Wants a client as applyTenantSchema does. Fails when the owner has changed these tables, or put something on them.
 */
export async function copyPeople(sql: postgres.Sql, people: TenantPeople): Promise<Result<void>> {
  try {
    await sql.unsafe(copyStatements(people))
    return success(undefined)
  } catch (error) {
    if (!isOfTheTenant(error)) throw error
    await sql.unsafe(GIVE_UP)
    return failed(failure('tenant_people_refused', error.message))
  }
}

function copyStatements(people: TenantPeople): string {
  const known = `select pg_catalog.set_config('provisioning.people', ${literal(JSON.stringify(people))}, true);`
  return `begin; ${known} ${ACT_AS_OWNER} ${COPY} ${STOP_ACTING} commit`
}

/** The session has standard_conforming_strings, whatever the owner has set: a quote is all that has to be doubled. */
function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}
