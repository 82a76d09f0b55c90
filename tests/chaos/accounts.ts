import { createApiClient, type ProjectListItem } from '@neondatabase/api-client'
import Stripe from 'stripe'
import { z } from 'zod'
import { connect } from '../../shared/kernel/database/client.ts'
import { github } from '../../shared/services/github/index.ts'
import type { Inventory } from '../../shared/services/inventory.ts'
import { n8n } from '../../shared/services/n8n/index.ts'
import { supabase } from '../../shared/services/supabase/index.ts'
import { vercel } from '../../shared/services/vercel/index.ts'
import { emulatorKey, emulatorVariables } from '../../tools/emulators.ts'
import { type ChaosProject, DATABASE, NEON_KEY, STRIPE_KEY } from './project.ts'

const NEON_PAGE = 400

/** What there is at the providers, by the organization that it carries the id of. */
export interface Accounts {
  readonly customers: ReadonlyMap<string, readonly string[]>
  readonly projects: ReadonlyMap<string, readonly string[]>
  /** What a tenant with a Supabase project has, by kind in tenant_resources. Empty in the other tier. */
  readonly things: ReadonlyMap<string, ReadonlyMap<string, readonly string[]>>
  /** Their names, with whether they are active. */
  readonly workflows: ReadonlyMap<string, readonly string[]>
}

/** Reads both accounts as a whole, with their rate limits lifted. */
export async function readAccounts(project: ChaosProject): Promise<Accounts> {
  const unlimited = Number.POSITIVE_INFINITY
  project.neon.setLimits({ requestsPerMinute: unlimited, requestsPerSecondPerRoute: unlimited })
  project.stripe.setLimits({ requestsPerSecond: unlimited })
  const customers = await listCustomers(project)
  const projects = await listProjects(project)
  return {
    customers: group(customers.map(({ id, metadata }) => [metadata.organization_id ?? `nobody (${id})`, id])),
    projects: group(projects.map(({ id, name }) => [name.replace(/^org-/, ''), id])),
    things: project.tier === 'project' ? await listThings(project) : new Map(),
    workflows: project.tier === 'project' ? await listWorkflows(project) : new Map(),
  }
}

/** As reconciliation lists them. */
async function listThings(project: ChaosProject): Promise<Map<string, Map<string, string[]>>> {
  const sql = connect({ SUPABASE_DB_URL: project.server.url(DATABASE, 'postgres') })
  try {
    const things = new Map<string, Map<string, string[]>>()
    for (const [service, { url }] of [
      [supabase, project.supabase],
      [github, project.github],
      [vercel, project.vercel],
      [n8n, project.n8n],
    ] as const) {
      const { inventories } = service.connect({ variables: emulatorVariables(service, url), sql })
      for (const [kind, inventory] of Object.entries(inventories)) things.set(kind, await listAll(inventory))
    }
    return things
  } finally {
    await sql.end({ timeout: 1 })
  }
}

async function listAll(inventory: Inventory): Promise<Map<string, string[]>> {
  const pairs: (readonly [string, string])[] = []
  let cursor: string | null = null
  do {
    const page = await inventory.page(cursor)
    if (!page.ok) throw new Error(page.failure.message)
    for (const { organizationId, resourceId } of page.value.resources)
      if (organizationId !== null) pairs.push([organizationId, resourceId])
    cursor = page.value.nextCursor
  } while (cursor !== null)
  return group(pairs)
}

const workflowPage = z.object({
  data: z.array(z.object({ name: z.string(), active: z.boolean() })),
  nextCursor: z.string().nullable(),
})

async function listWorkflows({ n8n: { url } }: ChaosProject): Promise<Map<string, string[]>> {
  const pairs: (readonly [string, string])[] = []
  let cursor: string | null = null
  do {
    const after: string = cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`
    const reply = await fetch(`${url}/api/v1/workflows?limit=250${after}`, {
      headers: { 'x-n8n-api-key': emulatorKey(n8n) },
    })
    const page = workflowPage.parse(await reply.json())
    for (const { name, active } of page.data)
      pairs.push([
        name.slice('client-'.length).split(' ')[0] ?? '',
        `${name} ${active ? 'active' : 'inactive'}`,
      ])
    cursor = page.nextCursor
  } while (cursor !== null)
  return group(pairs)
}

async function listCustomers({ stripe }: ChaosProject): Promise<Stripe.Customer[]> {
  const { host, port } = stripe
  const client = new Stripe(STRIPE_KEY, { host, port, protocol: 'http', maxNetworkRetries: 0 })
  const customers: Stripe.Customer[] = []
  for await (const customer of client.customers.list({ limit: 100 })) customers.push(customer)
  return customers
}

async function listProjects({ neon }: ChaosProject): Promise<ProjectListItem[]> {
  const client = createApiClient({ apiKey: NEON_KEY, baseURL: neon.url })
  const projects: ProjectListItem[] = []
  let cursor: string | undefined
  do {
    const { data } = await client.listProjects({ limit: NEON_PAGE, ...(cursor ? { cursor } : {}) })
    projects.push(...data.projects)
    cursor = data.projects.length < NEON_PAGE ? undefined : data.pagination?.cursor
  } while (cursor)
  return projects
}

function group(pairs: readonly (readonly [string, string])[]): Map<string, string[]> {
  const groups = new Map<string, string[]>()
  for (const [key, value] of pairs) groups.set(key, [...(groups.get(key) ?? []), value])
  return groups
}
