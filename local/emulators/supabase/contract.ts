import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { Ajv as AjvInstance, ErrorObject, ValidateFunction } from 'ajv'
import { type Schema, TypeSchemas } from './type-schemas.ts'

const require = createRequire(import.meta.url)

/** The operations of the Management API that are emulated, by the names that the vendor's client library gives them. */
export const OPERATIONS = {
  v1ListAllProjects: 'GET /v1/projects',
  v1CreateAProject: 'POST /v1/projects',
  v1GetAvailableRegions: 'GET /v1/projects/available-regions',
  v1GetProject: 'GET /v1/projects/{ref}',
  v1DeleteAProject: 'DELETE /v1/projects/{ref}',
  v1GetServicesHealth: 'GET /v1/projects/{ref}/health',
  v1GetProjectApiKeys: 'GET /v1/projects/{ref}/api-keys',
  v1CreateProjectApiKey: 'POST /v1/projects/{ref}/api-keys',
  v1DeleteProjectApiKey: 'DELETE /v1/projects/{ref}/api-keys/{id}',
  v1UpdateDatabasePassword: 'PATCH /v1/projects/{ref}/database/password',
  v1PauseAProject: 'POST /v1/projects/{ref}/pause',
  v1RestoreAProject: 'POST /v1/projects/{ref}/restore',
  v1GetPoolerConfig: 'GET /v1/projects/{ref}/config/database/pooler',
  v1ListAllSecrets: 'GET /v1/projects/{ref}/secrets',
  v1BulkCreateSecrets: 'POST /v1/projects/{ref}/secrets',
  v1BulkDeleteSecrets: 'DELETE /v1/projects/{ref}/secrets',
  v1ListAllOrganizations: 'GET /v1/organizations',
  v1GetAnOrganization: 'GET /v1/organizations/{slug}',
  v1GetAllProjectsForOrganization: 'GET /v1/organizations/{slug}/projects',
} as const

export type OperationName = keyof typeof OPERATIONS

export interface MatchedOperation {
  readonly name: OperationName
  readonly path: Readonly<Record<string, string>>
}

export interface CheckedInput {
  readonly query: Readonly<Record<string, unknown>>
  readonly body: unknown
}

interface Route {
  readonly name: OperationName
  readonly method: string
  readonly segments: readonly string[]
}

interface CompiledInput {
  readonly query: ValidateFunction | undefined
  readonly body: ValidateFunction | undefined
}

const ROUTES: readonly Route[] = Object.entries(OPERATIONS).map(([name, route]) => {
  const [method = '', path = ''] = route.split(' ')
  return { name: name as OperationName, method, segments: path.split('/').slice(1) }
})

/** A project's ref is twenty small letters: the description says so, and the types do not. */
const REF = /^[a-z]{20}$/

/**
 * The vendor's description of the API, as the types in its client library have it: the package ships no other form. Types say
 * nothing of additional properties, which the API refuses in bodies, so these are refused here too.
 */
export class SupabaseContract {
  readonly #types: TypeSchemas
  readonly #inputs = new Map<OperationName, CompiledInput>()
  readonly #replies = new Map<string, ValidateFunction | undefined>()
  #ajv: AjvInstance | undefined
  #coercingAjv: AjvInstance | undefined

  constructor(file = typesFile()) {
    this.#types = new TypeSchemas(readFileSync(file, 'utf8'))
  }

  /** The operation behind an address. A literal segment goes before a parameter. */
  match(method: string, path: string): MatchedOperation | undefined {
    const segments = path.split('/').slice(1)
    return ROUTES.filter((route) => route.method === method)
      .flatMap((route) => matchSegments(route, segments) ?? [])
      .sort((a, b) => Object.keys(a.path).length - Object.keys(b.path).length)[0]
  }

  /** Checks what a client sent. Returns the first problems as text when it breaks the contract. */
  checkInput(
    { name, path }: MatchedOperation,
    query: URLSearchParams,
    body: unknown,
  ): CheckedInput | { problem: string } {
    if (path.ref !== undefined && !REF.test(path.ref)) return { problem: 'ref: Invalid project ref' }
    const compiled = this.#input(name)
    const values: Record<string, unknown> = Object.fromEntries(query)
    // A list is sent as `a=1&a=2`, and by the vendor's own client as `a=1,2`.
    if (query.has('services')) values.services = query.getAll('services').flatMap((each) => each.split(','))
    if (compiled.query && !compiled.query(values)) return { problem: describe(compiled.query.errors) }
    if (compiled.body && !compiled.body(body)) return { problem: describe(compiled.body.errors) }
    return { query: values, body }
  }

  /** What is wrong with a reply of ours, or undefined. Replies that the description does not have pass. */
  replyProblem(name: OperationName, status: number, body: unknown): string | undefined {
    const key = `${name}Response${status}`
    if (!this.#replies.has(key)) this.#replies.set(key, this.#reply(key))
    const validate = this.#replies.get(key)
    if (validate === undefined)
      return status < 300 ? `${name} has no reply with the status ${status}` : undefined
    return validate(body) ? undefined : describe(validate.errors)
  }

  #reply(type: string): ValidateFunction | undefined {
    if (!this.#types.has(type)) return undefined
    const { properties } = this.#types.schema(type) as { properties: { data: Schema } }
    this.#ajv ??= createAjv(false)
    return this.#ajv.compile(properties.data)
  }

  #input(name: OperationName): CompiledInput {
    const known = this.#inputs.get(name)
    if (known !== undefined) return known
    const parameters = this.#types.parameters(name)
    const typeOf = (wanted: (parameter: string) => boolean) =>
      parameters.find((parameter) => wanted(parameter.name))?.type
    const query = typeOf((parameter) => parameter === 'params')
    const body = typeOf((parameter) => parameter.startsWith('v1') || parameter.endsWith('Body'))
    this.#coercingAjv ??= createAjv(true)
    this.#ajv ??= createAjv(false)
    const compiled = {
      query: query && this.#coercingAjv.compile(query),
      body:
        body && this.#ajv.compile(body.type === 'object' ? { ...body, additionalProperties: false } : body),
    }
    this.#inputs.set(name, compiled)
    return compiled
  }
}

function matchSegments(route: Route, actual: readonly string[]): MatchedOperation | undefined {
  if (route.segments.length !== actual.length) return undefined
  const path: Record<string, string> = {}
  for (const [index, segment] of route.segments.entries()) {
    const value = actual[index] ?? ''
    if (segment.startsWith('{')) path[segment.slice(1, -1)] = value
    else if (segment !== value) return undefined
  }
  return { name: route.name, path }
}

function typesFile(): string {
  return require.resolve('supabase-management-js').replace(/index\.js$/, 'index.d.ts')
}

function createAjv(coerceTypes: boolean): AjvInstance {
  // Loaded on first use: it is not needed to start.
  const { Ajv } = require('ajv') as typeof import('ajv')
  return new Ajv({ strict: false, coerceTypes: coerceTypes ? 'array' : false, logger: false })
}

function describe(errors: readonly ErrorObject[] | null | undefined): string {
  const problems = (errors ?? []).map(({ instancePath, message, params }) => {
    const place = instancePath.slice(1).replaceAll('/', '.') || String(params.additionalProperty ?? 'body')
    return `${place}: ${message}`
  })
  return problems.join(', ')
}
