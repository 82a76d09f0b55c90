import { readFile } from 'node:fs/promises'
import { buildClientSchema, getIntrospectionQuery, type IntrospectionQuery } from 'graphql'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { printApiDocs, printSortedSchema } from '../../local/api-docs/print.ts'
import { startTestProject, type TestProject } from '../support/project.ts'
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
    const seen = printSortedSchema(buildClientSchema(introspection))
    const snapshot = await readFile(new URL('../../shared/graphql/schema.graphql', import.meta.url), 'utf8')
    expect(snapshot, 'run `npm run api-docs` and look at what changed').toBe(seen)
  })

  it('is described in docs/api.md as it is', async () => {
    const docs = await readFile(new URL('../../docs/api.md', import.meta.url), 'utf8')
    expect(docs, 'run `npm run api-docs`').toBe(printApiDocs())
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

describe('the way in', () => {
  it('answers a browser’s preflight', async () => {
    const reply = await fetch(graphqlUrl(project), { method: 'OPTIONS' })
    expect(reply.status).toBe(204)
    expect(reply.headers.get('access-control-allow-methods')).toContain('POST')
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

describe('an operation that asks for too much is refused before it runs', () => {
  const id = '00000000-0000-4000-8000-000000000000'
  it.each<[string, string]>([
    [
      'pages that are many times too large',
      `{ provisioningEvents(organizationId: "${id}", first: 9999) { id eventType } }`,
    ],
    [
      'hundreds of aliases',
      `{ ${Array.from({ length: 900 }, (_, n) => `a${n}: tenantAlerts { id kind message metadata }`).join(' ')} }`,
    ],
    [
      'more fields than go into one statement',
      `{ ${Array.from({ length: 61 }, (_, n) => `a${n}: provisioningEvents(organizationId: "${id}", first: ${n + 1}) { id }`).join(' ')} }`,
    ],
    ['a fragment in a fragment in a fragment', deepFragments(12)],
  ])('%s', async (_what, query) => {
    expect(new Set(codes(await asOwner(query)))).toEqual(new Set(['query_too_complex']))
  })

  it('but not what a client asks of the schema', async () => {
    expect((await asOwner(getIntrospectionQuery())).errors).toEqual([])
  })
})

/** Fragments within fragments: each level asks twice for the one below. */
function deepFragments(levels: number): string {
  const fragments = Array.from(
    { length: levels },
    (_, n) =>
      `fragment F${n} on Organization { ...${n + 1 === levels ? 'Z' : `F${n + 1}`} a${n}: provisioning { overall } }`,
  )
  return `{ myOrganizations { ...F0 } } ${fragments.join(' ')} fragment Z on Organization { id }`
}
