import type { Clock } from '../clock.ts'
import type { ProviderRequest, Reply } from '../http/exchange.ts'
import { assertActivatable, triggersOf } from './activation.ts'
import { BODIES, checkBody, checkCredentialData, credentialSchema, isObject, type Shape } from './bodies.ts'
import { badRequest, N8nApiError, notFound } from './errors.ts'
import { type Credential, type Instance, type Node, newId, type Tag, type Workflow } from './instance.ts'

interface N8nApiParts {
  readonly instance: Instance
  readonly clock: Clock
  /** How many workflows may be active. */
  readonly activeWorkflows: () => number
}

type Body = Readonly<Record<string, unknown>>

const MAX_PAGE = 250
const DEFAULT_PAGE = 100
const MAX_TAG_NAME = 24
const MAX_NAME = 128
const MIN_CREDENTIAL_NAME = 3

/** Performs the operations of n8n's public API whose address, method and key are right already. */
export class N8nApi {
  readonly #parts: N8nApiParts

  constructor(parts: N8nApiParts) {
    this.#parts = parts
  }

  /** @throws N8nApiError */
  perform(request: ProviderRequest, id: string): Reply {
    switch (request.operation) {
      case 'getWorkflows':
        return this.#listWorkflows(request.query)
      case 'createWorkflow':
        return ok(this.#shown(this.#createWorkflow(bodyOf(request, BODIES.workflow))))
      case 'getWorkflow':
        return ok(this.#shown(this.#workflow(id)))
      case 'updateWorkflow':
        return ok(this.#shown(this.#updateWorkflow(this.#workflow(id), bodyOf(request, BODIES.workflow))))
      case 'deleteWorkflow':
        return this.#deleted('workflow', this.#shown(this.#workflow(id)))
      case 'activateWorkflow':
        return ok(this.#shown(this.#activate(this.#workflow(id))))
      case 'deactivateWorkflow':
        return ok(this.#shown(this.#change(this.#workflow(id), { active: false })))
      case 'getWorkflowTags':
        return ok(this.#tagsOf(this.#workflow(id)))
      case 'updateWorkflowTags':
        return ok(this.#tagsOf(this.#tagWorkflow(this.#workflow(id), listOf(request, BODIES.tagIds))))
      case 'getTags':
        return page(this.#parts.instance.tags(), request.query)
      case 'createTag':
        return { status: 201, body: this.#createTag(bodyOf(request, BODIES.tag)) }
      case 'getTag':
        return ok(this.#tag(id))
      case 'deleteTag':
        return this.#deleteTag(this.#tag(id))
      case 'getCredentials':
        return page(this.#parts.instance.credentials().map(withoutData).reverse(), request.query)
      case 'createCredential':
        return ok(withoutData(this.#createCredential(bodyOf(request, BODIES.credential))))
      case 'updateCredential':
        return ok(
          withoutData(
            this.#updateCredential(this.#credential(id), bodyOf(request, BODIES.credentialChanges)),
          ),
        )
      case 'deleteCredential':
        return this.#deleted('credential', withoutData(this.#credential(id)))
      case 'getCredentialType':
        return ok(credentialSchema(id) ?? refuse(notFound()))
      default:
        throw new N8nApiError(404, 'not found')
    }
  }

  #listWorkflows(query: URLSearchParams): Reply {
    const tags = query
      .get('tags')
      ?.split(',')
      .map((tag) => tag.trim())
    const name = query.get('name')?.trim().toLowerCase()
    const active = query.get('active')
    const found = this.#parts.instance
      .workflows()
      .map((workflow) => this.#shown(workflow))
      .filter(
        (workflow) =>
          (tags === undefined || workflow.tags.some((tag) => tags.includes(tag.name))) &&
          (name === undefined || workflow.name.toLowerCase().includes(name)) &&
          (active === null || String(workflow.active) === active),
      )
    return page(found, query, ['tags', 'name', 'active', 'excludePinnedData', 'projectId'])
  }

  #createWorkflow(body: Body): Workflow {
    const name = checkedName(body, 'Workflow', 1)
    const now = this.#now()
    return this.#parts.instance.saveWorkflow({
      id: newId(),
      ...contentOf(body),
      name,
      active: false,
      isArchived: false,
      versionId: crypto.randomUUID(),
      triggerCount: 0,
      tagIds: [],
      createdAt: now,
      updatedAt: now,
    })
  }

  /** One that is active goes on with its new content, if it can. */
  #updateWorkflow(workflow: Workflow, body: Body): Workflow {
    const name = checkedName(body, 'Workflow', 1)
    const changed = { ...workflow, ...contentOf(body), name, versionId: crypto.randomUUID() }
    if (workflow.isArchived) throw badRequest('Cannot update an archived workflow.')
    if (workflow.active) this.#assertActivatable(changed)
    return this.#change(changed, {})
  }

  #activate(workflow: Workflow): Workflow {
    this.#assertActivatable(workflow)
    return this.#change(workflow, { active: true, triggerCount: triggersOf(workflow).length })
  }

  #assertActivatable(workflow: Workflow): void {
    const active = this.#parts.instance.workflows().filter((each) => each.active)
    assertActivatable(workflow, active, this.#parts.activeWorkflows())
  }

  #tagWorkflow(workflow: Workflow, tags: readonly Body[]): Workflow {
    const tagIds = tags.map(({ id }) => String(id))
    if (tagIds.some((id) => this.#parts.instance.tag(id) === undefined))
      throw new N8nApiError(404, 'Some tags not found')
    return this.#change(workflow, { tagIds })
  }

  #change(workflow: Workflow, changes: Partial<Workflow>): Workflow {
    return this.#parts.instance.saveWorkflow({ ...workflow, ...changes, updatedAt: this.#now() })
  }

  /** n8n gives this answer to every tag that it cannot keep, also to one whose name is too long. */
  #createTag(body: Body): Tag {
    const name = String(body.name).trim()
    const unusable = name.length < 1 || name.length > MAX_TAG_NAME
    if (unusable || this.#parts.instance.tags().some((tag) => tag.name === name))
      throw new N8nApiError(409, 'Tag already exists')
    const now = this.#now()
    return this.#parts.instance.saveTag({ id: newId(), name, createdAt: now, updatedAt: now })
  }

  #deleteTag(tag: Tag): Reply {
    for (const workflow of this.#parts.instance.workflows())
      if (workflow.tagIds.includes(tag.id))
        this.#parts.instance.saveWorkflow({
          ...workflow,
          tagIds: workflow.tagIds.filter((id) => id !== tag.id),
        })
    return this.#deleted('tag', tag)
  }

  #createCredential(body: Body): Credential {
    const type = String(body.type)
    const data = isObject(body.data) ? body.data : {}
    checkCredentialData(type, data)
    const name = checkedName(body, 'Credential', MIN_CREDENTIAL_NAME)
    const now = this.#now()
    const texts = Object.entries(data).map(([field, value]) => [field, String(value)])
    return this.#parts.instance.saveCredential({
      id: newId(),
      name,
      type,
      data: Object.fromEntries(texts),
      createdAt: now,
      updatedAt: now,
    })
  }

  /** What is left out stays; data is replaced as a whole. */
  #updateCredential(credential: Credential, body: Body): Credential {
    const type = body.type === undefined ? credential.type : String(body.type)
    if (type !== credential.type && body.data === undefined)
      throw badRequest('data is needed with another type')
    const data = isObject(body.data) ? body.data : credential.data
    checkCredentialData(type, data)
    const name =
      body.name === undefined ? credential.name : checkedName(body, 'Credential', MIN_CREDENTIAL_NAME)
    const texts = Object.entries(data).map(([field, value]) => [field, String(value)])
    return this.#parts.instance.saveCredential({
      ...credential,
      name,
      type,
      data: Object.fromEntries(texts),
      updatedAt: this.#now(),
    })
  }

  #deleted(type: 'workflow' | 'tag' | 'credential', thing: { readonly id: string }): Reply {
    this.#parts.instance.remove(type, thing.id)
    return ok(thing)
  }

  #workflow(id: string): Workflow {
    return this.#parts.instance.workflow(id) ?? refuse(notFound())
  }

  #tag(id: string): Tag {
    return this.#parts.instance.tag(id) ?? refuse(notFound())
  }

  #credential(id: string): Credential {
    return this.#parts.instance.credential(id) ?? refuse(notFound())
  }

  #tagsOf({ tagIds }: Workflow): Tag[] {
    return tagIds.flatMap((id) => this.#parts.instance.tag(id) ?? [])
  }

  #shown({ tagIds, ...workflow }: Workflow) {
    return { ...workflow, tags: this.#tagsOf({ tagIds, ...workflow }) }
  }

  #now(): string {
    return new Date(this.#parts.clock()).toISOString()
  }
}

function contentOf(
  body: Body,
): Pick<Workflow, 'nodes' | 'connections' | 'settings' | 'staticData' | 'pinData'> {
  const { nodes, connections, settings, staticData = null, pinData = null } = body
  return {
    nodes: Array.isArray(nodes) ? nodes.map((node: Node) => ({ id: crypto.randomUUID(), ...node })) : [],
    connections: isObject(connections) ? connections : {},
    settings: isObject(settings) ? settings : {},
    staticData,
    pinData,
  }
}

function checkedName(body: Body, what: string, min: number): string {
  const name = String(body.name)
  if (name.length < min || name.length > MAX_NAME)
    throw badRequest(`${what} name must be ${min} to ${MAX_NAME} characters long.`)
  return name
}

function bodyOf(request: ProviderRequest, shape: Shape): Body {
  const body = parsed(request, shape)
  return isObject(body) ? body : {}
}

function listOf(request: ProviderRequest, shape: Shape): readonly Body[] {
  const body = parsed(request, shape)
  return Array.isArray(body) ? body.filter(isObject) : []
}

function parsed({ body, headers }: ProviderRequest, shape: Shape): unknown {
  const type = headers['content-type'] ?? 'undefined'
  if (!type.startsWith('application/json')) throw new N8nApiError(415, `unsupported media type ${type}`)
  let value: unknown
  try {
    value = JSON.parse(body)
  } catch {
    throw badRequest('Invalid JSON in request body')
  }
  checkBody(value, shape)
  return value
}

/** A page, and where the next one begins. n8n's cursor holds both numbers, and what it says goes before `limit`. */
function page(all: readonly unknown[], query: URLSearchParams, filters: readonly string[] = []): Reply {
  for (const name of query.keys())
    if (!['limit', 'cursor', ...filters].includes(name)) throw badRequest(`Unknown query parameter '${name}'`)
  const { offset, limit } = query.has('cursor')
    ? decodedCursor(query.get('cursor') ?? '')
    : { offset: 0, limit: checkedLimit(query.get('limit')) }
  const end = offset + limit
  const next = JSON.stringify({ limit, offset: end })
  return ok({
    data: all.slice(offset, end),
    nextCursor: all.length > end ? Buffer.from(next).toString('base64') : null,
  })
}

function checkedLimit(given: string | null): number {
  if (given === null) return DEFAULT_PAGE
  const limit = Number(given)
  if (Number.isNaN(limit)) throw badRequest('request/query/limit must be number')
  if (limit > MAX_PAGE) throw badRequest(`request/query/limit must be <= ${MAX_PAGE}`)
  return limit
}

function decodedCursor(cursor: string): { offset: number; limit: number } {
  try {
    const { offset, limit } = JSON.parse(Buffer.from(cursor, 'base64').toString())
    if (Number.isInteger(offset) && Number.isInteger(limit)) return { offset, limit }
  } catch {
    // Refused below, as one that can be read and says something else.
  }
  throw badRequest('An invalid cursor was provided')
}

function withoutData({ data: _data, ...credential }: Credential) {
  return credential
}

function refuse(error: N8nApiError): never {
  throw error
}

function ok(body: unknown): Reply {
  return { status: 200, body }
}
