import { createHmac } from 'node:crypto'
import { randomLetters } from '../postgres/databases.ts'

export type ProjectStatus =
  | 'INACTIVE'
  | 'ACTIVE_HEALTHY'
  | 'ACTIVE_UNHEALTHY'
  | 'COMING_UP'
  | 'INIT_FAILED'
  | 'RESTORING'
  | 'PAUSING'

/** What a project is while it becomes something else, and when it has. */
export interface Transition {
  readonly via: 'COMING_UP' | 'PAUSING' | 'RESTORING'
  readonly to: 'ACTIVE_HEALTHY' | 'INACTIVE'
  /** null: it hangs. */
  readonly endsAt: number | null
}

export interface ProjectKey {
  readonly id: string
  readonly type: 'legacy' | 'publishable' | 'secret'
  readonly name: string
  readonly key: string
  readonly createdAt: number
}

/** Replaced as a whole by each change. */
export interface ProjectRecord {
  readonly ref: string
  readonly numericId: number
  readonly name: string
  readonly region: string
  readonly instanceSize: string
  readonly createdAt: number
  readonly transition: Transition
  /** Set over /_emulator/: overrides what the transition says, such as INIT_FAILED. */
  readonly forcedStatus?: ProjectStatus | undefined
  /** Set over /_emulator/: services that are not healthy. */
  readonly unhealthy: readonly string[]
  readonly keys: readonly ProjectKey[]
  readonly secrets: readonly { readonly name: string; readonly value: string; readonly updatedAt: number }[]
  /** What the database and its owner are really called on the server that all projects share. */
  readonly physicalName: string
}

export const SERVICES = [
  ...(['auth', 'db', 'db_postgres_user', 'pooler'] as const),
  ...(['realtime', 'rest', 'storage', 'pg_bouncer'] as const),
]

export function statusOf({ forcedStatus, transition }: ProjectRecord, now: number): ProjectStatus {
  if (forcedStatus) return forcedStatus
  return isOver(transition, now) ? transition.to : transition.via
}

function isOver({ endsAt }: Transition, now: number): boolean {
  return endsAt !== null && now >= endsAt
}

export type ServiceStatus = 'COMING_UP' | 'ACTIVE_HEALTHY' | 'UNHEALTHY'

/** @param servicesMs for how long services come up after the project has */
export function serviceStatusOf(
  project: ProjectRecord,
  service: string,
  servicesMs: number,
  now: number,
): ServiceStatus {
  const status = statusOf(project, now)
  if (status === 'COMING_UP' || status === 'RESTORING') return 'COMING_UP'
  if (status !== 'ACTIVE_HEALTHY' || project.unhealthy.includes(service)) return 'UNHEALTHY'
  return now < (project.transition.endsAt ?? 0) + servicesMs ? 'COMING_UP' : 'ACTIVE_HEALTHY'
}

/** Infinity stands for a transition that hangs. */
export function transition(
  via: Transition['via'],
  to: Transition['to'],
  now: number,
  milliseconds: number,
): Transition {
  return { via, to, endsAt: Number.isFinite(milliseconds) ? now + milliseconds : null }
}

const LETTERS = 'abcdefghijklmnopqrstuvwxyz'

export function newRef(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(20)), (value) => LETTERS.charAt(value % 26)).join(
    '',
  )
}

export function newKey(type: 'publishable' | 'secret', name: string, now: number): ProjectKey {
  const key = `sb_${type}_${randomLetters(22)}_${randomLetters(8)}`
  return { id: crypto.randomUUID(), type, name, key, createdAt: now }
}

/** The two keys that projects had before: tokens, valid for ten years, that name a role of the database. */
export function legacyKeys(ref: string, now: number): ProjectKey[] {
  const secret = crypto.randomUUID()
  return ['anon', 'service_role'].map((role) => {
    const issued = Math.floor(now / 1000)
    const claims = { iss: 'supabase', ref, role, iat: issued, exp: issued + 315_360_000 }
    const unsigned = `${base64Url({ alg: 'HS256', typ: 'JWT' })}.${base64Url(claims)}`
    const key = `${unsigned}.${createHmac('sha256', secret).update(unsigned).digest('base64url')}`
    return { id: role, type: 'legacy', name: role, key, createdAt: now }
  })
}

function base64Url(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}
