-- Demo data only: a person to sign in as. Reference data is part of the migrations.
with demo as (
  insert into auth.users (instance_id, id, aud, role, email, encrypted_password, email_confirmed_at, raw_app_meta_data,
    raw_user_meta_data, created_at, updated_at, confirmation_token, recovery_token, email_change_token_new, email_change)
  values ('00000000-0000-0000-0000-000000000000', gen_random_uuid(), 'authenticated', 'authenticated', 'demo@example.com',
    extensions.crypt('demo-password', extensions.gen_salt('bf')), now(), '{"provider": "email", "providers": ["email"]}',
    '{"full_name": "Demo User", "organization_name": "Demo Company", "data_region": "eu"}', now(), now(), '', '', '', '')
  on conflict do nothing
  returning id, email
)
insert into auth.identities (provider_id, user_id, identity_data, provider, last_sign_in_at, created_at, updated_at)
select id::text, id, jsonb_build_object('sub', id, 'email', email, 'email_verified', true), 'email', now(), now(), now()
from demo;
