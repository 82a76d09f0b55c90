// A program of a tenant's own uses the GraphQL endpoint with an API key: npm run tenants -- keys TENANT create "Example" --scope write
//   TENANT_GRAPHQL_URL=https://PROJECT.supabase.co/functions/v1/tenant-graphql TENANT_API_KEY=tdk_… npx tsx examples/tenant-graphql.ts
const { TENANT_GRAPHQL_URL = '', TENANT_API_KEY = '' } = process.env

async function request(query: string, variables: Readonly<Record<string, unknown>> = {}) {
  const reply = await fetch(TENANT_GRAPHQL_URL, {
    method: 'POST',
    headers: { authorization: `Bearer ${TENANT_API_KEY}`, 'content-type': 'application/json' },
    body: JSON.stringify({ query, variables }),
  })
  // 429 and 503 come with Retry-After: the limit of the key, or a database that is being brought up to date.
  if (!reply.ok)
    throw new Error(
      `${reply.status}, again in ${reply.headers.get('retry-after') ?? '–'} s: ${await reply.text()}`,
    )
  const { data, errors } = Object(await reply.json())
  if (errors) throw new Error(JSON.stringify(errors))
  return Object(data)
}

const { organizations } = await request('{ organizations(first: 1) { nodes { id } } }')
const [{ id: organizationId }] = organizations.nodes
const { createContact } = await request(
  `mutation ($contact: ContactInput!) {
     createContact(input: { contact: $contact }) { contact { id } } }`,
  { contact: { organizationId, firstName: 'Ada', lastName: 'Lovelace' } },
)
console.log('made', createContact.contact.id)

// All contacts with their companies and last activities, a page at a time.
let after: string | null = null
do {
  const { contacts } = await request(
    `query ($after: Cursor) { contacts(first: 50, after: $after, orderBy: [LAST_NAME_ASC]) {
       totalCount pageInfo { hasNextPage endCursor }
       nodes { firstName lastName company { name } activities(first: 3, orderBy: [CREATED_AT_DESC]) { nodes { type subject } } } } }`,
    { after },
  )
  for (const contact of contacts.nodes) console.log(contact.lastName, contact.company?.name ?? '–')
  after = contacts.pageInfo.hasNextPage ? contacts.pageInfo.endCursor : null
} while (after !== null)
