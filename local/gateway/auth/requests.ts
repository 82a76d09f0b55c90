import { z } from 'zod'
import type { Call } from '../exchange.ts'
import { AuthError } from './errors.ts'

const metadata = z.record(z.string(), z.json())

export const signUpBody = z.object({
  email: z.string().optional(),
  phone: z.string().optional(),
  password: z.string().optional(),
  data: metadata.nullish(),
})
export const passwordGrantBody = z.object({ email: z.string(), password: z.string() })
export const refreshGrantBody = z.object({ refresh_token: z.string() })
export const updateUserBody = z.object({
  email: z.string().optional(),
  phone: z.string().optional(),
  password: z.string().optional(),
  data: metadata.nullish(),
})
export const verifyBody = z.object({
  type: z.enum(['signup', 'email', 'email_change']),
  email: z.string().optional(),
  token: z.string().min(1).optional(),
  token_hash: z.string().min(1).optional(),
})
export const adminUserBody = z.object({
  id: z.uuid().optional(),
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
  throw new AuthError(
    'validation_failed',
    `Invalid ${issue?.path.join('.') || 'request body'}: ${issue?.message}`,
  )
}
