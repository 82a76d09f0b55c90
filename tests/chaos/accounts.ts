import { createApiClient, type ProjectListItem } from '@neondatabase/api-client'
import Stripe from 'stripe'
import { type ChaosProject, NEON_KEY, STRIPE_KEY } from './project.ts'

const NEON_PAGE = 400

/** What there is at the providers, by the organization that it carries the id of. */
export interface Accounts {
  readonly customers: ReadonlyMap<string, readonly string[]>
  readonly projects: ReadonlyMap<string, readonly string[]>
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
  }
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
