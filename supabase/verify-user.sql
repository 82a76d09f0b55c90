-- Verifies one user: put the e-mail address (or the organization's slug, or an id) between the quotes below, and run the whole
-- script in the SQL editor. It reads only. The last column says what to do; the verdict, in the last row, is the one that
-- `npm run tenants -- status` gives. docs/verification-guide.md explains each check.

with asked as (
  select 'ann@example.com' as subject
), described as (
  select provisioning.describe_tenant(a.subject) as tenant from asked a
), checks as (
  select c.n, c.row ->> 'check' as "check", c.row ->> 'status' as status, c.row ->> 'found' as found,
    concat_ws(E'\n', c.row ->> 'fix', coalesce(c.row ->> 'sql', c.row ->> 'command')) as fix
  from described d, jsonb_array_elements(d.tenant -> 'checks') with ordinality c (row, n)
), verdict as (
  select d.tenant -> 'verdict' as v from described d
)
select c."check", c.status, c.found, nullif(c.fix, '') as fix from (
  select * from checks
  union all
  select null, 'VERDICT', case when (v ->> 'ready')::boolean then 'ready' else v ->> 'state' end, v ->> 'summary',
    concat_ws(E'\n', v ->> 'next', coalesce(v ->> 'sql', v ->> 'command'))
  from verdict) c
order by c.n nulls last;
