import type postgres from 'postgres'

export interface NewUser {
  readonly id: string
  readonly email: string | null
  /** What the sign-up form sent, as GoTrue stores it: any JSON at all. */
  readonly metadata: postgres.JSONValue
  readonly emailConfirmed: boolean
  readonly anonymous: boolean
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
    ...user,
  }
  const { email, metadata, emailConfirmed, anonymous } = complete
  await auth`
    insert into users (id, aud, role, email, raw_app_meta_data, raw_user_meta_data, email_confirmed_at, is_anonymous,
      created_at, updated_at)
    values (${id}, 'authenticated', 'authenticated', ${email}, '{}', ${JSON.stringify(metadata)}::text::jsonb,
      ${emailConfirmed ? new Date() : null}, ${anonymous}, now(), now())`
  return complete
}
