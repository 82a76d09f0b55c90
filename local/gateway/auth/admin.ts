import { randomBytes } from 'node:crypto'
import { z } from 'zod'
import type { Call, Reply } from '../exchange.ts'
import type { AuthContext } from './context.ts'
import { AuthError } from './errors.ts'
import { generateLink } from './mail-flows.ts'
import { adminUserBody, readJson } from './requests.ts'
import { inTransaction } from './transaction.ts'
import {
  assertAcceptablePassword,
  confirmEmail,
  createUser,
  emailExists,
  findUser,
  findUserByEmail,
  listUsers,
  mergeMetadata,
  mustFind,
  normalizedEmail,
  presentUser,
  setEmail,
  setPassword,
  softDelete,
} from './users.ts'

/** Handles `/admin/…`; the caller has been found to be service_role. */
export async function handleAdmin(context: AuthContext, call: Call): Promise<Reply> {
  const [, id] = /^\/admin\/users\/([^/]+)$/.exec(call.path) ?? []
  const [, factorsOf] = /^\/admin\/users\/([^/]+)\/factors$/.exec(call.path) ?? []
  if (factorsOf !== undefined && call.method === 'GET') return listFactors(context, factorsOf)
  if (call.path === '/admin/generate_link' && call.method === 'POST') return generateLink(context, call)
  if (id !== undefined && !z.guid().safeParse(id).success)
    throw new AuthError('validation_failed', 'user_id must be an UUID')
  const isList = call.path === '/admin/users'
  if (isList && call.method === 'GET') return list(context, call)
  if (isList && call.method === 'POST') return create(context, call)
  if (id !== undefined && call.method === 'GET') return get(context, id)
  if (id !== undefined && call.method === 'PUT') return update(context, id, call)
  if (id !== undefined && call.method === 'DELETE') return remove(context, id, call)
  throw new AuthError('not_implemented', `The local stack does not answer ${call.method} ${call.path}`)
}

async function list({ sql }: AuthContext, call: Call): Promise<Reply> {
  const page = positive(call.url.searchParams.get('page'), 1)
  const perPage = positive(call.url.searchParams.get('per_page'), 50)
  const users = await listUsers(sql, page, perPage)
  const [counted] = await sql<{ total: number }[]>`
    select count(*)::int as total from auth.users where deleted_at is null`
  const total = counted?.total ?? 0
  const last = Math.max(1, Math.ceil(total / perPage))
  const link = (target: number, rel: string) =>
    `</admin/users?page=${target}&per_page=${perPage}>; rel="${rel}"`
  const links = [...(page < last ? [link(page + 1, 'next')] : []), link(last, 'last')]
  return {
    status: 200,
    headers: { 'x-total-count': String(total), link: links.join(', ') },
    body: { users: users.map(presentUser), aud: 'authenticated' },
  }
}

async function create(context: AuthContext, call: Call): Promise<Reply> {
  const body = await readJson(call, adminUserBody)
  if (body.email === undefined)
    throw new AuthError(
      'validation_failed',
      'Cannot create a user without an email; the local stack has no phones',
    )
  const email = normalizedEmail(body.email)
  if (body.password !== undefined) assertAcceptablePassword(body.password)
  const user = await inTransaction(
    context.sql,
    'Database error creating new user',
    context.log,
    async (sql) => {
      if (await findUserByEmail(sql, email)) throw emailExists()
      const created = await createUser(
        sql,
        {
          id: body.id,
          role: body.role,
          email,
          password: body.password ?? randomBytes(24).toString('base64url'),
          userMetadata: body.user_metadata ?? undefined,
          appMetadata: body.app_metadata ?? undefined,
          confirmed: body.email_confirm ?? false,
        },
        context.settings.bcryptCost,
      )
      if (body.ban_duration) await ban(sql, created.id, body.ban_duration)
      return mustFind(sql, created.id)
    },
  )
  return { status: 200, body: presentUser(user) }
}

async function get({ sql }: AuthContext, id: string): Promise<Reply> {
  const user = await findUser(sql, id)
  if (!user) throw new AuthError('user_not_found', 'User not found')
  return { status: 200, body: presentUser(user) }
}

async function update(context: AuthContext, id: string, call: Call): Promise<Reply> {
  const body = await readJson(call, adminUserBody)
  const email = body.email === undefined ? undefined : normalizedEmail(body.email)
  if (body.password !== undefined) assertAcceptablePassword(body.password)
  const user = await inTransaction(context.sql, 'Error updating user', context.log, async (sql) => {
    const found = await mustFind(sql, id)
    if (body.role) await sql`update auth.users set role = ${body.role}, updated_at = now() where id = ${id}`
    if (body.email_confirm) await confirmEmail(sql, id)
    if (body.password !== undefined) await setPassword(sql, id, body.password, context.settings.bcryptCost)
    if (email) await setEmail(sql, found, email, body.email_confirm ?? false)
    await mergeMetadata(sql, id, { app: body.app_metadata ?? undefined })
    await mergeMetadata(sql, id, { user: body.user_metadata ?? undefined })
    if (body.ban_duration) await ban(sql, id, body.ban_duration)
    return mustFind(sql, id)
  })
  return { status: 200, body: presentUser(user) }
}

async function remove(context: AuthContext, id: string, call: Call): Promise<Reply> {
  const { should_soft_delete: soft } = await readJson(
    call,
    z.object({ should_soft_delete: z.boolean().optional() }),
  )
  await inTransaction(context.sql, 'Database error deleting user', context.log, async (sql) => {
    const user = await mustFind(sql, id)
    if (soft) await softDelete(sql, user)
    else await sql`delete from auth.users where id = ${id}`
  })
  return { status: 200, body: {} }
}

/** Nobody has a second factor here: enrolling one is refused. */
async function listFactors({ sql }: AuthContext, id: string): Promise<Reply> {
  if (!z.guid().safeParse(id).success || !(await findUser(sql, id)))
    throw new AuthError('user_not_found', 'User not found')
  return { status: 200, body: [] }
}

/** A duration as Go writes it (`24h`, `90m`), or `none` to lift the ban. */
async function ban(sql: Parameters<typeof mustFind>[0], id: string, duration: string): Promise<void> {
  const [, amount, unit] = /^(\d+)(h|m|s)$/.exec(duration) ?? []
  if (duration !== 'none' && amount === undefined)
    throw new AuthError('validation_failed', 'invalid format for ban duration')
  const interval =
    amount === undefined ? null : `${amount} ${{ h: 'hours', m: 'minutes', s: 'seconds' }[unit ?? 's']}`
  await sql`update auth.users set banned_until = now() + ${interval}::interval, updated_at = now() where id = ${id}`
}

function positive(text: string | null, fallback: number): number {
  // supabase-js sends empty parameters for what the caller left out.
  const value = Number(text || fallback)
  if (!Number.isSafeInteger(value) || value < 1)
    throw new AuthError('validation_failed', 'page and per_page must be positive numbers')
  return value
}
