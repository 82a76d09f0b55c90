import type { Endpoints } from '@octokit/types'
import { z } from 'zod'
import { type Clock, isoSeconds } from '../clock.ts'
import type { ProviderRequest, Reply } from '../http/exchange.ts'
import { type Access, type Callers, demand, maySee } from './callers.ts'
import { GithubApiError, nameExists, notFound, readOnly, validationFailed, wrongJson } from './errors.ts'
import { fullJson, fullName, minimalJson, type RepositoryRecord } from './repository.ts'
import type { RepositoryStore } from './repository-store.ts'
import type { Matched, OperationId } from './routes.ts'
import type { SealedBoxes } from './sealed-boxes.ts'

export interface GithubTimings {
  /** How long a request for a repository takes, in milliseconds. */
  readonly createMs: number
  /** Until the template's content is in a new repository, in milliseconds. Until then it has no branch. */
  readonly fillMs: number
}

export interface GithubApiParts {
  readonly store: RepositoryStore
  readonly callers: Callers
  readonly boxes: SealedBoxes
  readonly timings: GithubTimings
  /** Repositories that the organization may have. */
  readonly limits: { readonly maxRepositories: number }
  readonly clock: Clock
  /** The one that there is. */
  readonly organization: string
  readonly pause: (milliseconds: number) => Promise<void>
}

interface Call {
  readonly request: ProviderRequest
  readonly path: Matched['path']
  /** Of the emulator, for the addresses in replies. */
  readonly origin: string
}

interface AuthorizedCall extends Call {
  readonly access: Access
}

/** The replies as GitHub's OpenAPI description has them, by way of the types that are made of it. */
type Data<Route extends keyof Endpoints> = Endpoints[Route]['response']['data']
/** What the description lets a body have. */
type Sent<Route extends keyof Endpoints> = {
  [Name in keyof Endpoints[Route]['parameters']]?: Endpoints[Route]['parameters'][Name] | undefined
}

const MAX_VARIABLE_BYTES = 48 * 1024
const MAX_SECRET_BYTES = 48 * 1024
const REPOSITORY_NAME = /^[A-Za-z0-9._-]{1,100}$/
const ENTRY_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/

const generateBody = z.object({
  owner: z.string().optional(),
  name: z.string(),
  description: z.string().max(350).optional(),
  include_all_branches: z.boolean().optional(),
  private: z.boolean().optional(),
}) satisfies z.ZodType<Sent<'POST /repos/{template_owner}/{template_repo}/generate'>>

const updateBody = z.object({
  name: z.string().optional(),
  description: z.string().max(350).optional(),
  archived: z.boolean().optional(),
  private: z.boolean().optional(),
}) satisfies z.ZodType<Sent<'PATCH /repos/{owner}/{repo}'>>

const variableBody = z.object({ name: z.string(), value: z.string() }) satisfies z.ZodType<
  Sent<'POST /repos/{owner}/{repo}/actions/variables'>
>
const variableChange = variableBody.partial()

const secretBody = z.object({ encrypted_value: z.string(), key_id: z.string() }) satisfies z.ZodType<
  Sent<'PUT /repos/{owner}/{repo}/actions/secrets/{secret_name}'>
>

/** The operations of GitHub's API that the emulator performs. */
export class GithubApi {
  readonly #parts: GithubApiParts

  readonly #public: Partial<Record<OperationId, (call: Call) => Reply>> = {
    'apps/get-authenticated': (call) => this.#getApp(call),
    'apps/get-org-installation': (call) => this.#getInstallation(call),
    'apps/create-installation-access-token': (call) => this.#createToken(call),
  }

  readonly #handlers: Partial<Record<OperationId, (call: AuthorizedCall) => Reply | Promise<Reply>>> = {
    'rate-limit/get': () => ok({ resources: {}, rate: {} }),
    'repos/list-for-org': (call) => this.#listRepositories(call),
    'repos/get': (call) => this.#get(this.#find(call), call),
    'repos/get-by-id': (call) => this.#getById(call),
    'repos/update': (call) => this.#update(this.#find(call, 'administration'), call),
    'repos/delete': (call) => this.#delete(this.#find(call, 'administration')),
    'repos/get-branch': (call) => this.#getBranch(this.#find(call, 'contents'), call),
    'repos/create-using-template': (call) => this.#generate(this.#find(call), call),
    'actions/list-repo-variables': (call) => this.#listVariables(this.#find(call, 'variables'), call),
    'actions/create-repo-variable': (call) => this.#createVariable(this.#find(call, 'variables'), call),
    'actions/update-repo-variable': (call) => this.#updateVariable(this.#find(call, 'variables'), call),
    'actions/list-repo-secrets': (call) => this.#listSecrets(this.#find(call, 'secrets'), call),
    'actions/get-repo-public-key': (call) => this.#publicKey(this.#find(call, 'secrets')),
    'actions/create-or-update-repo-secret': (call) => this.#putSecret(this.#find(call, 'secrets'), call),
  }

  constructor(parts: GithubApiParts) {
    this.#parts = parts
  }

  /** @throws GithubApiError */
  async perform({ operation, path }: Matched, request: ProviderRequest, origin: string): Promise<Reply> {
    const call = { request, path, origin }
    const open = this.#public[operation]
    if (open) return open(call)
    const access = this.#parts.callers.authenticate(request.headers.authorization)
    const handler = this.#handlers[operation]
    if (!handler) throw notFound()
    return handler({ ...call, access })
  }

  #getApp({ request }: Call): Reply {
    const app = this.#parts.callers.app(request.headers.authorization)
    return ok({ id: Number(app.id), slug: 'emulated', name: 'emulated' })
  }

  #getInstallation({ request, path }: Call): Reply {
    const app = this.#parts.callers.app(request.headers.authorization)
    if (path.org?.toLowerCase() !== this.#parts.organization.toLowerCase()) throw notFound()
    return ok({ id: app.installationId, app_id: Number(app.id), target_type: 'Organization' })
  }

  #createToken({ request, path }: Call): Reply {
    const app = this.#parts.callers.app(request.headers.authorization)
    const { token, endsAt } = this.#parts.callers.newInstallationToken(app, path.installation ?? '')
    const body: Data<'POST /app/installations/{installation_id}/access_tokens'> = {
      token,
      expires_at: isoSeconds(endsAt),
      permissions: { metadata: 'read' },
      repository_selection: 'all',
    }
    return { status: 201, body }
  }

  /**
   * The repository of the address. GitHub redirects from a former name. Without the permission what may be seen is answered 403,
   * and what may not 404.
   */
  #find({ path, access, request, origin }: AuthorizedCall, permission?: Parameters<typeof demand>[1]) {
    const { owner = '', repo = '' } = path
    const found = this.#parts.store.named(owner, repo)
    if (!found || !maySee(access, found)) throw notFound()
    if (this.#parts.store.holder(owner, repo) === undefined) {
      const rest = request.path.split('/').slice(4)
      const address = [`${origin}/repositories/${found.id}`, ...rest].join('/')
      throw new GithubApiError(301, 'Moved Permanently', { headers: { location: address } })
    }
    if (permission !== undefined) demand(access, permission)
    return found
  }

  #get(repository: RepositoryRecord, { origin }: AuthorizedCall): Reply {
    const body: Data<'GET /repos/{owner}/{repo}'> = fullJson(repository, this.#templateOf(repository), origin)
    return ok(body)
  }

  #getById(call: AuthorizedCall): Reply {
    const found = this.#parts.store.get(Number(call.path.id))
    if (!found || !maySee(call.access, found)) throw notFound()
    return this.#get(found, call)
  }

  #listRepositories({ path, access, request, origin }: AuthorizedCall): Reply {
    if (path.org?.toLowerCase() !== this.#parts.organization.toLowerCase()) throw notFound()
    const own = this.#parts.store.all().filter(({ owner }) => owner === this.#parts.organization)
    const seen = own.filter((repository) => maySee(access, repository)).reverse()
    const { page, headers } = pageOf(seen, request, origin, 30, 100)
    const body: Data<'GET /orgs/{org}/repos'> = page.map((repository) => minimalJson(repository, origin))
    return { status: 200, headers, body }
  }

  async #generate(template: RepositoryRecord, { request, access, origin }: AuthorizedCall): Promise<Reply> {
    const { organization, clock, timings, limits, store, boxes } = this.#parts
    const { owner = organization, name, description = null, ...wanted } = parse(generateBody, request)
    if (!template.isTemplate || owner.toLowerCase() !== organization.toLowerCase()) throw notFound()
    demand(access, 'administration')
    if (!REPOSITORY_NAME.test(name)) throw validationFailed(['name is invalid'])
    await this.#parts.pause(timings.createMs)
    if (store.holder(owner, name)) throw nameExists()
    // GitHub sells no such limit to organizations today; what its refusals say of plans and billing begins like this one.
    if (store.all().length - 1 >= limits.maxRepositories)
      throw new GithubApiError(403, 'Upgrade your plan to create more private repositories.')
    const now = clock()
    const made = store.save({
      id: store.newId(),
      owner: organization,
      name,
      description,
      private: wanted.private ?? false,
      archived: false,
      isTemplate: false,
      templateId: template.id,
      defaultBranch: template.defaultBranch,
      createdAt: now,
      updatedAt: now,
      filledAt: now + timings.fillMs,
      keys: boxes.newKeys(),
      variables: {},
      secrets: {},
      formerNames: [],
    })
    const body: Data<'POST /repos/{template_owner}/{template_repo}/generate'> = fullJson(
      made,
      template,
      origin,
    )
    return { status: 201, body }
  }

  #update(repository: RepositoryRecord, { request, origin }: AuthorizedCall): Reply {
    const { store, clock } = this.#parts
    const { name = repository.name, ...changes } = parse(updateBody, request)
    // Of an archived one only that can be changed.
    if (repository.archived && changes.archived !== false) throw readOnly()
    if (!REPOSITORY_NAME.test(name)) throw validationFailed(['name is invalid'])
    const other = store.holder(repository.owner, name)
    if (other && other.id !== repository.id) throw validationFailed(['name already exists on this account'])
    const renamed = name !== repository.name
    const saved = store.save({
      ...repository,
      name,
      description: changes.description ?? repository.description,
      archived: changes.archived ?? repository.archived,
      private: changes.private ?? repository.private,
      formerNames: renamed ? [...repository.formerNames, fullName(repository)] : repository.formerNames,
      updatedAt: clock(),
    })
    const body: Data<'PATCH /repos/{owner}/{repo}'> = fullJson(saved, this.#templateOf(saved), origin)
    return ok(body)
  }

  #delete(repository: RepositoryRecord): Reply {
    this.#parts.store.remove(repository)
    return NO_CONTENT
  }

  /** The members that a reader of ours may look at; the description has more of a commit and of its protection. */
  #getBranch(repository: RepositoryRecord, { path, origin }: AuthorizedCall): Reply {
    const filled = repository.filledAt <= this.#parts.clock()
    if (!filled || path.branch !== repository.defaultBranch) throw new GithubApiError(404, 'Branch not found')
    const url = `${origin}/repos/${fullName(repository)}`
    const sha = repository.id.toString(16).padStart(40, '0')
    return ok({
      name: repository.defaultBranch,
      commit: { sha, url: `${url}/commits/${sha}` },
      protected: false,
    })
  }

  #listVariables(repository: RepositoryRecord, { request, origin }: AuthorizedCall): Reply {
    const all = Object.entries(repository.variables).sort(([one], [other]) => one.localeCompare(other))
    const { page, headers } = pageOf(all, request, origin, 10, 30)
    const body: Data<'GET /repos/{owner}/{repo}/actions/variables'> = {
      total_count: all.length,
      variables: page.map(([name, { value, ...times }]) => ({ name, value, ...timesJson(times) })),
    }
    return { status: 200, headers, body }
  }

  #createVariable(repository: RepositoryRecord, { request }: AuthorizedCall): Reply {
    const { name, value } = parse(variableBody, request)
    const known = this.#checkEntry(repository, name, value, MAX_VARIABLE_BYTES)
    if (Object.hasOwn(repository.variables, known))
      throw new GithubApiError(409, 'Already exists - Variable already exists')
    this.#saveVariable(repository, known, value)
    return { status: 201, body: {} }
  }

  #updateVariable(repository: RepositoryRecord, { request, path }: AuthorizedCall): Reply {
    const name = (path.name ?? '').toUpperCase()
    const present = repository.variables[name]
    if (!present) throw notFound()
    const { value = present.value } = parse(variableChange, request)
    this.#checkEntry(repository, name, value, MAX_VARIABLE_BYTES)
    this.#saveVariable(repository, name, value)
    return NO_CONTENT
  }

  #saveVariable(repository: RepositoryRecord, name: string, value: string): void {
    const times = this.#times(repository.variables[name])
    const variables = { ...repository.variables, [name]: { value, ...times } }
    this.#parts.store.save({ ...repository, variables })
  }

  #listSecrets(repository: RepositoryRecord, { request, origin }: AuthorizedCall): Reply {
    const all = Object.entries(repository.secrets).sort(([one], [other]) => one.localeCompare(other))
    const { page, headers } = pageOf(all, request, origin, 30, 100)
    const body: Data<'GET /repos/{owner}/{repo}/actions/secrets'> = {
      total_count: all.length,
      secrets: page.map(([name, { sealed: _sealed, ...times }]) => ({ name, ...timesJson(times) })),
    }
    return { status: 200, headers, body }
  }

  #publicKey({ keys }: RepositoryRecord): Reply {
    const body: Data<'GET /repos/{owner}/{repo}/actions/secrets/public-key'> = {
      key_id: keys.keyId,
      key: keys.publicKey,
    }
    return ok(body)
  }

  #putSecret(repository: RepositoryRecord, { request, path }: AuthorizedCall): Reply {
    const { encrypted_value: sealed, key_id: keyId } = parse(secretBody, request)
    // GitHub's wording for this one is not known.
    if (keyId !== repository.keys.keyId)
      throw new GithubApiError(422, 'The key_id is not that of the public key')
    const opened = this.#parts.boxes.open(repository.keys, sealed)
    if (opened === undefined) throw new GithubApiError(422, 'Improperly encrypted secret')
    const name = this.#checkEntry(repository, path.name ?? '', opened, MAX_SECRET_BYTES)
    const isNew = !Object.hasOwn(repository.secrets, name)
    const times = this.#times(repository.secrets[name])
    this.#parts.store.save({
      ...repository,
      secrets: { ...repository.secrets, [name]: { sealed, ...times } },
    })
    return isNew ? { status: 201, body: {} } : NO_CONTENT
  }

  /** @returns the name as GitHub keeps it: in capitals */
  #checkEntry(repository: RepositoryRecord, name: string, value: string, maxBytes: number): string {
    if (repository.archived) throw readOnly()
    if (!ENTRY_NAME.test(name))
      throw new GithubApiError(
        422,
        'Names can only contain alphanumeric characters ([a-z], [A-Z], [0-9]) or underscores (_). Spaces are not allowed. Must start with a letter ([a-z], [A-Z]) or underscores (_).',
      )
    if (name.toUpperCase().startsWith('GITHUB_'))
      throw new GithubApiError(422, 'Names cannot begin with GITHUB_.')
    if (Buffer.byteLength(value) > maxBytes) throw validationFailed(['value is too large'])
    return name.toUpperCase()
  }

  #times(present: { readonly createdAt: number } | undefined) {
    const now = this.#parts.clock()
    return { createdAt: present?.createdAt ?? now, updatedAt: now }
  }

  #templateOf({ templateId }: RepositoryRecord): RepositoryRecord | undefined {
    return this.#parts.store.get(templateId)
  }
}

function ok(body: unknown): Reply {
  return { status: 200, body }
}

const NO_CONTENT: Reply = { status: 204, body: undefined }

function timesJson({ createdAt, updatedAt }: { readonly createdAt: number; readonly updatedAt: number }) {
  return { created_at: isoSeconds(createdAt), updated_at: isoSeconds(updatedAt) }
}

/** @throws GithubApiError 400 for what is no JSON, 422 for what the description does not allow */
function parse<T>(schema: z.ZodType<T>, { body }: ProviderRequest): T {
  let value: unknown
  try {
    value = JSON.parse(body)
  } catch {
    throw wrongJson()
  }
  const result = schema.safeParse(value)
  if (result.success) return result.data
  throw validationFailed(result.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`))
}

function pageOf<T>(
  all: readonly T[],
  { query, path }: ProviderRequest,
  origin: string,
  standard: number,
  most: number,
): { page: readonly T[]; headers: Record<string, string> } {
  const size = Math.min(most, Math.max(1, Number(query.get('per_page') ?? standard) || standard))
  const number = Math.max(1, Number(query.get('page') ?? 1) || 1)
  const isLast = number * size >= all.length
  const next = `<${origin}${path}?per_page=${size}&page=${number + 1}>; rel="next"`
  return {
    page: all.slice((number - 1) * size, number * size),
    headers: isLast ? {} : { link: next },
  }
}
