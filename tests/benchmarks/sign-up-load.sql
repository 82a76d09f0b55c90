-- Sign-ups made inside the database, so that no client and no network is measured: what GoTrue inserts, a transaction each.
create schema benchmark;
grant usage on schema benchmark to supabase_auth_admin;

create procedure benchmark.sign_up(p_count integer, p_label text)
language plpgsql as $$
declare
  v_first_names constant text[] := '{Ann,Ben,Cleo,Dora,Emil,Fay,Gus,Hana,Ivo,Jun,Kaja,Luis,Mia,Nils,Olga,Pia,Quinn}';
  v_last_names constant text[] := '{Archer,Baker,Carver,Dyer,Fuller,Glover,Hooper,Mason,Miller,Porter,Sawyer,Tanner,Weaver}';
begin
  for i in 1..p_count loop
    -- created_at is the start of the transaction: the moment just before the insert.
    insert into auth.users (instance_id, id, aud, role, email, encrypted_password, email_confirmed_at,
      raw_app_meta_data, raw_user_meta_data, created_at, updated_at)
    values ('00000000-0000-0000-0000-000000000000', gen_random_uuid(), 'authenticated', 'authenticated',
      p_label || '-' || i || '@example.com', '$2a$10$abcdefghijklmnopqrstuuSCsXZ0aWvVhFm5rQ9yTzq8Xh1yM0a2C', now(),
      '{"provider": "email", "providers": ["email"]}',
      jsonb_build_object('data_region', 'eu', 'full_name',
        v_first_names[1 + i % 17] || ' ' || v_last_names[1 + i % 13]),
      now(), now());
    commit;
  end loop;
end
$$;
