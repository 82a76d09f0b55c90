import type postgres from 'postgres'

export interface NewUser {
  readonly id: string
  readonly email: string | null
  /** What the sign-up form sent, as GoTrue stores it: any JSON at all. */
  readonly metadata: postgres.JSONValue
  readonly emailConfirmed: boolean
  readonly anonymous: boolean
  /** Of single sign-on; another account may have the same address. */
  readonly sso: boolean
}

/**
 * Inserts into auth.users what GoTrue inserts. `auth` is a connection, or an open transaction, of the role
 * supabase_auth_admin, whose search_path is `auth`. What is not given gets a fresh value.
 */
export async function signUp(auth: postgres.ISql, user: Partial<NewUser> = {}): Promise<NewUser> {
  const id = user.id ?? crypto.randomUUID()
  const complete: NewUser = {
    id,
    email: `${id}@example.com`,
    metadata: {},
    emailConfirmed: true,
    anonymous: false,
    sso: false,
    ...user,
  }
  const { email, metadata, emailConfirmed, anonymous, sso } = complete
  await auth`
    insert into users (instance_id, id, aud, role, email, raw_app_meta_data, raw_user_meta_data, email_confirmed_at, is_anonymous,
      is_sso_user, created_at, updated_at)
    values ('00000000-0000-0000-0000-000000000000', ${id}, 'authenticated', 'authenticated', ${email}, '{}', ${JSON.stringify(metadata)}::text::jsonb,
      ${emailConfirmed ? new Date() : null}, ${anonymous}, ${sso}, now(), now())`
  return complete
}
