/**
 * Serves the function tenant-graphql, and beside it the same answer by hand-written SQL with the same checks of the key, over the
 * same driver and as the same role. Argument: the port.
 */

import { z } from 'zod'
import { createAuthenticator } from '../../shared/kernel/caller.ts'
import { connect } from '../../shared/kernel/database/client.ts'
import { readEnvironment } from '../../shared/kernel/environment.ts'
import { readBody } from '../../shared/kernel/http/body.ts'
import { handlePost } from '../../shared/kernel/http/serve.ts'
import { createCallers } from '../../shared/tenant-graphql/caller.ts'
import { createPools } from '../../shared/tenant-graphql/pools.ts'
import { createRateLimit } from '../../shared/tenant-graphql/rate.ts'
import { createTenantGraphqlFunction } from '../../shared/tenant-graphql/tenant-graphql-function.ts'
import { createBudget, MAX_BYTES } from '../../shared/tenant-graphql/usage.ts'
import { createWithClient } from '../../shared/tenant-graphql/with-client.ts'

declare const Deno: {
  readonly args: readonly string[]
  readonly env: { toObject(): Record<string, string> }
  memoryUsage(): { readonly rss: number }
  serve(
    options: { hostname: string; port: number; onListen(): void },
    handler: (request: Request) => Promise<Response>,
  ): unknown
}

const BY_HAND = `
  select coalesce(json_agg(json_build_object('id', c.id, 'firstName', c.first_name, 'lastName', c.last_name, 'email', c.email,
    'status', c.status, 'company', case when o.id is not null then json_build_object('id', o.id, 'name', o.name) end,
    'activities', json_build_object('nodes', a.nodes)) order by c.last_name, c.id), '[]')::text
  from (select * from public.contacts order by last_name, id limit $1::int) c
  left join public.companies o on o.id = c.company_id
  cross join lateral (
    select coalesce(json_agg(json_build_object('id', l.id, 'type', l.type, 'subject', l.subject, 'createdAt', l.created_at)), '[]') as nodes
    from (select * from public.activities v where v.contact_id = c.id order by v.created_at desc, v.id limit 3) l) a`

const body = z.strictObject({ first: z.int().min(1).max(100) })

const environment = readEnvironment(Deno.env.toObject())
const sql = connect(environment)
const callerOf = createCallers(sql, createAuthenticator(environment))
const pools = createPools(sql)
const assertRate = createRateLimit()
const onBytes = createBudget()

const byHand = handlePost(async (request) => {
  const access = await callerOf(request)
  assertRate(access.countedAs, access.requestsPerMinute)
  const { first } = await readBody(request, body)
  const use = { maxBytes: MAX_BYTES, endsAt: performance.now() + 15_000, onBytes }
  const usage = { openedInMs: 0 }
  const acquire = () => pools.acquire(access.endpoint, use)
  const withClient = createWithClient(access, { isReading: true, usage, acquire })
  const { rows } = await withClient(null, (client) =>
    client.query({ text: BY_HAND, values: [first], arrayMode: true }),
  )
  const [row] = rows
  return new Response(`{"data":{"contacts":{"nodes":${Array.isArray(row) ? row[0] : '[]'}}}}`, {
    headers: { 'content-type': 'application/json', 'cache-control': 'no-store' },
  })
})
const endpoint = createTenantGraphqlFunction(environment, { sql, pools })

Deno.serve(
  { hostname: '127.0.0.1', port: Number(Deno.args[0]), onListen: () => undefined },
  async (request) => {
    const { pathname } = new URL(request.url)
    if (pathname === '/memory') return Response.json(Deno.memoryUsage())
    return pathname === '/by-hand' ? byHand(request) : endpoint(request)
  },
)
