import { readFile } from 'node:fs/promises'
import { expect, it } from 'vitest'
import { applyTenantSchema } from '../../shared/tenant-database/apply-schema.ts'
import { createTenantDatabase } from '../support/tenant-database.ts'

it('the example of a daily job fills the tables of metrics, and a trigger of the tenant’s runs as the owner', async () => {
  const tenant = await createTenantDatabase(['schema'])
  const schema = tenant.connect('schema')
  try {
    await applyTenantSchema(schema)
    await tenant.admin.unsafe(`
      insert into public.organizations (name, slug) values ('Ours', 'ours');
      insert into public.contacts (organization_id, last_name) select id, 'Lovelace' from public.organizations;
      set role ${tenant.name}_owner;
      create table public.trapped (role text); alter table public.trapped enable row level security;
      create policy own on public.trapped using (true);
      create function public.trap() returns trigger language plpgsql as $$
        begin insert into public.trapped values (current_user); return new; end $$;
      create trigger trap before insert on public.client_usage_metrics for each row execute function public.trap();
      reset role`)
    const daily = await readFile(new URL('../../tenant-schema/examples/metrics.sql', import.meta.url), 'utf8')
    await schema.unsafe(daily)
    await schema.unsafe(daily)
    const usage =
      await tenant.admin`select metric, quantity > 0 as some from public.client_usage_metrics order by 1`
    expect(usage).toEqual([
      { metric: 'contacts', some: true },
      { metric: 'storage', some: true },
    ])
    expect(await tenant.admin`select contacts, new_contacts from public.analytics_snapshots`).toEqual([
      { contacts: 1, new_contacts: 1 },
    ])
    expect(await tenant.admin`select distinct metric from public.platform_metrics order by 1`).toEqual([
      { metric: 'connections' },
      { metric: 'size' },
    ])
    expect(await tenant.admin`select distinct role from public.trapped`).toEqual([
      { role: `${tenant.name}_owner` },
    ])
    expect(await schema`select current_user::text as role`).toEqual([{ role: `${tenant.name}_schema` }])
  } finally {
    await schema.end({ timeout: 1 })
    await tenant.drop()
  }
})
