import type {
  ApiKeyResponse,
  CreateApiKeyBody,
  OrganizationProjectsResponse,
  SupavisorConfigResponse,
  V1CreateProjectBody,
  V1OrganizationSlugResponse,
  V1ProjectWithDatabaseResponse,
  V1ServiceHealthResponse,
  V1UpdatePasswordBody,
} from 'supabase-management-js'
import { z } from 'zod'
import { boundedFetch } from '../bounded-fetch.ts'

/** Below the shortest lease (45 s), so that a call ends before another worker may take the job over. */
export const SUPABASE_TIMEOUT_MS = 30_000
/** A list of a thousand projects has about 500 kB. */
const MAX_REPLY_BYTES = 16 * 1024 * 1024
/** What is looked at of an error's text: expressions are tried on it. */
const MAX_MESSAGE = 1_000

/** A reply that is no success. */
export class ManagementApiError extends Error {
  readonly status: number
  readonly headers: Headers
  constructor(status: number, message: string, headers: Headers) {
    super(message)
    this.status = status
    this.headers = headers
  }
}

export const HEALTH_SERVICES = ['auth', 'db', 'pooler', 'realtime', 'rest', 'storage'] as const

/**
 * The calls of the Management API that are needed. Types of requests and replies are those of the vendor's client library; its
 * functions are not used, for three reasons: they send through the global fetch, which Deno 2.9 lets repeat the request that
 * creates a project, and a second project is paid for; they read a reply however long it is; and its package names no licence, so that
 * it may not travel in the bundle of a function. Types leave nothing in a bundle.
 */
export interface ManagementApi {
  listProjects(): Promise<readonly ListedProject[]>
  searchProjects(slug: string, name: string, offset: number): Promise<FoundProjects>
  getProject(ref: string): Promise<ListedProject>
  createProject(body: V1CreateProjectBody): Promise<{ readonly ref: string }>
  deleteProject(ref: string): Promise<void>
  pauseProject(ref: string): Promise<void>
  restoreProject(ref: string): Promise<void>
  servicesHealth(ref: string): Promise<readonly ServiceHealth[]>
  apiKeys(ref: string): Promise<readonly ApiKey[]>
  createApiKey(ref: string, body: CreateApiKeyBody): Promise<void>
  deleteApiKey(ref: string, id: string): Promise<void>
  poolerConfig(ref: string): Promise<readonly Pooler[]>
  setDatabasePassword(ref: string, body: V1UpdatePasswordBody): Promise<void>
  getOrganization(slug: string): Promise<Organization>
}

/** What a reply must have, and what is taken of it; each is checked against the vendor's type. */
const project = z.object({
  ref: z.string(),
  name: z.string(),
  organization_slug: z.string(),
  region: z.string(),
  created_at: z.string(),
  status: z.string(),
  database: z.object({ host: z.string() }),
})
const created = z.object({ ref: z.string() })
const found = z.object({
  projects: z.array(z.object({ ref: z.string(), name: z.string(), inserted_at: z.string() })),
  pagination: z.object({ count: z.number() }),
})
const services = z.array(z.object({ name: z.string(), status: z.string() }))
const keys = z.array(
  z.object({
    id: z.string().nullish(),
    name: z.string(),
    type: z.string().nullish(),
    api_key: z.string().nullish(),
  }),
)
const pooler = z.array(
  z.object({
    database_type: z.string(),
    db_user: z.string(),
    db_host: z.string(),
    db_port: z.number(),
    db_name: z.string(),
  }),
)
const organization = z.object({ plan: z.string().optional() })

export type ListedProject = z.infer<typeof project>
export type FoundProjects = z.infer<typeof found>
export type ServiceHealth = z.infer<typeof services>[number]
export type ApiKey = z.infer<typeof keys>[number]
export type Pooler = z.infer<typeof pooler>[number]
export type Organization = z.infer<typeof organization>

/** Whether what the vendor describes has all that is read here. It is a matter of types alone. */
type Reads<Described extends Read, Read> = Described
export type Described = [
  Reads<V1ProjectWithDatabaseResponse, ListedProject>,
  Reads<OrganizationProjectsResponse, FoundProjects>,
  Reads<V1ServiceHealthResponse, ServiceHealth>,
  Reads<ApiKeyResponse, ApiKey>,
  Reads<SupavisorConfigResponse, Pooler>,
  Reads<V1OrganizationSlugResponse, Organization>,
]

/** @param signal ends what is under way. Its methods throw ManagementApiError, ZodError, and what fetch throws. */
export function managementApi(baseUrl: string, token: string, signal?: AbortSignal): ManagementApi {
  const send = boundedFetch(SUPABASE_TIMEOUT_MS, MAX_REPLY_BYTES, signal)
  const ask = async (method: string, path: string, body?: object): Promise<unknown> => {
    const reply = await send(`${baseUrl}/v1${path}`, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await reply.text()
    if (!reply.ok) throw new ManagementApiError(reply.status, messageIn(text), reply.headers)
    return text === '' ? undefined : JSON.parse(text)
  }
  const get = async <T>(path: string, schema: z.ZodType<T>) => schema.parse(await ask('GET', path))
  const of = (ref: string) => `/projects/${encodeURIComponent(ref)}`
  const organizationPath = (slug: string) => `/organizations/${encodeURIComponent(slug)}`
  return {
    listProjects: () => get('/projects', z.array(project)),
    searchProjects: (slug, name, offset) =>
      get(
        `${organizationPath(slug)}/projects?search=${encodeURIComponent(name)}&offset=${offset}&sort=created_asc`,
        found,
      ),
    getProject: (ref) => get(of(ref), project),
    createProject: async (body) => created.parse(await ask('POST', '/projects', body)),
    deleteProject: async (ref) => void (await ask('DELETE', of(ref))),
    pauseProject: async (ref) => void (await ask('POST', `${of(ref)}/pause`)),
    restoreProject: async (ref) => void (await ask('POST', `${of(ref)}/restore`)),
    servicesHealth: (ref) => {
      const named = HEALTH_SERVICES.map((name) => `services=${name}`).join('&')
      return get(`${of(ref)}/health?${named}`, services)
    },
    apiKeys: (ref) => get(`${of(ref)}/api-keys?reveal=true`, keys),
    createApiKey: async (ref, body) => void (await ask('POST', `${of(ref)}/api-keys`, body)),
    deleteApiKey: async (ref, id) =>
      void (await ask('DELETE', `${of(ref)}/api-keys/${encodeURIComponent(id)}`)),
    poolerConfig: (ref) => get(`${of(ref)}/config/database/pooler`, pooler),
    setDatabasePassword: async (ref, body) => void (await ask('PATCH', `${of(ref)}/database/password`, body)),
    getOrganization: (slug) => get(organizationPath(slug), organization),
  }
}

const errorBody = z.union([
  z.object({ message: z.string() }),
  z.object({ error: z.object({ message: z.string() }) }).transform(({ error }) => error),
])

function messageIn(text: string): string {
  try {
    return errorBody.parse(JSON.parse(text)).message.slice(0, MAX_MESSAGE)
  } catch {
    return ''
  }
}
