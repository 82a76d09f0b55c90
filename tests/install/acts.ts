import postgres from 'postgres'
import { signUp } from '../support/sign-up.ts'
import type { Shape } from './project-shapes.ts'

/** Where a database is for a role; without one, for the superuser. */
type Address = (role?: string) => string

const user = (digit: number) => `00000000-0000-4000-8000-00000000000${digit}`

export interface Act {
  readonly name: string
  run(auth: postgres.Sql, postgres: postgres.Sql): Promise<unknown>
}

const statement = (sql: string): Act => ({ name: sql, run: (_, owner) => owner.unsafe(sql) })

const ACTS: readonly Act[] = [
  {
    name: 'sign-up with a name',
    run: (auth) => signUp(auth, { id: user(1), metadata: { full_name: 'Ada', company: 'Engines' } }),
  },
  {
    name: 'sign-up without confirmation',
    run: (auth) => signUp(auth, { id: user(2), emailConfirmed: false }),
  },
  { name: 'anonymous sign-up', run: (auth) => signUp(auth, { id: user(3), email: null, anonymous: true }) },
  { name: 'sign-up without an address', run: (auth) => signUp(auth, { id: user(4), email: null }) },
  { name: 'sign-up with odd metadata', run: (auth) => signUp(auth, { id: user(5), metadata: [1, 'x'] }) },
  { name: 'sign-in', run: (auth) => auth`update users set last_sign_in_at = now() where id = ${user(1)}` },
  {
    name: 'another address',
    run: (auth) => auth`update users set email = 'b@example.com' where id = ${user(1)}`,
  },
  {
    name: 'another name',
    run: (auth) => auth`update users set raw_user_meta_data = '{"full_name": "Eve"}' where id = ${user(1)}`,
  },
  {
    name: 'confirmation',
    run: (auth) => auth`update users set email_confirmed_at = now() where id = ${user(2)}`,
  },
  { name: 'ban', run: (auth) => auth`update users set banned_until = now() where id = ${user(4)}` },
  { name: 'soft deletion', run: (auth) => auth`update users set deleted_at = now() where id = ${user(2)}` },
  { name: 'deletion', run: (auth) => auth`delete from users where id = ${user(1)}` },
]

/** What happens in a project: to its users, and to the tables of its own before the users go. */
export const actsIn = (shape: Shape): Act[] => [
  ...ACTS.slice(0, -1),
  ...(shape.acts ?? []).map(statement),
  ...ACTS.slice(-1),
]

/** The project's own tables that it has without us, and the users. */
export async function tablesOf(address: Address): Promise<string[]> {
  return connected(address(), async (sql) => {
    const rows = await sql<{ name: string }[]>`
      select c.oid::regclass::text as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where c.relkind in ('r', 'p') and n.nspname !~ '^(pg_|information_schema|vault|cron|net|supabase_)' order by 1`
    return rows.map(({ name }) => name)
  })
}

/** Of each act: what it said, and how many rows each table has afterwards. */
export async function outcomes(
  address: Address,
  tables: readonly string[],
  acts: readonly Act[],
): Promise<string[]> {
  const counts = tables.map((table) => `(select count(*) from ${table}) as "${table}"`).join(', ')
  return connected(address(), (superuser) =>
    connected(address('supabase_auth_admin'), (auth) =>
      connected(address('postgres'), async (owner) => {
        const found: string[] = []
        for (const act of acts) {
          const said = await act.run(auth, owner).then(
            () => 'done',
            (error: Error) => error.message,
          )
          const [rows] = await superuser.unsafe(`select ${counts}`)
          found.push(`${said} ${JSON.stringify(rows)}`)
        }
        return found
      }),
    ),
  )
}

async function connected<T>(url: string, work: (sql: postgres.Sql) => Promise<T>): Promise<T> {
  const sql = postgres(url, { max: 1, onnotice: () => undefined })
  try {
    return await work(sql)
  } finally {
    await sql.end({ timeout: 5 })
  }
}
