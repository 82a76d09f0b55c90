import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export const REF = 'abcdefghijklmnopqrst'
export const TOKEN = `sbp_${'0123456789'.repeat(4)}`

/** A Management API with one project, which refuses what the real one refuses, and the harmless calls of the providers. */
export interface FakeHost extends AsyncDisposable {
  readonly url: string
  readonly secrets: Map<string, string>
  /** By slug. */
  readonly functions: Map<string, number>
  /** Requests that are no GET, as `POST /path`. */
  readonly writes: string[]
  /** Answers a request with this status instead, when it returns one. */
  refuse: (route: string) => number | undefined
  status: string
}

export async function startHost(): Promise<FakeHost> {
  const secrets = new Map<string, string>()
  const functions = new Map<string, number>()
  const writes: string[] = []
  let exposed = 'graphql_public'
  const answer = async (request: IncomingMessage): Promise<[number, unknown]> => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://host')
    const method = request.method ?? 'GET'
    const body = await bodyOf(request)
    if (pathname.startsWith('/stripe')) return [200, { data: [] }]
    if (pathname.startsWith('/neon')) return [200, { projects: [] }]
    const refused = host.refuse(`${method} ${pathname}`)
    if (refused) return [refused, { message: 'Refused.' }]
    if (request.headers.authorization !== `Bearer ${TOKEN}`) return [401, { message: 'Unauthorized' }]
    if (pathname.startsWith('/v1/organizations/')) return [200, { plan: 'free' }]
    const base = `/v1/projects/${REF}`
    if (pathname !== base && !pathname.startsWith(`${base}/`)) return [404, { message: 'Project not found' }]
    if (method !== 'GET') writes.push(`${method} ${pathname.slice(base.length)}`)
    switch (`${method} ${pathname.slice(base.length)}`) {
      case 'GET ':
        return [200, project(host.status)]
      case 'GET /secrets':
        return [200, [...secrets].map(([name, value]) => ({ name, value: digest(value) }))]
      case 'POST /secrets': {
        const given = JSON.parse(body) as { name: string; value: string }[]
        if (given.some(({ name, value }) => name.startsWith('SUPABASE_') || value.length > 24_576))
          return [400, { message: 'Secret name must not start with the SUPABASE_ prefix' }]
        for (const { name, value } of given) secrets.set(name, value)
        return [201, undefined]
      }
      case 'GET /functions':
        return [200, [...functions].map(([slug, version]) => deployed(slug, version))]
      case 'POST /functions/deploy': {
        const slug = searchParams.get('slug') ?? ''
        if (body.length > 5 * 1024 * 1024) return [413, { message: 'Request entity too large' }]
        functions.set(slug, (functions.get(slug) ?? 0) + 1)
        return [201, deployed(slug, functions.get(slug) ?? 1)]
      }
      case 'GET /postgrest':
        return [200, { db_schema: exposed, max_rows: 1000, db_extra_search_path: 'public', db_pool: null }]
      case 'PATCH /postgrest':
        exposed = (JSON.parse(body) as { db_schema: string }).db_schema
        return [200, { db_schema: exposed }]
      default:
        return [200, []]
    }
  }
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    void answer(request).then(([status, document]) => {
      response.writeHead(status, { 'content-type': 'application/json' })
      response.end(document === undefined ? '' : JSON.stringify(document))
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const host: FakeHost = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    secrets,
    functions,
    writes,
    refuse: () => undefined,
    status: 'ACTIVE_HEALTHY',
    [Symbol.asyncDispose]: async () => {
      server.close()
      server.closeAllConnections()
    },
  }
  return host
}

const digest = (value: string) => createHash('sha256').update(value).digest('hex')

const project = (status: string) => ({
  id: REF,
  ref: REF,
  name: 'test',
  organization_id: 'test',
  organization_slug: 'test',
  region: 'eu-central-1',
  status,
  created_at: '2026-01-01T00:00:00Z',
  database: { host: '127.0.0.1', version: '17', postgres_engine: '17', release_channel: 'ga' },
})

const deployed = (slug: string, version: number) => ({
  id: slug,
  slug,
  name: slug,
  version,
  status: 'ACTIVE',
  created_at: 1,
  updated_at: version,
})

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks).toString('latin1')
}
