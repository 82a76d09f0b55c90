import { createHmac } from 'node:crypto'
import { z } from 'zod'
import type { Database } from './database/client.ts'
import { checkBody, readBody } from './http/body.ts'
import { equalInConstantTime } from './http/constant-time.ts'
import { Problem } from './http/problem.ts'
import { createSingleFlight } from './single-flight.ts'

/**
 * What the database sends, see provisioning.ring_doorbell. It names no job: whoever hears it does what is due.
 * `expiresAt` in milliseconds since 1970.
 */
export const doorbellSchema = z.strictObject({
  ringId: z.uuid(),
  expiresAt: z.int().positive(),
  signature: z.string().regex(/^[0-9a-f]{64}$/, 'is not 64 hex digits'),
})

export type Doorbell = z.infer<typeof doorbellSchema>

/** A forged doorbell must not cost a database query each; a rotated key is noticed within this time. */
const KEY_REFRESH_MS = 30_000

/** @returns a function that accepts a genuine doorbell once, and refuses forged, altered, expired and repeated ones. */
export function createDoorbellVerifier(
  sql: Database,
  now: () => number = Date.now,
): (doorbell: Doorbell) => Promise<boolean> {
  let key: string | undefined
  let readAt = Number.NEGATIVE_INFINITY

  const keyOfNow = createSingleFlight(async () => {
    const [row] = await sql<
      { key: string | null }[]
    >`select provisioning.vault_secret('provisioning_doorbell_key') as key`
    key = row?.key ?? undefined
    readAt = now()
  })
  const matches = ({ ringId, expiresAt, signature }: Doorbell) =>
    key !== undefined &&
    equalInConstantTime(signature, createHmac('sha256', key).update(`${ringId}.${expiresAt}`).digest('hex'))

  const isGenuine = async (doorbell: Doorbell): Promise<boolean> => {
    if (doorbell.expiresAt < now()) return false
    if (matches(doorbell)) return true
    // Not another query for a while after one.
    if (keyOfNow.underWay() || now() - readAt >= KEY_REFRESH_MS) await keyOfNow.read()
    return matches(doorbell)
  }
  return async (doorbell) => {
    if (!(await isGenuine(doorbell))) return false
    const [row] = await sql<{ first: boolean }[]>`
      select provisioning.answer_doorbell(${doorbell.signature}, ${doorbell.expiresAt}) as first`
    return row?.first ?? false
  }
}

/**
 * Reads the doorbell of a request without credentials: the database rings without any, its signature is in the body.
 * @param wanted what anybody else without credentials is told to send
 * @returns a function that answers the doorbell; undefined for a request with credentials, whose body it leaves unread. It
 * throws Problem for everything else
 */
export function createDoorbellReader(
  sql: Database,
  wanted = 'Send a secret key as apikey, or a user’s access token as Authorization: Bearer.',
): (request: Request) => Promise<Doorbell | undefined> {
  const isGenuine = createDoorbellVerifier(sql)
  return async (request) => {
    if (request.headers.has('apikey') || request.headers.has('authorization')) return undefined
    const body = await readBody(request, z.unknown())
    if (typeof body !== 'object' || body === null || !('signature' in body))
      throw new Problem('unauthorized', wanted)
    const doorbell = checkBody(body, doorbellSchema)
    if (!(await isGenuine(doorbell)))
      throw new Problem('unauthorized', 'The doorbell’s signature is wrong, has expired or was used before.')
    return doorbell
  }
}
