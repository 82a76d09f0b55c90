import { createHash, randomBytes } from 'node:crypto'
import { exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose'

/** Everything that identifies a project and its callers. Plain JSON, so a data directory can keep it. */
export interface ProjectKeys {
  /** The project's reference, as in `https://REF.supabase.co`. */
  readonly ref: string
  /** Private ES256 key that signs users' access tokens. */
  readonly signingKey: JWK
  readonly publishableKey: string
  readonly secretKey: string
  /** HS256 secret behind the two legacy keys. */
  readonly legacyJwtSecret: string
  readonly anonKey: string
  readonly serviceRoleKey: string
}

const LEGACY_KEY_LIFETIME = '10y'

/** Makes the keys that a hosted project has from its first minute. */
export async function createProjectKeys(): Promise<ProjectKeys> {
  const ref = randomLetters(20)
  const { privateKey } = await generateKeyPair('ES256', { extractable: true })
  const legacyJwtSecret = randomBytes(40).toString('base64')
  return {
    ref,
    signingKey: { ...(await exportJWK(privateKey)), kid: crypto.randomUUID(), alg: 'ES256', use: 'sig' },
    publishableKey: apiKey('sb_publishable_'),
    secretKey: apiKey('sb_secret_'),
    legacyJwtSecret,
    anonKey: await legacyKey(ref, 'anon', legacyJwtSecret),
    serviceRoleKey: await legacyKey(ref, 'service_role', legacyJwtSecret),
  }
}

/** The public half of the signing key, as `/auth/v1/.well-known/jwks.json` and SUPABASE_JWKS publish it. */
export function publicJwks(keys: ProjectKeys): { keys: JWK[] } {
  const { d: _private, ...publicKey } = keys.signingKey
  return { keys: [{ ...publicKey, key_ops: ['verify'], ext: true }] }
}

/** Random part and checksum have the lengths of the real keys, so that secret scanners recognise ours too. */
function apiKey(prefix: string): string {
  const random = randomBytes(16).toString('base64url')
  const checksum = createHash('sha256')
    .update(prefix + random)
    .digest('base64url')
    .slice(0, 8)
  return `${prefix}${random}_${checksum}`
}

function legacyKey(ref: string, role: 'anon' | 'service_role', secret: string): Promise<string> {
  return new SignJWT({ ref, role })
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .setIssuer('supabase')
    .setIssuedAt()
    .setExpirationTime(LEGACY_KEY_LIFETIME)
    .sign(new TextEncoder().encode(secret))
}

function randomLetters(length: number): string {
  return Array.from(randomBytes(length), (byte) => String.fromCharCode(97 + (byte % 26))).join('')
}
