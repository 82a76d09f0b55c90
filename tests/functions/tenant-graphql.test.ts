import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { exportedSchemas } from '../../shared/generated/tenant-graphql/versions.ts'
import { connect, type Database } from '../../shared/kernel/database/client.ts'
import { readEnvironment } from '../../shared/kernel/environment.ts'
import { createPools } from '../../shared/tenant-graphql/pools.ts'
import {
  createTenantGraphqlFunction,
  type TenantGraphqlDependencies,
} from '../../shared/tenant-graphql/tenant-graphql-function.ts'
import { endEndpointConnections, serverNames } from '../support/endpoint-connections.ts'
import { type SignedUp, startTestProject, type TestProject, until } from '../support/project.ts'
import { strongestConnection } from '../support/tenant-logins.ts'
import { bearer } from './graphql-client.ts'

let project: TestProject
let ours: SignedUp
let theirs: SignedUp
let member: SignedUp
let key: string
let readKey: string
let theirKey: string
let databases: string[]

const CREATE =
  'mutation ($contact: ContactInput!) { createContact(input: { contact: $contact }) { contact { id email } } }'
const NAMES = '{ contacts(first: 100) { nodes { firstName } } }'
const ONE = '{ organizations(first: 1) { nodes { id } } }'

beforeAll(async () => {
  // Waking takes a moment, so that it can be told from connecting to a database that is awake.
  const neon = { timings: { wakeMs: 400 } }
  project = await startTestProject({ settings: { key_acts_per_minute: 1_000 }, neon })
  ;[ours, theirs, member] = [await project.signUp(), await project.signUp(), await project.signUp()]
  for (const { organizationId } of [ours, theirs]) await project.waitFor(organizationId)
  await project.sql`insert into public.organization_members (organization_id, user_id, role)
    values (${ours.organizationId}, ${member.userId}, 'member')`
  key = await makeKey(ours, { scope: 'write' })
  readKey = await makeKey(ours, { scope: 'read' })
  theirKey = await makeKey(theirs, { scope: 'write' })
  await addContact(ours, key, { firstName: 'Our Ann' })
  await addContact(theirs, theirKey, { firstName: 'Their Bob' })
  databases = await serverNames(project, [ours, theirs])
})

afterAll(() => project?.stop())

async function makeKey(
  { client, organizationId }: SignedUp,
  wishes: { scope: 'read' | 'write'; requests_per_minute?: number; expires_at?: string },
): Promise<string> {
  const call = { organization_id: organizationId, name: 'A key', ...wishes }
  const { data, error } = await client.rpc('create_api_key', call)
  if (error) throw error
  return Object(data).key
}

const addContact = ({ organizationId }: SignedUp, by: string, contact: object) =>
  ask(bearer(by), CREATE, { contact: { organizationId, ...contact } })

/** Tenants of which there are rows, keys and organizations, in the two databases that are there, in turns. */
async function addRegistered(count: number): Promise<{ id: string; key: string }[]> {
  const made: { id: string; key: string }[] = []
  for (const [place, { organizationId, userId }] of [ours, theirs].entries()) {
    const ids = Array.from({ length: count / 2 }, () => crypto.randomUUID())
    // Without triggers, or they would be provisioned.
    await project.superuser.begin(async (tx) => {
      await tx`set local session_replication_role = replica`
      await tx`insert into public.organizations (id, name, slug, owner_id, data_region, hosting_region, provisioning_status)
        select id, 'Registered', id::text, ${userId}, 'eu-central-1', 'eu-central-1', '{"overall": "ready"}' from unnest(${ids}::uuid[]) id`
      await tx`insert into public.organization_databases (organization_id, region, size, status, host, pooled_host, port, database_name,
          role_name, ssl_mode, schema_version, graphql_enabled)
        select id, d.region, d.size, d.status, d.host, d.pooled_host, d.port, d.database_name, d.role_name, d.ssl_mode, d.schema_version, true
        from public.organization_databases d, unnest(${ids}::uuid[]) id where d.organization_id = ${organizationId}`
      await tx`select provisioning.keep_secret(provisioning.login_secret(made.id, 'graphql'), s.decrypted_secret, 'test')
        from vault.decrypted_secrets s, unnest(${ids}::uuid[]) made (id)
        where s.name = provisioning.login_secret(${organizationId}, 'graphql')`
    })
    made.push(
      ...(await project.superuser<{ id: string; key: string }[]>`
        select id, provisioning.insert_api_key(id, 'test', 'read', null, null) ->> 'key' as key from unnest(${ids}::uuid[]) id`),
    )
    const owner = await strongestConnection(project, organizationId)
    await owner`insert into public.organizations (id, name, slug)
      select id, 'Registered', id::text from unnest(${ids}::uuid[]) id`.finally(() =>
      owner.end({ timeout: 1 }),
    )
    expect(made).toHaveLength((place + 1) * (count / 2))
  }
  return made
}

interface Reply {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  readonly data: Record<string, never> | undefined
  /** Of the first error, or of the problem. */
  readonly code: string | undefined
}

type Call = (
  headers: Readonly<Record<string, string>>,
  query: string,
  variables?: object,
  more?: object,
) => Promise<Reply>

const call =
  (send: (request: Request) => Promise<Response>): Call =>
  async (headers, query, variables, more) => {
    const reply = await send(
      new Request(`${project.services.url}/functions/v1/tenant-graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify({ ...(query ? { query } : {}), variables, ...more }),
      }),
    )
    const text = await reply.text()
    const { data, errors, code } = JSON.parse(text)
    const first = errors?.[0]?.extensions?.code ?? code
    return { status: reply.status, headers: reply.headers, text, data, code: first }
  }

/** Through the gateway, to a process of the function. */
const ask: Call = (...given) => call(fetch)(...given)

/** In this process, with parts of its own. */
async function inProcess<T>(
  dependencies: Partial<TenantGraphqlDependencies>,
  work: (ask: Call) => Promise<T>,
): Promise<T> {
  const environment = readEnvironment({
    SUPABASE_URL: project.services.url,
    SUPABASE_DB_URL: project.databaseUrl(),
    SUPABASE_SECRET_KEYS: JSON.stringify({ default: project.keys.secretKey }),
  })
  const sql = connect(environment)
  return work(call(createTenantGraphqlFunction(environment, { sql, ...dependencies }))).finally(() =>
    sql.end({ timeout: 1 }),
  )
}

/** A database that must not be asked. */
const nobody = Object.assign(
  () => {
    throw new Error('the database was asked')
  },
  { json: () => undefined, end: async () => undefined },
) as unknown as Database

async function withSettings<T>(settings: Record<string, unknown>, work: () => Promise<T>): Promise<T> {
  const [before] = await project.sql`select * from provisioning.settings`
  await project.sql`update provisioning.settings set ${project.sql(settings)}`
  // What is known of a caller is good for so long.
  await sleep(950)
  try {
    return await work()
  } finally {
    const names = Object.keys(settings)
    await project.sql`update provisioning.settings set ${project.sql(before ?? {}, ...names)}`
    await sleep(950)
  }
}

describe('a ready tenant', () => {
  it('has an endpoint, which its row and its owner know', async () => {
    const { data } = await ours.client.rpc('database_connection', { organization_id: ours.organizationId })
    expect(data).toMatchObject({ graphql_endpoint: `${project.services.url}/functions/v1/tenant-graphql` })
    expect((await project.provisioning(ours.organizationId)).services.graphql).toBe('ready')
  })

  it('writes and reads with a key, along relations, page by page, filtered and in order', async () => {
    const { organizationId } = ours
    const made = await ask(
      bearer(key),
      'mutation ($company: CompanyInput!) { createCompany(input: { company: $company }) { company { id } } }',
      { company: { organizationId, name: 'Acme' } },
    )
    const companyId = Object(made.data).createCompany.company.id
    for (const firstName of ['Cid', 'Dee', 'Eve'])
      expect((await addContact(ours, key, { firstName, companyId })).code).toBeUndefined()
    const page = `query ($after: Cursor) { contacts(first: 2, after: $after, orderBy: [FIRST_NAME_DESC],
      filter: { company: { name: { equalTo: "Acme" } } }) {
      totalCount pageInfo { endCursor hasNextPage } nodes { firstName company { name } } } }`
    const first = Object((await ask({ apikey: readKey }, page)).data).contacts
    expect(first).toMatchObject({
      totalCount: 3,
      pageInfo: { hasNextPage: true },
      nodes: ['Eve', 'Dee'].map((firstName) => ({ firstName, company: { name: 'Acme' } })),
    })
    const second = await ask(bearer(readKey), page, { after: first.pageInfo.endCursor })
    expect(second.data).toMatchObject({
      contacts: { pageInfo: { hasNextPage: false }, nodes: [{ firstName: 'Cid' }] },
    })
  })

  it('answers browsers of any origin, and lets them send and read its headers', async () => {
    const reply = await fetch(`${project.services.url}/functions/v1/tenant-graphql`, { method: 'OPTIONS' })
    expect(reply.headers.get('access-control-allow-headers')).toContain('x-organization-id')
    expect(reply.headers.get('access-control-expose-headers')).toContain('x-database-connect-ms')
  })
})

describe('who may come in', () => {
  const of = ({ organizationId }: SignedUp) => ({ 'x-organization-id': organizationId })
  const names = async (headers: Record<string, string>) => (await ask(headers, NAMES)).text

  it('sees its own tenant and no other, whatever else it says', async () => {
    expect(await names(bearer(key))).toContain('Our Ann')
    expect(await names(bearer(key))).not.toContain('Their Bob')
    expect(await names({ ...bearer(key), ...of(ours) })).toContain('Our Ann')
    const swapped = await ask({ ...bearer(key), ...of(theirs) }, NAMES)
    expect([swapped.status, swapped.code, swapped.data]).toEqual([403, 'forbidden', undefined])
    expect(await names(bearer(theirKey))).toContain('Their Bob')
    expect(await names({ ...bearer(theirKey), apikey: key })).not.toContain('Our Ann')
    const { organizationId } = theirs
    const other = await ask(bearer(key), CREATE, { contact: { organizationId, firstName: 'Spy' } })
    expect(other.code).toBe('forbidden')
  })

  it('is a member with an access token, as the role that the member has', async () => {
    expect(await names({ ...bearer(member.accessToken), ...of(ours) })).toContain('Our Ann')
    const rename = `mutation { updateOrganization(input: { id: "${ours.organizationId}", patch: { industry: "Tea" } }) {
      organization { industry } } }`
    const asMember = await ask({ ...bearer(member.accessToken), ...of(ours) }, rename)
    expect(asMember.text).not.toContain('Tea')
    const asOwner = await ask({ ...bearer(ours.accessToken), ...of(ours) }, rename)
    expect(asOwner.data).toMatchObject({ updateOrganization: { organization: { industry: 'Tea' } } })
  })

  it('is nobody who is no member, nor who does not say of what', async () => {
    const token = bearer(theirs.accessToken)
    const [stranger, nowhere] = [
      await ask({ ...token, ...of(ours) }, NAMES),
      await ask({ ...token, 'x-organization-id': crypto.randomUUID() }, NAMES),
    ]
    expect([stranger.status, stranger.code]).toEqual([403, 'forbidden'])
    expect(JSON.parse(nowhere.text).detail).toBe(JSON.parse(stranger.text).detail)
    expect((await ask(token, NAMES)).code).toBe('invalid_argument')
  })

  it('is no member any more within a second of leaving', async () => {
    const headers = { ...bearer(member.accessToken), ...of(ours) }
    expect((await ask(headers, ONE)).status).toBe(200)
    await project.sql`delete from public.organization_members where user_id = ${member.userId}
      and organization_id = ${ours.organizationId}`
    await sleep(1_000)
    expect((await ask(headers, ONE)).code).toBe('forbidden')
  })

  it('may only read with a key that reads, whose requests run as the role that has no other right', async () => {
    const { organizationId } = ours
    const write = await ask(bearer(readKey), CREATE, { contact: { organizationId, firstName: 'No' } })
    expect(write.code).toBe('forbidden')
    expect(await names(bearer(readKey))).toContain('Our Ann')
    const theirReadKey = await makeKey(theirs, { scope: 'read' })
    const owner = await strongestConnection(project, theirs.organizationId)
    try {
      await owner.unsafe(`create policy readers on public.contacts as restrictive
        using (current_user = current_database() || '_read')`)
      expect(await names(bearer(theirReadKey))).toContain('Their Bob')
      expect(await names(bearer(theirKey))).not.toContain('Their Bob')
    } finally {
      await owner.unsafe('drop policy if exists readers on public.contacts')
      await owner.end({ timeout: 1 })
    }
  })

  it('has no key that is truncated or mistyped, which is told without a query', async () => {
    const slips = [
      key.slice(0, -1),
      `${key}0`,
      key.replace(/.$/, (last) => (last === '0' ? '1' : '0')),
      'tdk_',
    ]
    await inProcess({ sql: nobody }, async (send) => {
      for (const slip of slips) expect([slip, (await send(bearer(slip), ONE)).status]).toEqual([slip, 401])
      await expect(send(bearer(key), ONE)).resolves.toMatchObject({ status: 500 })
    })
  })

  it('says that a key is a bearer, or sends it as apikey alone', async () => {
    for (const authorization of [
      key,
      `Basic ${key}`,
      `Bearer  ${key}`,
      `Token ${key}`,
      `Bearer Bearer ${key}`,
    ])
      expect([authorization, (await ask({ authorization }, ONE)).status]).toEqual([authorization, 401])
    for (const authorization of ['', 'Bearer', 'null', 'Basic x'])
      expect([authorization, (await ask({ apikey: key, authorization }, ONE)).status]).toEqual([
        authorization,
        401,
      ])
    expect((await ask({ authorization: `bearer ${key}` }, ONE)).status).toBe(200)
    expect((await ask({ apikey: key }, ONE)).status).toBe(200)
  })

  it('has no key that is forged with a right checksum, or with the beginning of ours', async () => {
    const signed = (body: string) => body + createHash('sha256').update(body).digest('hex').slice(0, 8)
    for (const forged of [signed(`tdk_${'0'.repeat(40)}`), signed(`${key.slice(0, 12)}${'0'.repeat(32)}`)])
      expect([(await ask(bearer(forged), ONE)).status, forged.length]).toEqual([401, 52])
  })

  it('has no key that has expired', async () => {
    const expires = new Date(Date.now() + 1_500)
    const short = await makeKey(ours, { scope: 'read', expires_at: expires.toISOString() })
    expect((await ask(bearer(short), ONE)).status).toBe(200)
    await sleep(expires.getTime() - Date.now() + 50)
    expect((await ask(bearer(short), ONE)).code).toBe('unauthorized')
  })

  it('has no key a second after it was revoked, though it is in use all the time', async () => {
    const doomed = await makeKey(ours, { scope: 'read' })
    expect((await ask(bearer(doomed), ONE)).status).toBe(200)
    await project.sql`update public.tenant_api_keys set revoked_at = now() where prefix = ${doomed.slice(0, 12)}`
    const revokedAt = performance.now()
    const late: number[] = []
    while (performance.now() - revokedAt < 1_500) {
      const startedAt = performance.now() - revokedAt
      const { status } = await ask(bearer(doomed), ONE)
      if (startedAt > 1_000) late.push(status)
    }
    expect(late.length).toBeGreaterThan(0)
    expect(new Set(late)).toEqual(new Set([401]))
  })

  it('is let in by nobody while our database does not answer', async () => {
    const sql = Object.assign(
      () => Promise.reject(Object.assign(new Error('gone'), { code: 'CONNECTION_CLOSED' })),
      { json: () => undefined, end: async () => undefined },
    ) as unknown as Database
    await inProcess({ sql }, async (send) => {
      expect(await send(bearer(key), ONE)).toMatchObject({ status: 503, code: 'database_unavailable' })
    })
  })

  it('comes as often as the key allows', async () => {
    const slow = await makeKey(ours, { scope: 'read', requests_per_minute: 8 })
    const replies = [await ask(bearer(slow), ONE), await ask(bearer(slow), ONE), await ask(bearer(slow), ONE)]
    expect(replies.map(({ status }) => status)).toEqual([200, 200, 429])
    expect(replies[2]).toMatchObject({ code: 'too_many_requests' })
    expect(Number(replies[2]?.headers.get('retry-after'))).toBeGreaterThan(0)
    expect((await ask(bearer(key), ONE)).status).toBe(200)
  })
})

describe('an operation', () => {
  const nested = (depth: number, inner = 'id'): string =>
    depth === 0 ? inner : `company { contacts(first: 1) { nodes { ${nested(depth - 1, inner)} } } }`
  const lists = 'contacts(first: 100) { nodes { activities(first: 100) { nodes { id } } } }'

  it.each([
    ['a list of no size', '{ contacts { nodes { id } } }'],
    ['a list of no size in a list', '{ contacts(first: 1) { nodes { activities { nodes { id } } } } }'],
    ['a page of more than 100', '{ contacts(first: 101) { nodes { id } } }'],
    ['more than 10,000 values', `{ contacts(first: 100) { nodes { company { ${lists} } } } }`],
    ['eleven levels', `{ contacts(first: 1) { nodes { ${nested(5)} } } }`],
    [
      'eleven fields at its root',
      `{ ${Array.from({ length: 11 }, (_, n) => `a${n}: ${ONE.slice(1, -1)}`)} }`,
    ],
    [
      '31 aliases',
      `{ contacts(first: 1) { nodes { ${Array.from({ length: 31 }, (_, n) => `a${n}: id`)} } } }`,
    ],
    ['501 fields', `{ contacts(first: 1) { nodes { ${'id '.repeat(501)} } } }`],
    [
      'fragments that multiply',
      `{ contacts(first: 1) { nodes { ...f20 } } } fragment f0 on Contact { id } ${Array.from(
        { length: 20 },
        (_, n) => `fragment f${n + 1} on Contact { ...f${n} ...f${n} }`,
      ).join(' ')}`,
    ],
  ])('with %s is refused before it runs', async (_what, query) => {
    const reply = await ask(bearer(key), query)
    expect([reply.code, reply.data]).toEqual(['query_too_complex', undefined])
  })

  it('with a size in a variable, or that only counts, is let in', async () => {
    const sized = await ask(bearer(key), 'query ($n: Int) { contacts(first: $n) { nodes { id } } }', { n: 2 })
    expect(sized.code).toBeUndefined()
    expect((await ask(bearer(key), '{ contacts { totalCount } }')).code).toBeUndefined()
    const tooMany = await ask(bearer(key), 'query ($n: Int) { contacts(first: $n) { nodes { id } } }', {
      n: 101,
    })
    expect(tooMany.code).toBe('query_too_complex')
  })

  it.each([
    ['2,001 tokens', `{ ${'contacts '.repeat(2_000)} }`, 'invalid_query'],
    ['an unknown field', '{ contacts(first: 1) { nodes { nonsense } } }', 'invalid_query'],
    ['more than 64 kB', `{ __typename } #${'x'.repeat(70_000)}`, 'body_too_large'],
  ])('with %s is refused', async (_what, query, code) => {
    expect((await ask(bearer(key), query)).code).toBe(code)
  })

  it('that the database refuses says why in a word, and nothing of its inside', async () => {
    const { organizationId } = ours
    const company = { organizationId, name: 'Twice', website: 'no address' }
    const refused = await ask(
      bearer(key),
      'mutation ($company: CompanyInput!) { createCompany(input: { company: $company }) { company { id } } }',
      { company },
    )
    expect(refused.code).toBe('value_refused')
    expect(refused.text).not.toMatch(/web_address|constraint|companies|insert/i)
    expect(JSON.parse(refused.text).errors[0].extensions.requestId).toMatch(/^[0-9a-f-]{36}$/)
  })

  it('is not explained to whoever asks for that in a header', async () => {
    const reply = await ask({ ...bearer(key), 'x-graphql-explain': 'plan,sql,grafast,mermaid' }, ONE)
    expect(JSON.parse(reply.text)).toEqual({
      data: { organizations: { nodes: [{ id: ours.organizationId }] } },
    })
  })

  it('tells the schema, unless the settings say no', async () => {
    const schema = '{ __schema { queryType { name } } }'
    expect((await ask(bearer(key), schema)).data).toEqual({ __schema: { queryType: { name: 'Query' } } })
    expect((await ask(bearer(key), '{ a: __schema { queryType { name } } }')).code).toBe('query_too_complex')
    await withSettings({ tenant_introspection: false }, async () =>
      expect((await ask(bearer(key), schema)).code).toBe('forbidden'),
    )
  })

  it('is one of those that were stored where the settings say so, called by its hash or its text', async () => {
    const [{ hash } = { hash: '' }] = await project.sql<{ hash: string }[]>`
      select provisioning.store_document(${ONE}) as hash`
    const byHash = [
      { documentId: `sha256:${hash}` },
      { extensions: { persistedQuery: { version: 1, sha256Hash: hash } } },
    ]
    for (const more of byHash) expect((await ask(bearer(key), '', undefined, more)).status).toBe(200)
    await withSettings({ tenant_stored_documents_only: true }, async () => {
      expect((await ask(bearer(key), ONE)).code).toBeUndefined()
      expect((await ask(bearer(key), NAMES)).code).toBe('unknown_document')
    })
  })
})

describe('a database', () => {
  it('that sleeps wakes on use, and the reply says how long that took', async () => {
    const [row] = await project.sql<{ id: string }[]>`
      select neon_project_id as id from public.organization_databases where organization_id = ${theirs.organizationId}`
    const address = new URL(`/_emulator/projects/${row?.id}`, project.neonEmulator.url)
    expect((await fetch(address, { method: 'PATCH', body: '{"suspended": true}' })).ok).toBe(true)
    const woken = await ask(bearer(theirKey), ONE)
    expect(woken.code).toBeUndefined()
    expect(Number(woken.headers.get('x-database-connect-ms'))).toBeGreaterThanOrEqual(390)
    const awake = await ask(bearer(theirKey), ONE)
    expect(Number(awake.headers.get('x-database-connect-ms') ?? 0)).toBeLessThan(390)
  })

  it('whose connections break in between is answered from all the same, and no process ends', async () => {
    const processes = () =>
      project.services.gateway.functions.processes().map(({ name, pid }) => `${name} ${pid}`)
    await ask(bearer(key), ONE)
    const before = processes()
    for (let round = 0; round < 5; round++) {
      expect(await endEndpointConnections(project, databases)).toBeGreaterThan(0)
      expect((await ask(bearer(key), NAMES)).text).toContain('Our Ann')
    }
    expect(processes()).toEqual(before)
  })

  it('whose connections are killed all the time never shows another’s rows, and no process ends', async () => {
    const processes = () =>
      project.services.gateway.functions.processes().map(({ name, pid }) => `${name} ${pid}`)
    const before = processes()
    let isOver = false
    const killing = (async () => {
      while (!isOver) {
        await endEndpointConnections(project, databases)
        await sleep(10)
      }
    })()
    const asked = async (by: string, foreign: string) => {
      const codes = new Set<string | undefined>()
      for (let round = 0; round < 25; round++) {
        const { text, code } = await ask(bearer(by), NAMES)
        expect(text).not.toContain(foreign)
        codes.add(code)
      }
      return [...codes]
    }
    const codes = (await Promise.all([asked(key, 'Their Bob'), asked(theirKey, 'Our Ann')])).flat()
    isOver = true
    await killing
    for (const code of codes) expect([undefined, 'tenant_database_unavailable']).toContain(code)
    expect(processes()).toEqual(before)
  })

  it('of a tenant that asked longest ago gives its place to another one, whose answer is its own', async () => {
    const connected = async () => {
      const rows = await project.superuser<
        { tenants: number }[]
      >`select count(distinct datname)::int as tenants
        from pg_stat_activity where application_name = 'tenant-graphql' and datname = any (${databases}) and pid <> all (${before}::int[])`
      return rows[0]?.tenants
    }
    const before = (
      await project.superuser<{ pid: number }[]>`
        select pid from pg_stat_activity where application_name = 'tenant-graphql' and datname = any (${databases})`
    ).map(({ pid }) => pid)
    const sql = connect({ SUPABASE_DB_URL: project.databaseUrl(), DATABASE_POOLER_URL: undefined })
    const pools = createPools(sql, 1)
    try {
      await inProcess({ pools }, async (send) => {
        // The end of a read is not waited for, and until then the place is taken.
        const answer = (by: string) =>
          until('a place', async () => {
            const { code, text } = await send(bearer(by), NAMES)
            return code === 'tenant_database_busy' ? undefined : text
          })
        for (let round = 0; round < 3; round++) {
          expect(await answer(key)).toContain('Our Ann')
          expect(await answer(theirKey)).toContain('Their Bob')
        }
      })
      await until('end of the other connections', async () => (await connected()) === 1 || undefined)
    } finally {
      pools.end()
      await sql.end({ timeout: 1 })
    }
  })

  it('of a thousand tenants is in one process nobody’s but the one whose key it is', async () => {
    const tenants = await addRegistered(1_000)
    await withSettings({ tenant_requests_per_minute: 100_000 }, () =>
      inProcess({}, async (send) => {
        const left = [...tenants]
        const wrong: string[] = []
        const asking = async () => {
          for (let next = left.pop(); next; next = left.pop()) {
            const { text } = await send(bearer(next.key), '{ organizations(first: 5) { nodes { id } } }')
            if (text !== JSON.stringify({ data: { organizations: { nodes: [{ id: next.id }] } } }))
              wrong.push(text)
          }
        }
        await Promise.all(Array.from({ length: 8 }, asking))
        expect(wrong).toEqual([])
        const [one, other] = tenants
        const swapped = { ...bearer(one?.key ?? ''), 'x-organization-id': other?.id ?? '' }
        expect((await send(swapped, ONE)).code).toBe('forbidden')
      }),
    )
  }, 240_000)

  it('behind by one version or two is served by its own schema, told so, and further behind is asked to come again', async () => {
    const one = exportedSchemas[1]
    if (!one) throw new Error('version 1 has no export')
    for (const behind of [1, 2])
      await inProcess({ exported: { 1: one, [1 + behind]: one } }, async (send) => {
        const reply = await send(bearer(key), ONE)
        expect(reply.status).toBe(200)
        expect(reply.headers.get('x-tenant-schema-version')).toBe('1')
        expect(reply.headers.get('x-tenant-schema-behind')).toBe(String(behind))
      })
    await inProcess({ exported: { 2: one } }, async (send) => {
      const reply = await send(bearer(key), ONE)
      expect([reply.status, reply.code]).toEqual([503, 'tenant_schema_behind'])
      expect(Number(reply.headers.get('retry-after'))).toBeGreaterThan(0)
    })
    await until('job that migrates it', async () => {
      const jobs = await project.sql`select from public.provisioning_jobs
        where organization_id = ${ours.organizationId} and kind = 'migrate_schema'`
      return jobs.length > 0 || undefined
    })
  })
})

/** What an owner may do to an own database; in the end it is of no use any more. */
describe('a hostile owner', () => {
  const attack = async (statements: string) => {
    const sql = await strongestConnection(project, theirs.organizationId)
    await sql.unsafe(statements).finally(() => sql.end({ timeout: 1 }))
  }
  const TRAP = (body: string) => `create or replace function public.trap() returns boolean language plpgsql as
    $$ begin ${body} return true; end $$; drop policy if exists trap on public.contacts;
    create policy trap on public.contacts as restrictive using (public.trap())`

  it('keeps nobody waiting but the own people, and not for long', async () => {
    await attack(TRAP('perform pg_sleep(60);'))
    const startedAt = performance.now()
    const trapped = ask(bearer(theirKey), NAMES)
    for (let round = 0; round < 3; round++) {
      const at = performance.now()
      expect((await ask(bearer(key), NAMES)).text).toContain('Our Ann')
      expect(performance.now() - at).toBeLessThan(2_000)
    }
    expect((await trapped).code).toBe('tenant_database_too_slow')
    expect(performance.now() - startedAt).toBeLessThan(8_000)
  })

  it('gets no answer that would fill the memory', async () => {
    await attack(`${TRAP('')}; alter table public.contacts disable trigger user;
      alter table public.contacts drop constraint if exists contacts_notes_are_short;
      update public.contacts set notes = repeat('x', 6000000)`)
    expect((await ask(bearer(theirKey), '{ contacts(first: 1) { nodes { notes } } }')).code).toBe(
      'answer_too_large',
    )
    expect((await ask(bearer(theirKey), ONE)).code).toBeUndefined()
  })

  it.each([
    ['MAL01', 'value_refused'],
    ['42601', 'schema_drift'],
    ['58P01', 'tenant_database_unavailable'],
  ])(
    'raises an error of its own, %s, which is no error of ours and not in our log',
    async (sqlstate, code) => {
      await attack(
        TRAP(`raise exception using errcode = '${sqlstate}', message = repeat('\u001b[2J', 250000);`),
      )
      const before = project.log.length
      expect((await ask(bearer(theirKey), NAMES)).code).toBe(code)
      const logged = project.log.slice(before).map(({ text }) => text)
      expect(logged.join('\n')).toContain(`"code":"${sqlstate}"`)
      expect(logged.join('').length).toBeLessThan(1_000)
    },
  )

  it('floods what it has made our connection listen to, and loses that connection at once', async () => {
    const owner = await strongestConnection(project, theirs.organizationId)
    const listening = () => project.superuser`
      select from pg_stat_activity where application_name = 'listens' and datname = ${theirName}`
    const [{ name: theirName } = { name: '' }] = await owner<
      { name: string }[]
    >`select current_database() as name`
    await attack(TRAP(`execute 'listen flood'; perform set_config('application_name', 'listens', false);`))
    expect((await ask(bearer(theirKey), NAMES)).code).toBeUndefined()
    expect(await listening()).toHaveLength(1)
    await attack(TRAP(''))
    await owner`select pg_notify('flood', repeat('x', 7000) || n) from generate_series(1, 100) n`
    // One that nobody uses is given up after 20 s in any case.
    await until('end of it', async () => (await listening()).length === 0 || undefined, 10_000)
    expect((await ask(bearer(theirKey), ONE)).code).toBeUndefined()
    await owner.end({ timeout: 1 })
  })

  it('does not stay another role, nor leave claims behind, in a connection of ours', async () => {
    await attack(
      TRAP(`perform set_config('role', 'none', false); perform set_config('request.jwt.claims',
      '{"organization_id": "${ours.organizationId}", "scope": "read write"}', false);`),
    )
    await ask(bearer(theirKey), NAMES)
    expect((await ask(bearer(theirKey), ONE)).data).toEqual({
      organizations: { nodes: [{ id: theirs.organizationId }] },
    })
  })

  it('who takes away what the endpoint needs is told so, and we note it', async () => {
    await attack('drop policy trap on public.contacts; alter table public.contacts drop column city')
    const { code, text } = await ask(bearer(theirKey), '{ contacts(first: 1) { nodes { city } } }')
    expect(code).toBe('schema_drift')
    expect(text).not.toMatch(/city|select|does not exist/i)
    expect(
      (await ask(bearer(theirKey), '{ contacts(first: 1) { nodes { firstName } } }')).code,
    ).toBeUndefined()
    await until('note of the drift', async () => {
      const rows = await project.sql`select from public.organization_databases
        where organization_id = ${theirs.organizationId} and schema_drift_at is not null`
      return rows.length > 0 || undefined
    })
  })
})

it('a tenant that is removed has no keys and no endpoint', async () => {
  await project.sql`delete from public.organizations where id = ${theirs.organizationId}`
  await sleep(1_000)
  expect((await ask(bearer(theirKey), ONE)).status).toBe(401)
})
