import { decodeJwt, importJWK, SignJWT, UnsecuredJWT } from 'jose'
import type { ProjectKeys } from '../../local/gateway/keys.ts'

/** What there is to forge a user's access token from. */
export interface Forger {
  /** A user's token as the gateway gave it. */
  readonly genuine: string
  readonly keys: ProjectKeys
  readonly otherProject: ProjectKeys
}

/** The genuine token's claims with changes, signed anew; a claim that is undefined is left out. */
export async function forge(
  { genuine, keys }: Forger,
  changes: Readonly<Record<string, unknown>>,
  signedBy = keys,
  kid = keys.signingKey.kid ?? '',
): Promise<string> {
  return new SignJWT({ ...decodeJwt(genuine), ...changes })
    .setProtectedHeader({ alg: 'ES256', kid })
    .sign(await importJWK(signedBy.signingKey, 'ES256'))
}

/** Its claims changed, under the signature that it has. */
function tamperedWith(genuine: string, changes: Readonly<Record<string, unknown>>): string {
  const [header, , signature] = genuine.split('.')
  const claims = Buffer.from(JSON.stringify({ ...decodeJwt(genuine), ...changes })).toString('base64url')
  return [header, claims, signature].join('.')
}

const inSeconds = (seconds: number) => Math.floor(Date.now() / 1000) + seconds
const ANOTHER_ISSUER = 'https://other.supabase.co/auth/v1'

/** Bearers that open nothing anywhere, each by what is wrong with it. */
export const BAD_TOKENS: readonly [flaw: string, make: (from: Forger) => string | Promise<string>][] = [
  ['is no token', () => 'something'],
  ['has expired', (from) => forge(from, { exp: inSeconds(-60) })],
  ['never expires', (from) => forge(from, { exp: undefined })],
  ['is not valid yet', (from) => forge(from, { nbf: inSeconds(600) })],
  ['is signed with another key', (from) => forge(from, {}, from.otherProject)],
  [
    'is another project’s own',
    (from) => forge(from, { iss: ANOTHER_ISSUER }, from.otherProject, from.otherProject.signingKey.kid ?? ''),
  ],
  ['is another project’s legacy service_role key', ({ otherProject }) => otherProject.serviceRoleKey],
  ['comes from another issuer', (from) => forge(from, { iss: ANOTHER_ISSUER })],
  ['lacks iss', (from) => forge(from, { iss: undefined })],
  ['is meant for another audience', (from) => forge(from, { aud: 'somebody' })],
  ['lacks aud', (from) => forge(from, { aud: undefined })],
  ['lacks sub', (from) => forge(from, { sub: undefined })],
  ['lacks role', (from) => forge(from, { role: undefined })],
  ['was given another user', ({ genuine }) => tamperedWith(genuine, { sub: crypto.randomUUID() })],
  ['was given the role service_role', ({ genuine }) => tamperedWith(genuine, { role: 'service_role' })],
  ['is unsigned', ({ genuine }) => new UnsecuredJWT(decodeJwt(genuine)).encode()],
  [
    'is signed with the public key as if it were a shared secret',
    ({ genuine, keys }) => {
      const { d: _private, ...publicKey } = keys.signingKey
      return new SignJWT(decodeJwt(genuine))
        .setProtectedHeader({ alg: 'HS256' })
        .sign(new TextEncoder().encode(JSON.stringify(publicKey)))
    },
  ],
]
