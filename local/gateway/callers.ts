import { errors, importJWK, type JWTPayload, jwtVerify } from 'jose'
import { bearer, type Call, header, Refusal } from './exchange.ts'
import { type ProjectKeys, publicJwks } from './keys.ts'

export type KeyRole = 'anon' | 'service_role'

/** On whose behalf a request runs: the database role, and the claims that `auth.jwt()` will see. */
export interface Caller {
  readonly role: string
  readonly claims: Readonly<Record<string, unknown>>
}

/** A token that is forged, expired or incomplete. The message may be shown: it holds nothing of the token. */
export class InvalidTokenError extends Error {}

export interface Callers {
  /** The role of the request's API key. @throws Refusal with 401 when it is missing or unknown. */
  apiKeyRole(call: Call): KeyRole
  /** The bearer token's caller, or else the API key's. @throws Refusal (key), InvalidTokenError (token). */
  caller(call: Call): Promise<Caller>
  /** Claims of a user's access token. @throws InvalidTokenError */
  verifyUserToken(token: string): Promise<JWTPayload>
  /** True for what the functions' gateway accepts as a JWT: a user's token or a legacy key, not an `sb_` key. */
  isValidJwt(token: string): Promise<boolean>
}

/** @param issuer what every accepted user token says in `iss`. */
export async function createCallers(keys: ProjectKeys, issuer: string): Promise<Callers> {
  const [publicKey = {}] = publicJwks(keys).keys
  const key = await importJWK(publicKey, 'ES256')
  const legacyRoles = new Map<string, KeyRole>([
    [keys.anonKey, 'anon'],
    [keys.serviceRoleKey, 'service_role'],
  ])
  const keyRoles = new Map<string, KeyRole>([
    ...legacyRoles,
    [keys.publishableKey, 'anon'],
    [keys.secretKey, 'service_role'],
  ])

  const verifyUserToken = async (token: string) => {
    try {
      const { payload } = await jwtVerify(token, key, {
        // Pinned: a token must not choose how it is verified (alg none, HS256 with the public key as secret).
        algorithms: ['ES256'],
        issuer,
        audience: 'authenticated',
        requiredClaims: ['sub', 'role', 'exp', 'session_id'],
      })
      return payload
    } catch (error) {
      if (error instanceof errors.JWTExpired) throw new InvalidTokenError('JWT expired')
      if (error instanceof errors.JOSEError) throw new InvalidTokenError(error.message)
      throw error
    }
  }

  const apiKeyRole = (call: Call) => {
    const apiKey = apiKeyOf(call)
    if (!apiKey) {
      throw new Refusal(401, {
        message: 'No API key found in request',
        hint: 'No `apikey` request header or url param was found.',
      })
    }
    const role = keyRoles.get(apiKey)
    if (role) return role
    throw new Refusal(401, {
      message: 'Invalid API key',
      hint: 'Double check your Supabase publishable, secret, `anon` or `service_role` API key.',
    })
  }

  const caller = async (call: Call): Promise<Caller> => {
    const keyRole = apiKeyRole(call)
    const token = bearer(call)
    // An sb_ key is no JWT; as a bearer token it counts only when it repeats the apikey header.
    if (!token || token === apiKeyOf(call)) return { role: keyRole, claims: { role: keyRole } }
    const legacyRole = legacyRoles.get(token)
    if (legacyRole) return { role: legacyRole, claims: { role: legacyRole } }
    const claims = await verifyUserToken(token)
    if (typeof claims.role !== 'string') throw new InvalidTokenError('The role claim is not a string')
    return { role: claims.role, claims }
  }

  const isValidJwt = (token: string) =>
    legacyRoles.has(token)
      ? Promise.resolve(true)
      : verifyUserToken(token).then(
          () => true,
          (error: unknown) => {
            if (error instanceof InvalidTokenError) return false
            throw error
          },
        )

  return { apiKeyRole, caller, verifyUserToken, isValidJwt }
}

function apiKeyOf(call: Call): string | undefined {
  return header(call, 'apikey') ?? call.url.searchParams.get('apikey') ?? undefined
}
