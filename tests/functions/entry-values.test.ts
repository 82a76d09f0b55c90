import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeTimeCursor, encodeCursor, organizationId } from '../../shared/graphql/arguments.ts'
import { emailAddress } from '../../shared/kernel/email-address.ts'
import { reportedUser } from '../../shared/tenants/sign-up-events.ts'
import { projectRoot } from '../../tools/project.ts'

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

/** Ids that we make ourselves, of version 4. */
const OUR_OWN_IDS = ['shared/kernel/doorbell.ts: ringId: z.uuid(),']

it('no check of a body, an argument or a setting is stricter with ids and addresses than Postgres and Auth', async () => {
  const found: string[] = []
  for (const folder of ['shared', 'cli', 'tools', 'local']) {
    const names = await readdir(path.join(projectRoot, folder), { recursive: true })
    for (const name of names.filter((each) => each.endsWith('.ts'))) {
      const lines = (await readFile(path.join(projectRoot, folder, name), 'utf8')).split('\n')
      const strict = lines.filter((line) => /\bz\.(?:uuid\w*|email|string\(\)\.(?:uuid|email))\(/.test(line))
      found.push(...strict.map((line) => `${folder}/${name}: ${line.trim()}`))
    }
  }
  expect(found).toEqual(OUR_OWN_IDS)
})
