import { createPublicKey, type KeyObject, verify } from 'node:crypto'
import type { Clock } from '../clock.ts'
import { badCredentials, type Caller, GithubApiError, notAccessible, notFound } from './errors.ts'
import { fullName, type RepositoryRecord } from './repository.ts'

/** What a token may do: as the permissions of a fine-grained token or of a GitHub App are called. */
export type Permission = 'administration' | 'contents' | 'secrets' | 'variables'

export interface Access {
  readonly caller: Caller
  /** Full names, or all of the organization. */
  readonly repositories: 'all' | readonly string[]
  readonly permissions: readonly Permission[]
}

const EVERYTHING: Access = {
  caller: 'personal access token',
  repositories: 'all',
  permissions: ['administration', 'contents', 'secrets', 'variables'],
}

const TOKEN_LIFE_MS = 3_600_000
/** GitHub takes no JWT that lasts longer. */
const MAX_JWT_SECONDS = 600

interface App {
  readonly id: string
  readonly publicKey: KeyObject
  readonly installationId: number
  readonly access: Access
}

/** Who may call, and what each may see and do. */
export class Callers {
  readonly #clock: Clock
  readonly #tokens = new Map<string, { readonly access: Access; readonly endsAt: number }>()
  readonly #apps = new Map<string, App>()

  constructor(token: string, clock: Clock) {
    this.#clock = clock
    this.giveToken(token)
  }

  /** Makes a token valid, for all that is not left out. */
  giveToken(token: string, access: Partial<Access> = {}, endsAt = Number.POSITIVE_INFINITY): void {
    this.#tokens.set(token, { access: { ...EVERYTHING, ...access }, endsAt })
  }

  /** Makes a GitHub App known that is installed in the organization. @param publicKey in PEM */
  giveApp(id: string, publicKey: string, access: Partial<Access> = {}): void {
    const installationId = 1000 + this.#apps.size
    this.#apps.set(id, {
      id,
      publicKey: createPublicKey(publicKey),
      installationId,
      access: { ...EVERYTHING, ...access, caller: 'integration' },
    })
  }

  /** @throws GithubApiError 401 */
  authenticate(authorization: string | undefined): Access {
    const held = this.#tokens.get(bearer(authorization))
    if (!held || held.endsAt <= this.#clock()) throw badCredentials()
    return held.access
  }

  /** The App that has signed this JWT. @throws GithubApiError 401 */
  app(authorization: string | undefined): App {
    const [head = '', claims = '', signature = ''] = bearer(authorization).split('.')
    const { iss, exp, iat } = readClaims(claims)
    const app = this.#apps.get(String(iss))
    if (!app) throw new GithubApiError(401, 'A JSON web token could not be decoded')
    const signed = verify(
      'RSA-SHA256',
      Buffer.from(`${head}.${claims}`),
      app.publicKey,
      Buffer.from(signature, 'base64url'),
    )
    if (!signed) throw new GithubApiError(401, 'A JSON web token could not be decoded')
    const now = this.#clock() / 1000
    if (!(Number(exp) > now))
      throw new GithubApiError(
        401,
        "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires",
      )
    if (!(Number(exp) <= now + MAX_JWT_SECONDS))
      throw new GithubApiError(401, "'Expiration time' claim ('exp') is too far in the future")
    if (!(Number(iat) <= now + 1))
      throw new GithubApiError(
        401,
        "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued",
      )
    return app
  }

  /** A token of the App's installation, for an hour. @throws GithubApiError 404 for an installation that is not the App's */
  newInstallationToken(app: App, installation: string): { token: string; endsAt: number } {
    if (String(app.installationId) !== installation) throw notFound()
    const token = `ghs_${crypto.randomUUID().replaceAll('-', '')}`
    const endsAt = this.#clock() + TOKEN_LIFE_MS
    this.giveToken(token, app.access, endsAt)
    return { token, endsAt }
  }
}

export function maySee({ repositories }: Access, repository: RepositoryRecord): boolean {
  return !repository.private || repositories === 'all' || repositories.includes(fullName(repository))
}

/** @throws GithubApiError 403 */
export function demand(access: Access, permission: Permission): void {
  if (!access.permissions.includes(permission)) throw notAccessible(access.caller)
}

function bearer(authorization = ''): string {
  const [scheme = '', value = ''] = authorization.split(' ')
  return ['bearer', 'token'].includes(scheme.toLowerCase()) ? value : ''
}

function readClaims(part: string): { iss?: unknown; exp?: unknown; iat?: unknown } {
  try {
    const claims: unknown = JSON.parse(Buffer.from(part, 'base64url').toString())
    return typeof claims === 'object' && claims !== null ? claims : {}
  } catch {
    return {}
  }
}
