import { readFile } from 'node:fs/promises'
import { buildClientSchema, getIntrospectionQuery, type IntrospectionQuery } from 'graphql'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { printApiDocs, printApiSchema } from '../../tools/api-docs/print.ts'
import { printResolverTypes } from '../../tools/api-docs/resolver-types.ts'
import { startTestProject, type TestProject, until } from '../support/project.ts'
import { ask, type Cast, castOf, graphqlUrl, post } from './graphql-client.ts'

let project: TestProject
let cast: Cast

beforeAll(async () => {
  project = await startTestProject()
  cast = await castOf(project)
})

afterAll(() => project?.stop())

const asOwner = (query: string, variables?: Record<string, unknown>) =>
  ask(project, cast.credentials('owner'), query, variables)
const codes = (reply: { errors: readonly { extensions: { code: string } }[] }) =>
  reply.errors.map(({ extensions }) => extensions.code)

describe('the schema', () => {
  it('that callers see is the one in the repository', async () => {
    const { data } = await asOwner(getIntrospectionQuery())
    const introspection: IntrospectionQuery = data
    const seen = printApiSchema(buildClientSchema(introspection))
    const snapshot = await readFile(new URL('../../shared/generated/schema.graphql', import.meta.url), 'utf8')
    expect(snapshot, 'run `npm run api-docs` and look at what changed').toBe(seen)
  })

  it('is described in docs/api.md as it is', async () => {
    const docs = await readFile(new URL('../../docs/api.md', import.meta.url), 'utf8')
    expect(docs, 'run `npm run api-docs`').toBe(printApiDocs())
  })

  it('is the one that the types of the resolvers are made from', async () => {
    const types = await readFile(new URL('../../shared/generated/resolver-types.ts', import.meta.url), 'utf8')
    expect(types, 'run `npm run api-docs`').toBe(await printResolverTypes())
  })
})

describe('a caller without credentials', () => {
  it.each<[string, () => Record<string, string>]>([
    ['none', () => ({})],
    ['the publishable key alone', () => ({ apikey: project.keys.publishableKey })],
    ['a token that is none', () => ({ authorization: 'Bearer x' })],
  ])('that count (%s) is answered 401 as a problem, before the body is read', async (_what, headers) => {
    const reply = await fetch(graphqlUrl(project), { method: 'POST', headers: headers(), body: '{' })
    expect(reply.status).toBe(401)
    expect(reply.headers.get('content-type')).toBe('application/problem+json')
    expect(reply.headers.get('access-control-allow-origin')).toBe('*')
    expect(await reply.json()).toMatchObject({ code: 'unauthorized', status: 401 })
  })
})

describe('an error of GraphQL', () => {
  it.each([
    ['found in the operation', '{ nothing }', 'invalid_query'],
    ['thrown in a resolver', '{ tenantCounts { openAlerts { count } } }', 'forbidden'],
  ])('%s has the id that the log has beside its code', async (_what, query, code) => {
    const { errors } = await asOwner(query)
    expect(errors).toMatchObject([
      { extensions: { code, requestId: expect.stringMatching(/^[0-9a-f-]{36}$/) } },
    ])
    const id = String(errors[0]?.extensions.requestId)
    await until(
      'line in the log',
      () =>
        project.log.some(({ text }) => text.includes(id) && text.includes(`"code":"${code}"`)) || undefined,
    )
  })
})

describe('the way in', () => {
  it('answers a browser’s preflight', async () => {
    const reply = await fetch(graphqlUrl(project), { method: 'OPTIONS' })
    expect(reply.status).toBe(204)
    expect(reply.headers.get('access-control-allow-methods')).toContain('POST')
    expect(Number(reply.headers.get('access-control-max-age'))).toBeGreaterThanOrEqual(600)
  })

  it('takes POST alone, so that no link can make a browser act', async () => {
    const url = `${graphqlUrl(project)}?query=${encodeURIComponent('{ isOperator }')}`
    const reply = await fetch(url, { headers: cast.credentials('owner') })
    expect(reply.status).toBe(405)
    expect(await reply.json()).toMatchObject({ code: 'method_not_allowed' })
  })

  it.each<[string, string, number, string]>([
    ['is no JSON', '{', 400, 'invalid_json'],
    ['is a list of operations', '[{"query": "{ isOperator }"}]', 400, 'invalid_body'],
    ['has no query', '{}', 400, 'invalid_body'],
    [
      'is nested too deeply',
      `{"query": "{ isOperator }", "variables": {"x": ${'['.repeat(30_000)}${']'.repeat(30_000)}}}`,
      400,
      'invalid_body',
    ],
    ['has a field that nobody knows', '{"query": "{ isOperator }", "x": 1}', 400, 'invalid_body'],
    ['is too large', JSON.stringify({ query: ' '.repeat(70_000) }), 413, 'body_too_large'],
  ])('refuses a body that %s', async (_what, body, status, code) => {
    const reply = await fetch(graphqlUrl(project), {
      method: 'POST',
      headers: cast.credentials('owner'),
      body,
    })
    expect(reply.status).toBe(status)
    expect(await reply.json()).toMatchObject({ code })
  })

  it('says what to accept to whom accepts nothing that it has', async () => {
    const subscription = `subscription { provisioningProgress(organizationId: "${cast.organizationId}") { overall } }`
    for (const [accept, query] of [
      ['application/json', subscription],
      ['text/html', '{ isOperator }'],
    ] as const) {
      const reply = await fetch(graphqlUrl(project), {
        method: 'POST',
        headers: { ...cast.credentials('owner'), accept },
        body: JSON.stringify({ query }),
      })
      expect(reply.status).toBe(406)
      expect(await reply.json()).toMatchObject({
        code: 'not_acceptable',
        detail: expect.stringContaining('text/event-stream'),
      })
    }
  })

  it('takes the operation that is named', async () => {
    const reply = await post(
      project,
      cast.credentials('owner'),
      JSON.stringify({ query: 'query A { isOperator } query B { __typename }', operationName: 'B' }),
    )
    expect(reply.data).toEqual({ __typename: 'Query' })
  })
})

describe('every error has a code of the catalogue', () => {
  it.each<[string, string, Record<string, unknown> | undefined]>([
    ['a text that is no GraphQL', '{ nope', undefined],
    ['a field that does not exist', '{ nope }', undefined],
    ['an argument that is missing', '{ provisioningStatus { overall } }', undefined],
    [
      'a variable that is missing',
      'query ($id: ID!) { provisioningStatus(organizationId: $id) { overall } }',
      {},
    ],
    [
      'a variable of another type',
      'query ($first: Int!) { provisioningEvents(organizationId: "x", first: $first) { id } }',
      { first: 'many' },
    ],
    ['a sort order that is none', '{ tenants(sort: RANDOM) { nodes { id } } }', undefined],
    ['a time that is none', '{ tenantHealthHistory(organizationId: "x", since: "soon") { at } }', undefined],
    [
      'a time that other programs read',
      '{ tenantHealthHistory(organizationId: "x", since: "hello 1") { at } }',
      undefined,
    ],
    [
      'a year that is none',
      '{ tenantHealthHistory(organizationId: "x", since: "0000-01-01T00:00:00Z") { at } }',
      undefined,
    ],
    ['an argument nested thousands deep', `{ tenants(filter: ${'['.repeat(15_000)}`, undefined],
    ['an operation that is not there', 'fragment X on Query { isOperator }', undefined],
  ])('for %s: invalid_query', async (_what, query, variables) => {
    const reply = await asOwner(query, variables)
    expect(codes(reply)).toContain('invalid_query')
    expect(new Set(codes(reply)).size).toBe(1)
    expect(reply.errors[0]?.message).toMatch(/\w/)
    expect(reply.data ?? null).toBeNull()
  })

  it('and is answered 400 to who accepts application/graphql-response+json', async () => {
    const reply = await fetch(graphqlUrl(project), {
      method: 'POST',
      headers: { ...cast.credentials('owner'), accept: 'application/graphql-response+json' },
      body: JSON.stringify({ query: '{ nope }' }),
    })
    expect(reply.status).toBe(400)
  })

  it('for a database that does not answer: database_unavailable, without details', async () => {
    const gateway = await project.startSecondGateway({
      DATABASE_POOLER_URL: 'postgresql://postgres:postgres@127.0.0.1:9/postgres',
    })
    const reply = await fetch(`${gateway.url}/functions/v1/graphql`, {
      method: 'POST',
      headers: { apikey: project.keys.secretKey },
      body: JSON.stringify({ query: '{ isOperator }' }),
    })
    const text = await reply.text()
    expect(JSON.parse(text).errors).toMatchObject([{ extensions: { code: 'database_unavailable' } }])
    expect(text).not.toMatch(/127\.0\.0\.1|ECONN|postgres:/)
  })

  it('for a bug: internal_error, and the details are in the function’s log alone', async () => {
    await project.sql`alter table public.tenant_alerts rename column kind to kin`
    const reply = await asOwner('{ tenantAlerts { id } }')
    await project.sql`alter table public.tenant_alerts rename column kin to kind`
    expect(codes(reply)).toEqual(['internal_error'])
    expect(reply.text).not.toMatch(/kind|exist|\.ts\b|stack/)
    expect(project.log.map(({ text }) => text).join('\n')).toMatch(/a\.kind does not exist/)
  })
})

describe('an operation that asks for too much is refused', () => {
  const id = '00000000-0000-4000-8000-000000000000'
  const eventFields =
    'id eventType resourceType resourceId status errorMessage metadata startedAt completedAt cursor'
  const aliased = (count: number, field: (n: number) => string) =>
    Array.from({ length: count }, (_, n) => `a${n}: ${field(n)}`).join(' ')
  const events = (size: string) => `provisioningEvents(organizationId: "${id}", ${size}) { ${eventFields} }`

  it.each<[string, string, Record<string, unknown>?]>([
    [
      'pages that are many times too large',
      `{ provisioningEvents(organizationId: "${id}", first: 9999) { id eventType } }`,
    ],
    ['too many pages', `{ ${aliased(20, () => events('first: 100'))} }`],
    [
      'too many pages whose size is a variable',
      `query ($n: Int!) { ${aliased(20, () => events('first: $n'))} }`,
      { n: 100 },
    ],
    ['too many pages of the usual size', `{ ${aliased(30, () => events(`after: null`))} }`],
    [
      'too many pages whose size is in an object',
      `query ($page: PageInput) { ${aliased(60, () => 'tenants(page: $page) { nodes { id name } }')} }`,
      { page: { first: 100 } },
    ],
    [
      'the longest histories',
      `{ ${aliased(9, () => `tenantHealthHistory(organizationId: "${id}") { at status }`)} }`,
    ],
    ['hundreds of aliases', `{ ${aliased(900, () => 'isOperator')} }`],
    [
      'more fields than go into one statement',
      `{ ${aliased(61, (n) => `provisioningEvents(organizationId: "${id}", first: ${n + 1}) { id }`)} }`,
    ],
    ['fragments that double sixteen times', doublingFragments(16)],
    [
      'a type of a type of a type',
      `{ __type(name: "Query") { fields { type ${'{ ofType '.repeat(8)} { name } ${'}'.repeat(8)} } } }`,
    ],
    [
      'the schema, many times over',
      `{ __schema { ${aliased(15, () => 'types { ...B }')} } }
       fragment B on __Type { ${aliased(15, (n) => `fields { b${n}: name }`)} }`,
    ],
    ['a type, many times over', `{ ${aliased(15, () => '__type(name: "Query") { name }')} }`],
  ])('%s', async (what, query, variables) => {
    const refused = new Set(codes(await asOwner(query, variables)))
    // More tokens than the parser takes are no operation at all.
    expect([['query_too_complex'], ['invalid_query']]).toContainEqual([...refused])
    if (what !== 'hundreds of aliases') expect([...refused]).toEqual(['query_too_complex'])
  })

  it('and does not do more than a few things that are written down', async () => {
    const audited = async () => {
      const [row] = await project.sql<
        { count: number }[]
      >`select count(*)::int as count from public.audit_logs`
      return row?.count ?? 0
    }
    const before = await audited()
    const reply = await asOwner(
      `{ ${aliased(40, () => `tenantConnectionInfo(organizationId: "${cast.organizationId}", revealPassword: true) { host }`)} }`,
    )
    expect(new Set(codes(reply))).toEqual(new Set(['query_too_complex']))
    expect((await audited()) - before).toBe(10)
  })

  it.each<[string, string]>([
    ['what a client asks of the schema', getIntrospectionQuery()],
    ['a full page', `{ ${events('first: 100')} }`],
    [
      'a full page in a fragment',
      `{ provisioningEvents(organizationId: "${id}", first: 100) { ...E } } fragment E on ProvisioningEvent { ${eventFields} }`,
    ],
    [
      'fragments that stand for few levels',
      `{ myOrganizations { ...Card } } fragment Card on Organization { name provisioning { ...State } }
       fragment State on ProvisioningStatus { steps { ...Step } } fragment Step on StepStatus { error { ...Error } }
       fragment Error on ProvisioningError { code ...Words } fragment Words on ProvisioningError { message }`,
    ],
    [
      'the longest history',
      `{ tenantHealthHistory(organizationId: "${id}") { at status checks available availability minLatencyMs medianLatencyMs p95LatencyMs sizeBytes } }`,
    ],
    [
      'all of somebody’s organizations',
      `{ myOrganizations { id name slug plan provisioningStatus events(first: 10) { ${eventFields} }
         provisioning { overall percent services { service status error { message } } steps { step status attempts error { code message } } }
         health { status reasons { code message } metrics { latencyMs sizeBytes } } } }`,
    ],
  ])('but not %s', async (_what, query) => {
    expect((await asOwner(query)).errors).toEqual([])
  })
})

describe('a text that the database cannot keep is the caller’s mistake, and of that field alone', () => {
  it.each<[string, string, Record<string, unknown>?]>([
    ['NUL', '{ isOperator tenants(filter: {search: "\\u0000"}) { nodes { id } } }'],
    [
      'half a pair',
      'query ($s: String) { isOperator tenants(filter: {search: $s}) { nodes { id } } }',
      { s: '\ud800' },
    ],
    [
      'a year that Postgres does not know',
      `query ($c: String) { isOperator provisioningEvents(organizationId: "00000000-0000-4000-8000-000000000000", after: $c) { id } }`,
      { c: cursor('0000-01-01T00:00:00Z') },
    ],
    [
      'an offset that Postgres does not know',
      `query ($c: String) { isOperator provisioningEvents(organizationId: "00000000-0000-4000-8000-000000000000", after: $c) { id } }`,
      { c: cursor('2026-01-01T00:00:00+23:59') },
    ],
  ])('%s', async (_what, query, variables) => {
    const reply = await ask(project, cast.credentials('service'), query, variables)
    expect(codes(reply)).toEqual(['invalid_argument'])
    expect(reply.errors[0]?.path).not.toEqual(['isOperator'])
  })
})

function cursor(at: string): string {
  return btoa(JSON.stringify([at, '00000000-0000-4000-8000-000000000000']))
}

/** Fragments within fragments: each asks twice for the next one. */
function doublingFragments(levels: number): string {
  const fragments = Array.from({ length: levels }, (_, n) => {
    const next = n + 1 === levels ? 'Z' : `F${n + 1}`
    return `fragment F${n} on Organization { ...${next} ... on Organization { ...${next} } }`
  })
  return `{ myOrganizations { ...F0 } } ${fragments.join(' ')} fragment Z on Organization { id }`
}
