import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeTimeCursor, encodeCursor, organizationId } from '../../shared/graphql/arguments.ts'
import { emailAddress } from '../../shared/kernel/email-address.ts'
import { reportedUser } from '../../shared/tenants/sign-up-events.ts'

/** Postgres takes any 128 bits as a uuid, and seed files are full of such ids. */
const anyUuid = fc
  .stringMatching(/^[0-9a-f]{32}$/)
  .map((digits) => digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5'))
const SEEDED = '11111111-1111-1111-1111-111111111111'

describe('an id that Postgres takes is taken', () => {
  it.each<[string, (id: string) => unknown]>([
    ['as an argument of GraphQL', (id) => organizationId(id)],
    ['in a cursor', (id) => decodeTimeCursor(encodeCursor(['2026-01-01T00:00:00Z', id]))?.[1]],
    ['as a user by hand', (id) => reportedUser({ userId: id })],
    [
      'in a webhook’s event',
      (id) => reportedUser({ type: 'INSERT', schema: 'auth', table: 'users', record: { id } }),
    ],
  ])('%s', (_entry, read) => {
    fc.assert(
      fc.property(anyUuid, (id) => {
        expect(read(id)).toBe(id)
      }),
      { examples: [[SEEDED]] },
    )
  })
})

it.each(['ann@intranet', 'änne@exämple.com', 'ann.@example.com', '"a b"@example.com', 'a@[127.0.0.1]'])(
  'the address %s, which Auth takes, is taken',
  (address) => {
    expect(emailAddress.safeParse(address).success).toBe(true)
  },
)

it.each(['nobody', '@', 'a\0@example.com', '\ud800@example.com'])(
  'what is no address is refused: %j',
  (text) => {
    expect(emailAddress.safeParse(text).success).toBe(false)
  },
)
