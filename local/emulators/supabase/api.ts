import { z } from 'zod'
import { type Clock, isoSeconds } from '../clock.ts'
import type { Reply } from '../http/exchange.ts'
import { pause } from '../pause.ts'
import type { TenantDatabases } from '../postgres/databases.ts'
import type { Connections } from './connections.ts'
import type { CheckedInput, MatchedOperation, OperationName } from './contract.ts'
import * as refusal from './errors.ts'
import type { SupabaseLimits, SupabaseTimings } from './options.ts'
import { legacyKeys, newKey, newRef, type ProjectRecord, statusOf, transition } from './project.ts'
import type { ProjectStore } from './project-store.ts'
import { regionOfGroup, regionsJson } from './regions.ts'
import {
  healthJson,
  keyJson,
  organizationProjectJson,
  poolerJson,
  projectJson,
  projectWithDatabaseJson,
  type View,
} from './representation.ts'

type Path = MatchedOperation['path']
type Handler = (path: Path, input: CheckedInput) => Reply | Promise<Reply>

export interface SupabaseApiParts {
  readonly store: ProjectStore
  readonly databases: TenantDatabases
  readonly connections: Connections
  readonly timings: SupabaseTimings
  readonly limits: SupabaseLimits
  readonly clock: Clock
  readonly organizationSlug: string
  readonly host: string
  readonly pooledHost: string
  readonly postgresPort: number
}

const DEFAULT_REGION = 'us-east-1'
const PAID_SIZE = 'micro'
const FREE_SIZE = 'nano'

/* The contract has already refused what it does not allow; these schemas pick the fields that the emulator knows. */

const createBody = z.object({
  db_pass: z.string(),
  name: z.string(),
  organization_slug: z.string(),
  region: z.string().optional(),
  region_selection: z
    .union([
      z.object({ type: z.literal('specific'), code: z.string() }),
      z.object({ type: z.literal('smartGroup'), code: z.enum(['americas', 'emea', 'apac']) }),
    ])
    .optional(),
  desired_instance_size: z.string().optional(),
})
const keyBody = z.object({ type: z.enum(['publishable', 'secret']), name: z.string() })
const passwordBody = z.object({ password: z.string() })
const secretsBody = z.array(z.object({ name: z.string(), value: z.string() }))
const healthQuery = z.object({
  services: z.union([z.array(z.string()), z.string()]).transform((named) => [named].flat()),
})
const keysQuery = z.object({ reveal: z.boolean().optional() })
const listQuery = z.object({
  offset: z.number().default(0),
  limit: z.number().default(100),
  search: z.string().default(''),
  sort: z.enum(['name_asc', 'name_desc', 'created_asc', 'created_desc']).default('name_asc'),
  statuses: z.string().optional(),
})

/** The operations of the Management API that the emulator performs. */
export class SupabaseApi {
  readonly #parts: SupabaseApiParts
  #creating = 0

  readonly #handlers: Readonly<Record<OperationName, Handler>> = {
    v1ListAllProjects: () => ok(this.#all((project, view) => projectWithDatabaseJson(project, view))),
    v1CreateAProject: (_path, { body }) => this.#create(createBody.parse(body)),
    v1GetAvailableRegions: () => ok(regionsJson()),
    v1GetProject: (path) => ok(projectWithDatabaseJson(this.#find(path), this.#view())),
    v1DeleteAProject: (path) => this.#delete(this.#find(path)),
    v1GetServicesHealth: (path, { query }) =>
      ok(healthJson(this.#find(path), healthQuery.parse(query).services, this.#view())),
    v1GetProjectApiKeys: (path, { query }) => this.#keys(this.#find(path), keysQuery.parse(query).reveal),
    v1CreateProjectApiKey: (path, { body }) => this.#addKey(this.#find(path), keyBody.parse(body)),
    v1DeleteProjectApiKey: (path) => this.#deleteKey(this.#find(path), path.id ?? ''),
    v1UpdateDatabasePassword: (path, { body }) => this.#setPassword(this.#find(path), body),
    v1PauseAProject: (path) => this.#pause(this.#find(path)),
    v1RestoreAProject: (path) => this.#restore(this.#find(path)),
    v1GetPoolerConfig: (path) => ok([poolerJson(this.#find(path), this.#view())]),
    v1ListAllSecrets: (path) => this.#listSecrets(this.#find(path)),
    v1BulkCreateSecrets: (path, { body }) => this.#addSecrets(this.#find(path), secretsBody.parse(body)),
    v1BulkDeleteSecrets: (path, { body }) =>
      this.#deleteSecrets(this.#find(path), z.array(z.string()).parse(body)),
    v1ListAllOrganizations: () => ok([this.#organization()]),
    v1GetAnOrganization: (path) => this.#getOrganization(path),
    v1GetAllProjectsForOrganization: (path, { query }) => this.#list(path, query),
  }

  constructor(parts: SupabaseApiParts) {
    this.#parts = parts
  }

  /** Performs an operation whose input the contract allows. @throws SupabaseApiError */
  async perform(operation: MatchedOperation, method: string, input: CheckedInput): Promise<Reply> {
    const { timings, limits } = this.#parts
    if (method === 'GET') await pause(timings.readMs)
    else if (limits.mayWrite === 0) throw refusal.forbidden()
    return this.#handlers[operation.name](operation.path, input)
  }

  /** What the Data API of a project answers to whoever has this key. */
  askDataApi(ref: string, apiKey: string): Reply {
    const project = this.#parts.store.get(ref)
    if (!project || !statusOf(project, this.#now()).startsWith('ACTIVE_'))
      return { status: 540, body: { message: 'The project is paused or does not exist' } }
    if (!project.keys.some(({ key }) => key === apiKey))
      return { status: 401, body: { message: 'Invalid API key' } }
    return ok({ swagger: '2.0' })
  }

  async #create(wanted: z.output<typeof createBody>): Promise<Reply> {
    const { limits, timings, store, databases, organizationSlug } = this.#parts
    if (wanted.organization_slug !== organizationSlug) throw refusal.notFound('Organization')
    if (limits.isOverdue > 0) throw refusal.paymentRequired()
    if (limits.isFree > 0 && wanted.desired_instance_size) throw refusal.instanceSizeRefused()
    this.#refuseOverFreeLimit()
    this.#creating++
    try {
      const [fresh] = await Promise.all([databases.claim(), pause(timings.createMs)])
      await databases.setPassword(fresh.physicalName, wanted.db_pass)
      const now = this.#now()
      const ref = newRef()
      const project: ProjectRecord = {
        ref,
        numericId: store.nextNumber(),
        name: wanted.name,
        region: regionOf(wanted),
        instanceSize: wanted.desired_instance_size ?? (limits.isFree > 0 ? FREE_SIZE : PAID_SIZE),
        createdAt: now,
        transition: transition('COMING_UP', 'ACTIVE_HEALTHY', now, timings.comingUpMs),
        unhealthy: [],
        keys: [
          ...legacyKeys(ref, now),
          ...(limits.hasLegacyKeysOnly > 0
            ? []
            : [newKey('publishable', 'default', now), newKey('secret', 'default', now)]),
        ],
        secrets: [],
        physicalName: fresh.physicalName,
      }
      return { status: 201, body: projectJson(store.save(project), this.#view()) }
    } finally {
      this.#creating--
    }
  }

  #refuseOverFreeLimit(): void {
    const { limits, store } = this.#parts
    const active = store.all().filter((project) => statusOf(project, this.#now()) !== 'INACTIVE').length
    if (limits.isFree > 0 && active + this.#creating >= limits.maxFreeProjects)
      throw refusal.freeProjectLimit(limits.maxFreeProjects)
  }

  /** At once and for good: there is no time in which it could be had back. */
  async #delete(project: ProjectRecord): Promise<Reply> {
    const { store, databases, connections } = this.#parts
    store.remove(project)
    connections.disconnect(project)
    await databases.drop(project.physicalName)
    return ok({ id: project.numericId, ref: project.ref, name: project.name })
  }

  #keys(project: ProjectRecord, reveal = false): Reply {
    if (reveal && this.#parts.limits.mayReveal === 0) throw refusal.forbidden()
    return ok(project.keys.map((key) => keyJson(key, reveal)))
  }

  #addKey(project: ProjectRecord, { type, name }: z.output<typeof keyBody>): Reply {
    const key = newKey(type, name, this.#now())
    this.#parts.store.save({ ...project, keys: [...project.keys, key] })
    return { status: 201, body: keyJson(key, true) }
  }

  #deleteKey(project: ProjectRecord, id: string): Reply {
    const key = project.keys.find((each) => each.id === id && each.type !== 'legacy')
    if (!key) throw refusal.notFound('API key')
    this.#parts.store.save({ ...project, keys: project.keys.filter((each) => each !== key) })
    return ok(keyJson(key, false))
  }

  async #setPassword(project: ProjectRecord, body: unknown): Promise<Reply> {
    await this.#parts.databases.setPassword(project.physicalName, passwordBody.parse(body).password)
    return ok({ message: 'Successfully updated database password' })
  }

  #pause(project: ProjectRecord): Reply {
    const { store, connections, timings, limits } = this.#parts
    if (limits.isFree === 0) throw refusal.pauseRefused()
    const status = statusOf(project, this.#now())
    if (!status.startsWith('ACTIVE_')) throw refusal.notPausable(status)
    connections.disconnect(project)
    const pausing = transition('PAUSING', 'INACTIVE', this.#now(), timings.pauseMs)
    store.save({ ...project, transition: pausing })
    return ok(undefined)
  }

  #restore(project: ProjectRecord): Reply {
    const { store, timings } = this.#parts
    const status = statusOf(project, this.#now())
    if (status !== 'INACTIVE') throw refusal.notPaused(status)
    this.#refuseOverFreeLimit()
    const restoring = transition('RESTORING', 'ACTIVE_HEALTHY', this.#now(), timings.restoreMs)
    store.save({ ...project, transition: restoring })
    return ok(undefined)
  }

  #listSecrets({ secrets }: ProjectRecord): Reply {
    return ok(
      secrets.map(({ name, value, updatedAt }) => ({ name, value, updated_at: isoSeconds(updatedAt) })),
    )
  }

  #addSecrets(project: ProjectRecord, added: z.output<typeof secretsBody>): Reply {
    const updatedAt = this.#now()
    const others = project.secrets.filter(({ name }) => !added.some((secret) => secret.name === name))
    const secrets = [...others, ...added.map((secret) => ({ ...secret, updatedAt }))]
    this.#parts.store.save({ ...project, secrets })
    return { status: 201, body: undefined }
  }

  #deleteSecrets(project: ProjectRecord, names: readonly string[]): Reply {
    this.#parts.store.save({
      ...project,
      secrets: project.secrets.filter(({ name }) => !names.includes(name)),
    })
    return ok(undefined)
  }

  #organization() {
    const { organizationSlug: slug } = this.#parts
    return { id: slug, slug, name: 'Local emulator' }
  }

  #getOrganization({ slug }: Path): Reply {
    if (slug !== this.#parts.organizationSlug) throw refusal.notFound('Organization')
    const plan = this.#parts.limits.isFree > 0 ? 'free' : 'pro'
    return ok({ id: slug, name: 'Local emulator', plan, opt_in_tags: [], allowed_release_channels: ['ga'] })
  }

  #list({ slug }: Path, query: unknown): Reply {
    if (slug !== this.#parts.organizationSlug) throw refusal.notFound('Organization')
    const { offset, limit, search, sort, statuses } = listQuery.parse(query)
    const [field, direction] = sort.split('_')
    const wanted = search.toLowerCase()
    const found = this.#all((project, view) => organizationProjectJson(project, view))
      .filter(({ name }) => name.toLowerCase().includes(wanted))
      .filter(({ status }) => statuses === undefined || statuses.split(',').includes(status))
    if (field === 'name') found.sort((a, b) => a.name.localeCompare(b.name))
    if (direction === 'desc') found.reverse()
    return ok({
      projects: found.slice(offset, offset + limit),
      pagination: { count: found.length, limit, offset },
    })
  }

  #all<T>(as: (project: ProjectRecord, view: View) => T): T[] {
    const view = this.#view()
    return this.#parts.store.all().map((project) => as(project, view))
  }

  #find({ ref }: Path): ProjectRecord {
    const project = this.#parts.store.get(ref ?? '')
    if (!project) throw refusal.notFound('Project')
    return project
  }

  #view(): View {
    const { organizationSlug, host, pooledHost, postgresPort, timings } = this.#parts
    const { servicesMs } = timings
    return { now: this.#now(), organizationSlug, host, pooledHost, postgresPort, servicesMs }
  }

  #now(): number {
    return this.#parts.clock()
  }
}

function regionOf({ region, region_selection: selection }: z.output<typeof createBody>): string {
  if (selection?.type === 'smartGroup') return regionOfGroup(selection.code)
  return selection?.code ?? region ?? DEFAULT_REGION
}

function ok(body: unknown): Reply {
  return { status: 200, body }
}
