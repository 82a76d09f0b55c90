import { z } from 'zod'
import type { Call } from '../exchange.ts'
import { AuthError } from './errors.ts'

const metadata = z.record(z.string(), z.json())
const pkce = { code_challenge: z.string().nullish(), code_challenge_method: z.string().nullish() }

export const signUpBody = z.object({
  email: z.string().optional(),
  phone: z.string().optional(),
  password: z.string().optional(),
  data: metadata.nullish(),
  ...pkce,
})
export const passwordGrantBody = z.object({ email: z.string(), password: z.string() })
export const pkceGrantBody = z.object({ auth_code: z.string(), code_verifier: z.string() })
export const refreshGrantBody = z.object({ refresh_token: z.string() })
export const updateUserBody = z.object({
  email: z.string().optional(),
  phone: z.string().optional(),
  password: z.string().optional(),
  data: metadata.nullish(),
  ...pkce,
})
export const tokenTypes = z.enum(['signup', 'invite', 'recovery', 'magiclink', 'email_change', 'email'])
export const verifyBody = z.object({
  type: tokenTypes,
  email: z.string().optional(),
  phone: z.string().optional(),
  token: z.string().min(1).optional(),
  token_hash: z.string().min(1).optional(),
})
export const otpBody = z.object({
  email: z.string().optional(),
  phone: z.string().optional(),
  create_user: z.boolean().nullish(),
  data: metadata.nullish(),
  ...pkce,
})
export const recoverBody = z.object({ email: z.string(), ...pkce })
export const resendBody = z.object({
  type: z.enum(['signup', 'email_change']),
  email: z.string().optional(),
  ...pkce,
})
export const inviteBody = z.object({ email: z.string(), data: metadata.nullish() })
export const generateLinkBody = z.object({
  type: z.enum(['signup', 'invite', 'magiclink', 'recovery', 'email_change_current', 'email_change_new']),
  email: z.string(),
  new_email: z.string().optional(),
  password: z.string().optional(),
  data: metadata.nullish(),
  redirect_to: z.string().nullish(),
})
export const adminUserBody = z.object({
  // Postgres takes more than RFC 4122's.
  id: z.guid().optional(),
  role: z.string().optional(),
  email: z.string().optional(),
  phone: z.string().optional(),
  password: z.string().optional(),
  email_confirm: z.boolean().optional(),
  user_metadata: metadata.nullish(),
  app_metadata: metadata.nullish(),
  ban_duration: z.string().optional(),
})

/** The JSON body in the given shape; fields beyond it are ignored, as GoTrue does. @throws AuthError */
export async function readJson<T>(call: Call, schema: z.ZodType<T>): Promise<T> {
  const text = (await call.body()).toString('utf8')
  let value: unknown
  try {
    value = text === '' ? {} : JSON.parse(text)
  } catch {
    throw new AuthError('bad_json', 'Could not parse request body as JSON')
  }
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  // A value of the wrong type is as unreadable to GoTrue as a broken document.
  throw new AuthError(
    issue?.code === 'invalid_type' ? 'bad_json' : 'validation_failed',
    `Could not read ${issue?.path.join('.') || 'the request body'}: ${issue?.message}`,
  )
}
