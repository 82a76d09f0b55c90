-- What the migration of a service has: its rows. It needs no function of its own, as it has no column of its own.

insert into provisioning.services (service, label) values ('postbox', 'Postbox');
insert into provisioning.resource_kinds (kind, service, label, grace_hours) values ('mailbox', 'postbox', 'mailbox', 0);
insert into provisioning.step_definitions (kind, tier, step, service, position, depends_on) values
  ('provision', 'database', 'mailbox', 'postbox', 6, '{}'),
  ('deprovision', 'database', 'delete_mailbox', 'postbox', 4, '{}'),
  ('undo', 'database', 'delete_mailbox', 'postbox', 4, '{}');
insert into provisioning.provider_status (provider, service, label) values ('postbox', 'postbox', 'Postbox');
insert into provisioning.rate_limits (provider, scope, burst, per_second) values ('postbox', '*', 100, 100);
update provisioning.tiers set services = services || '{postbox}' where tier = 'database';
