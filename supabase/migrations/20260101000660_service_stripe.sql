-- All rows that say something of Stripe: the customer of each organization, for its bills.

insert into provisioning.services (service, label) values ('stripe', 'Stripe');

insert into provisioning.step_definitions (kind, tier, step, service, position, depends_on) values
  ('provision', 'database', 'stripe_customer', 'stripe', 1, '{}'),
  ('deprovision', 'database', 'delete_stripe_customer', 'stripe', 3, '{}'),
  ('undo', 'database', 'delete_stripe_customer', 'stripe', 3, '{}');

insert into provisioning.provider_status (provider, service, label) values
  ('stripe_test', 'stripe', 'Stripe (test mode)'),
  ('stripe_live', 'stripe', 'Stripe');
-- Documented are 25 calls a second in test mode and 100 live; this leaves room for what else uses the account.
insert into provisioning.rate_limits (provider, scope, burst, per_second) values
  ('stripe_test', '*', 12, 13),
  ('stripe_live', '*', 50, 50);
