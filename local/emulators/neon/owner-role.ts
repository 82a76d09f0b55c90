import { type OwnerRole, randomLetters } from '../postgres/databases.ts'

/**
 * What every role that Neon's API makes is a member of, with what Neon gives it. All databases of the server share it, so
 * only CONNECT keeps them apart: at Neon neon_superuser may connect to each database of its own branch, here to none.
 */
const MAKE_NEON_SUPERUSER = `
  select pg_advisory_xact_lock(hashtext('neon_superuser'));
  do $$ begin
    if exists (select from pg_roles where rolname = 'neon_superuser') then return; end if;
    create role neon_superuser createdb createrole nologin replication bypassrls;
    grant pg_read_all_data, pg_write_all_data, pg_create_subscription to neon_superuser;
    grant pg_monitor, pg_signal_backend to neon_superuser with admin option;
  end $$`

/** As those that Neon's API makes. */
export const neonOwner: OwnerRole = {
  prefix: 'neon',
  shared: MAKE_NEON_SUPERUSER,
  options: 'login inherit createrole createdb bypassrls replication in role neon_superuser',
  newPassword: generatePassword,
}

export function generatePassword(): string {
  return `npg_${randomLetters(20)}`
}
