import {
  createLocalJWKSet,
  createRemoteJWKSet,
  decodeJwt,
  decodeProtectedHeader,
  type JWTPayload,
  jwtVerify,
} from 'jose'
import { z } from 'zod'
import type { Environment } from './environment.ts'
import { equalInConstantTime } from './http/constant-time.ts'
import { Problem } from './http/problem.ts'

/** Who calls: the project's own backend with a secret key, or a signed-in user. */
export type Caller =
  | { readonly type: 'service' }
  | { readonly type: 'user'; readonly userId: string; readonly claims: JWTPayload }

export type Authenticate = (request: Request) => Promise<Caller>

const ASYMMETRIC = ['ES256', 'RS256', 'EdDSA']

/**
 * Secret keys come in `apikey` or as a bearer: sb_secret_… keys, which are not JWTs, or the legacy service_role key.
 * Anything else that is a bearer must be a user's access token.
 * @returns a function that throws Problem `unauthorized` for everybody else.
 */
export function createAuthenticator(environment: Environment): Authenticate {
  const secretKeys = [
    ...Object.values(environment.SUPABASE_SECRET_KEYS),
    environment.SUPABASE_SERVICE_ROLE_KEY,
  ].filter((key): key is string => Boolean(key))
  const verify = createUserVerifier(environment)
  const isSecret = (key: string) => secretKeys.some((secret) => equalInConstantTime(key, secret))

  return async (request) => {
    const apiKey = request.headers.get('apikey') ?? ''
    const bearer = bearerOf(request)
    if ((bearer && isSecret(bearer)) || (apiKey && isSecret(apiKey) && (!bearer || bearer === apiKey)))
      return { type: 'service' }
    if (!bearer)
      throw new Problem(
        'unauthorized',
        'Send a secret key as apikey, or a user’s access token as Authorization: Bearer.',
      )
    return verify(bearer)
  }
}

/**
 * @returns the token, '' where nothing is sent
 * @throws Problem for whatever else is sent: who means to be a user is never taken for the backend, whose key is beside it
 */
export function bearerOf(request: Request): string {
  const authorization = request.headers.get('authorization')
  if (authorization === null) return ''
  const token = /^Bearer ([\w.~+/-]+=*)$/i.exec(authorization)?.[1]
  if (token === undefined)
    throw new Problem('unauthorized', 'Authorization must be the word Bearer, a space and a token.')
  return token
}

function createUserVerifier(environment: Environment): (token: string) => Promise<Caller> {
  const issuer = `${environment.SUPABASE_URL}/auth/v1`
  const jwks = z
    .object({ keys: z.array(z.looseObject({ kty: z.string() })) })
    .safeParse(JSON.parse(environment.SUPABASE_JWKS))
  const keys =
    jwks.success && jwks.data.keys.length > 0
      ? createLocalJWKSet(jwks.data)
      : createRemoteJWKSet(new URL(`${issuer}/.well-known/jwks.json`))

  return async (token) => {
    if (algorithmOf(token) === 'HS256') return askAuthServer(environment, token)
    try {
      const { payload } = await jwtVerify(token, keys, {
        issuer,
        audience: 'authenticated',
        algorithms: ASYMMETRIC,
        requiredClaims: ['exp', 'sub'],
      })
      return userCaller(payload)
    } catch (error) {
      if (error instanceof Problem) throw error
      throw new Problem('unauthorized', 'The access token is not valid or has expired. Sign in again.')
    }
  }
}

function userCaller(payload: JWTPayload): Caller {
  const userId = z.guid().safeParse(payload.sub)
  if (!userId.success || payload.role !== 'authenticated')
    throw new Problem('unauthorized', 'The access token is not one of a signed-in user.')
  return { type: 'user', userId: userId.data, claims: payload }
}

function algorithmOf(token: string): string | undefined {
  try {
    return decodeProtectedHeader(token).alg
  } catch {
    return undefined
  }
}

/** Projects that still sign with the legacy shared secret keep it in the Auth server alone, so that one is asked. */
async function askAuthServer(environment: Environment, token: string): Promise<Caller> {
  const apikey = environment.SUPABASE_PUBLISHABLE_KEYS.default ?? environment.SUPABASE_ANON_KEY ?? ''
  const reply = await fetch(`${environment.SUPABASE_URL}/auth/v1/user`, {
    headers: { authorization: `Bearer ${token}`, apikey },
    signal: AbortSignal.timeout(5_000),
  }).catch(() => undefined)
  const user = reply?.ok ? z.looseObject({ id: z.guid() }).safeParse(await reply.json()) : undefined
  if (!user?.success)
    throw new Problem('unauthorized', 'The access token is not valid or has expired. Sign in again.')
  // Its word makes the claims true: the time at which they end, and whatever policies look at.
  return userCaller({ ...decodeJwt(token), sub: user.data.id, role: 'authenticated' })
}
