import type { SupabaseClient } from '@supabase/supabase-js'
import { z } from 'zod'
import type { Database } from '../../shared/generated/database-types.ts'
import { green } from '../../tools/command.ts'
import { supabaseClient } from '../../tools/supabase-client.ts'
import type { Stack } from '../stack.ts'

const CREATE = `mutation ($contact: ContactInput!) {
  createContact(input: { contact: $contact }) { contact { id } } }`
const CONTACTS = `{ contacts(first: 5, filter: { lastName: { equalTo: "Hopper" } }) {
  totalCount nodes { firstName lastName email } } }`

const contacts = z.object({
  contacts: z.object({
    totalCount: z.number(),
    nodes: z.array(z.object({ firstName: z.string(), lastName: z.string(), email: z.string() })),
  }),
})

/** Ann writes and reads through her tenant's endpoint with a key, and somebody else's key does not open it. */
export async function showEndpoint(stack: Stack, ann: SupabaseClient<Database>): Promise<void> {
  const organizationId = await ownOrganization(ann)
  const key = await makeKey(ann, organizationId)
  const ask = (by: string, query: string, variables?: object) =>
    fetch(`${stack.url}/functions/v1/tenant-graphql`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${by}`,
        'x-organization-id': organizationId,
        'content-type': 'application/json',
      },
      body: JSON.stringify({ query, variables }),
    })
  const contact = { organizationId, firstName: 'Grace', lastName: 'Hopper', email: 'grace@example.com' }
  await dataOf(await ask(key, CREATE, { contact }))
  console.log(`  ${green('✓')} mutation createContact with the key ${key.slice(0, 12)}…: written`)
  const { totalCount, nodes } = contacts.parse(await dataOf(await ask(key, CONTACTS))).contacts
  const [found] = nodes
  if (!found) throw new Error('The contact that was written cannot be read!')
  console.log(
    `  ${green('✓')} query contacts: ${found.firstName} ${found.lastName}, ${found.email}, ${totalCount} in all`,
  )
  const dan = supabaseClient(stack.url, stack.keys.publishableKey)
  const { error } = await dan.auth.signUp({ email: 'dan@example.com', password: crypto.randomUUID() })
  if (error) throw new Error(error.message)
  const refused = await ask(await makeKey(dan, await ownOrganization(dan)), CONTACTS)
  if (refused.status !== 403) throw new Error('Somebody else’s key opens the endpoint!')
  console.log(`  ${green('✓')} Dan’s key is refused there: 403 ${Object(await refused.json()).code}`)
}

async function ownOrganization(client: SupabaseClient<Database>): Promise<string> {
  return (await client.from('organizations').select('id').single().throwOnError()).data.id
}

async function makeKey(client: SupabaseClient<Database>, organizationId: string): Promise<string> {
  const wishes = { organization_id: organizationId, name: 'Demo', scope: 'write' }
  const { data } = await client.rpc('create_api_key', wishes).throwOnError()
  return z.object({ key: z.string() }).parse(data).key
}

async function dataOf(reply: Response): Promise<unknown> {
  const { data, errors } = Object(await reply.json())
  if (!data || errors) throw new Error(`The endpoint answered ${reply.status}: ${JSON.stringify(errors)}`)
  return data
}
