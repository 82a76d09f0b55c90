import { createServer, connect as dial, type Server, type Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { databaseUrl, SUPERUSER } from '../../local/postgres/server.ts'
import { connect, type Database, preparesStatements } from '../../shared/kernel/database/client.ts'

const READY_FOR_QUERY = Buffer.from([0x5a, 0, 0, 0, 5])

/** Postgres that goes away, in order and without an error, at the moment at which a session can be used. */
let server: Server
let goesAway = false
const sockets = new Set<Socket>()

beforeAll(async () => {
  server = createServer((client) => {
    const postgres = dial(inject('postgresPort'), '127.0.0.1')
    for (const socket of [client, postgres]) {
      sockets.add(socket)
      socket.on('error', () => socket.destroy())
    }
    client.pipe(postgres)
    postgres.on('data', (data) => {
      client.write(data)
      if (goesAway && data.includes(READY_FOR_QUERY)) {
        client.end()
        postgres.destroy()
      }
    })
    postgres.on('close', () => client.end())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
})

afterAll(() => {
  for (const socket of sockets) socket.destroy()
  server.close()
})

function open(): Database {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the proxy does not listen')
  return connect({ SUPABASE_DB_URL: databaseUrl(address.port, 'template1', SUPERUSER) })
}

describe('a connection to the project’s database', () => {
  it('that is lost as soon as it stands fails its statement, and nothing beyond that', async () => {
    const escaped: unknown[] = []
    const note = (reason: unknown) => void escaped.push(reason)
    process.on('unhandledRejection', note)
    const sql = open()
    try {
      goesAway = true
      const statement = sql`select 1 as one`.then(
        () => 'answered',
        () => 'failed',
      )
      expect(await statement).toBe('failed')
      await new Promise((resolve) => setTimeout(resolve, 50))
      expect(escaped).toEqual([])
    } finally {
      process.off('unhandledRejection', note)
      await sql.end({ timeout: 1 })
    }
  })

  it('takes arrays of texts and ids, whatever is in the texts', async () => {
    const sql = connect({ SUPABASE_DB_URL: databaseUrl(inject('postgresPort'), 'template1', SUPERUSER) })
    const texts = ['plain', '', 'a "quoted" one', 'back\\slash', '{a,b}', 'NULL', ' ', 'ü']
    const ids = [crypto.randomUUID(), crypto.randomUUID()]
    try {
      const [row] = await sql`select to_jsonb(${texts}::text[]) as texts, to_jsonb(${ids}::uuid[]) as ids,
        cardinality(${[]}::text[]) as none`
      expect(row).toEqual({ texts, ids, none: 0 })
      await expect(sql`select array['a'] as texts`).rejects.toThrow('select to_jsonb of it')
    } finally {
      await sql.end({ timeout: 1 })
    }
  })

  it('prepares statements, but not through a pooler in transaction mode', async () => {
    const url = databaseUrl(inject('postgresPort'), 'template1', SUPERUSER)
    const pooled = 'postgresql://postgres:secret@db.example.com:6543/postgres'
    expect(preparesStatements({ SUPABASE_DB_URL: pooled })).toBe(false)
    expect(preparesStatements({ SUPABASE_DB_URL: pooled.replace('6543', '5432') })).toBe(true)
    const known = async (environment: Parameters<typeof connect>[0]) => {
      const sql = connect(environment)
      const [row] = await sql<{ count: number }[]>`
        select count(*)::int as count from pg_prepared_statements where statement like ${'%pg_prepared_statements%'}`
      await sql.end({ timeout: 1 })
      return row?.count
    }
    expect(await known({ SUPABASE_DB_URL: url })).toBe(1)
    expect(await known({ SUPABASE_DB_URL: pooled, DATABASE_POOLER_URL: url })).toBe(0)
  })
})
