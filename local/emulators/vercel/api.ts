import { z } from 'zod'
import type { Clock } from '../clock.ts'
import type { ProviderRequest, Reply } from '../http/exchange.ts'
import {
  badRequest,
  githubNotInstalled,
  nameTaken,
  notAuthorized,
  notFound,
  paymentRequired,
  VercelApiError,
} from './errors.ts'
import {
  type DeploymentRecord,
  deploymentJson,
  deploymentListItemJson,
  type ProjectRecord,
  projectJson,
  TARGETS,
  VARIABLE_TYPES,
  type VariableRecord,
  variableJson,
} from './records.ts'
import type { Matched, OperationId } from './routes.ts'
import type { VercelStore } from './store.ts'

export interface VercelTimings {
  /** How long a request for a project takes, in milliseconds. */
  readonly createMs: number
  /** How long a deployment waits, and then builds, in milliseconds. */
  readonly queueMs: number
  readonly buildMs: number
}

export interface VercelApiParts {
  readonly store: VercelStore
  readonly timings: VercelTimings
  readonly limits: { readonly maxProjects: number }
  readonly clock: Clock
  readonly team: string
  /** GitHub's id of a repository that Vercel's GitHub App is installed for; undefined for one that it does not see. */
  readonly repositoryId: (fullName: string) => number | undefined
  /** Why the next build fails; undefined for one that succeeds. */
  readonly nextFailure: () => { readonly code: string; readonly message: string } | undefined
  readonly pause: (milliseconds: number) => Promise<void>
}

interface Call {
  readonly request: ProviderRequest
  readonly path: Matched['path']
}

/** As in the documentation of POST /v11/projects: at most 100, small letters, digits, '.', '_' and '-', and never '---'. */
const projectName = z
  .string()
  .max(100)
  .regex(/^(?!.*---)[a-z0-9._-]+$/)
const variable = z.object({
  key: z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,255}$/),
  value: z.string().max(65_536),
  type: z.enum(VARIABLE_TYPES),
  target: z.array(z.enum(TARGETS)).min(1),
  comment: z.string().max(500).optional(),
})
const createProjectBody = z.strictObject({
  name: projectName,
  framework: z.string().nullable().optional(),
  gitRepository: z.strictObject({ type: z.literal('github'), repo: z.string() }).optional(),
})
const createVariablesBody = z.union([z.array(variable), variable.transform((one) => [one])])
const createDeploymentBody = z.strictObject({
  name: z.string(),
  project: z.string(),
  target: z.enum(['production', 'staging']).optional(),
  meta: z.record(z.string(), z.string()).default({}),
  gitSource: z.union([
    z.strictObject({ type: z.literal('github'), repoId: z.union([z.number(), z.string()]), ref: z.string() }),
    z.strictObject({ type: z.literal('github'), org: z.string(), repo: z.string(), ref: z.string() }),
  ]),
})

/** The operations of Vercel's API that the emulator performs. */
export class VercelApi {
  readonly #parts: VercelApiParts

  readonly #handlers: Readonly<Record<OperationId, (call: Call) => Reply | Promise<Reply>>> = {
    getTeam: ({ path }) => this.#getTeam(path.team ?? ''),
    createProject: (call) => this.#createProject(call),
    getProjects: (call) => this.#listProjects(call),
    getProject: (call) => ok(projectJson(this.#project(call), this.#parts.team)),
    deleteProject: (call) => this.#deleteProject(this.#project(call)),
    createProjectEnv: (call) => this.#createVariables(this.#project(call), call),
    filterProjectEnvs: (call) => ok({ envs: this.#project(call).variables.map(variableJson) }),
    createDeployment: (call) => this.#createDeployment(call),
    getDeployment: (call) => this.#getDeployment(call),
    getDeployments: (call) => this.#listDeployments(call),
  }

  constructor(parts: VercelApiParts) {
    this.#parts = parts
  }

  /** @throws VercelApiError */
  async perform({ operation, path }: Matched, request: ProviderRequest): Promise<Reply> {
    // Without a team the personal account would be meant, in which the token has nothing.
    if (operation !== 'getTeam' && request.query.get('teamId') !== this.#parts.team) throw notAuthorized()
    return this.#handlers[operation]({ request, path })
  }

  #getTeam(team: string): Reply {
    if (team !== this.#parts.team) throw notAuthorized()
    return ok({ id: team, slug: 'local', name: 'Local', createdAt: 0 })
  }

  async #createProject({ request }: Call): Promise<Reply> {
    const { store, clock, limits, timings, team, repositoryId, pause } = this.#parts
    const { name, framework = null, gitRepository } = parse(createProjectBody, request)
    await pause(timings.createMs)
    if (store.project(name)) throw nameTaken(name)
    if (store.projects().length >= limits.maxProjects) throw paymentRequired()
    const repoId = gitRepository && repositoryId(gitRepository.repo)
    if (gitRepository && repoId === undefined) throw githubNotInstalled(gitRepository.repo)
    const [org = '', repo = ''] = gitRepository?.repo.split('/') ?? []
    const now = clock()
    const made = store.saveProject({
      id: newId('prj'),
      name,
      framework,
      link: repoId === undefined ? null : { org, repo, repoId },
      createdAt: now,
      updatedAt: now,
      variables: [],
    })
    return ok(projectJson(made, team))
  }

  #listProjects({ request: { query } }: Call): Reply {
    const { store, team } = this.#parts
    const search = query.get('search')
    const found = store.projects().filter(({ name }) => search === null || name.includes(search))
    const newestFirst = found.reverse()
    const { page, pagination } = pageOf(newestFirst, query.get('from'), query.get('limit'))
    return ok({ projects: page.map((project) => projectJson(project, team)), pagination })
  }

  #deleteProject(project: ProjectRecord): Reply {
    this.#parts.store.removeProject(project)
    return { status: 204, body: undefined }
  }

  #createVariables(project: ProjectRecord, { request }: Call): Reply {
    const wanted = parse(createVariablesBody, request)
    const upsert = request.query.get('upsert') === 'true'
    const now = this.#parts.clock()
    let variables: readonly VariableRecord[] = project.variables
    const created: VariableRecord[] = []
    for (const { key, value, type, target } of wanted) {
      // https://vercel.com/docs/environment-variables/sensitive-environment-variables
      if (type === 'sensitive' && target.includes('development'))
        throw badRequest('You cannot set a Sensitive Environment Variable’s target to development.')
      const same = variables.find(
        (each) => each.key === key && each.target.some((one) => target.includes(one)),
      )
      if (same && !upsert)
        throw new VercelApiError(
          400,
          'ENV_CONFLICT',
          `The Environment Variable "${key}" already exists for the target ${target.join(', ')}.`,
        )
      const made: VariableRecord = {
        id: same?.id ?? newId('env'),
        key,
        value,
        type,
        target,
        createdAt: same?.createdAt ?? now,
        updatedAt: now,
      }
      variables = [...variables.filter((each) => each !== same), made]
      created.push(made)
    }
    this.#parts.store.saveProject({ ...project, variables, updatedAt: now })
    return { status: 201, body: { created: created.map(variableJson), failed: [] } }
  }

  #createDeployment({ request }: Call): Reply {
    const { store, clock, timings, nextFailure } = this.#parts
    const { project: wanted, target = null, meta, gitSource } = parse(createDeploymentBody, request)
    const project = store.project(wanted)
    if (!project) throw notFound('Project')
    const { link } = project
    const isLinked =
      link !== null &&
      ('repoId' in gitSource
        ? String(gitSource.repoId) === String(link.repoId)
        : `${gitSource.org}/${gitSource.repo}` === `${link.org}/${link.repo}`)
    // Vercel's wording for this one is not known.
    if (!isLinked) throw badRequest('The project is not linked to the repository of the git source.')
    const now = clock()
    const id = newId('dpl')
    const made: DeploymentRecord = {
      id,
      projectId: project.id,
      name: project.name,
      url: `${project.name}-${id.slice(-9).toLowerCase()}-local.vercel.app`,
      target: target === 'production' ? target : null,
      meta,
      ref: gitSource.ref,
      createdAt: now,
      buildingAt: now + timings.queueMs,
      endsAt: now + timings.queueMs + timings.buildMs,
      canceledAt: null,
      failure: nextFailure() ?? null,
    }
    store.saveDeployment(made)
    return ok(deploymentJson(made, project, now))
  }

  #getDeployment({ path }: Call): Reply {
    const deployment = this.#parts.store.deployment(path.deployment ?? '')
    const project = deployment && this.#parts.store.project(deployment.projectId)
    if (!deployment || !project) throw notFound('Deployment')
    return ok(deploymentJson(deployment, project, this.#parts.clock()))
  }

  #listDeployments({ request: { query } }: Call): Reply {
    const { store, clock } = this.#parts
    const project = store.project(query.get('projectId') ?? '')
    const all = project ? store.deployments().filter(({ projectId }) => projectId === project.id) : []
    const { page, pagination } = pageOf(all.reverse(), query.get('until'), query.get('limit'))
    return ok({
      deployments: project ? page.map((each) => deploymentListItemJson(each, project, clock())) : [],
      pagination,
    })
  }

  #project({ path }: Call): ProjectRecord {
    const project = this.#parts.store.project(path.project ?? '')
    if (!project) throw notFound('Project')
    return project
  }
}

function ok(body: unknown): Reply {
  return { status: 200, body }
}

/** `prj_` and the like, with 24 letters and digits. */
function newId(prefix: string): string {
  return `${prefix}_${crypto.randomUUID().replaceAll('-', '').slice(0, 24)}`
}

/** @throws VercelApiError 400 */
function parse<T>(schema: z.ZodType<T>, { body }: ProviderRequest): T {
  let value: unknown
  try {
    value = JSON.parse(body)
  } catch {
    throw badRequest('Invalid JSON')
  }
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const [issue] = result.error.issues
  throw badRequest(
    `Invalid request: \`${issue?.path.join('.') || 'body'}\` ${issue?.message ?? 'is invalid'}.`,
  )
}

/** Pages go by time: the next one begins with what was made before the last one of this. */
function pageOf<T extends { readonly createdAt: number }>(
  newestFirst: readonly T[],
  from: string | null,
  limit: string | null,
) {
  const size = Math.min(100, Math.max(1, Number(limit ?? 20) || 20))
  const rest = from === null ? newestFirst : newestFirst.filter(({ createdAt }) => createdAt < Number(from))
  // Several of one millisecond stay together, so that none is lost between two pages.
  const edge = rest[size - 1]?.createdAt
  const page = rest.filter(({ createdAt }, index) => index < size || createdAt === edge)
  const last = page.at(-1)
  const next = last && page.length < rest.length ? last.createdAt : null
  return { page, pagination: { count: page.length, next, prev: newestFirst[0]?.createdAt ?? null } }
}
