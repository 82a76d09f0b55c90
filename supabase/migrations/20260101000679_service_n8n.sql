-- All rows that say something of n8n: workflows for each tenant that has a Supabase project of its own.

insert into provisioning.services (service, label) values ('n8n', 'n8n');

-- No time of grace: the workflows work with keys that are taken away at once.
insert into provisioning.resource_kinds (kind, service, label) values ('n8n_workflows', 'n8n', 'workflows in n8n');

insert into provisioning.step_definitions (kind, tier, step, service, position, depends_on) values
  ('provision', 'project', 'n8n_workflows', 'n8n', 30, '{project_keys}'),
  ('deprovision', 'project', 'delete_n8n_workflows', 'n8n', 1, '{}'),
  ('undo', 'project', 'delete_n8n_workflows', 'n8n', 1, '{}');
-- As long as workflows run, they need what they log in with.
update provisioning.step_definitions set depends_on = depends_on || '{delete_n8n_workflows}'
where tier = 'project' and step = 'delete_credentials';

insert into provisioning.provider_status (provider, service, label) values ('n8n', 'n8n', 'n8n');
-- n8n has no limit of its own; its database, which all workflows share, does.
insert into provisioning.rate_limits (provider, scope, burst, per_second) values ('n8n', '*', 50, 10);

update provisioning.tiers set services = services || '{n8n}' where tier = 'project';
