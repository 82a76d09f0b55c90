import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { Ajv as AjvInstance, ErrorObject, ValidateFunction } from 'ajv'
import { parse } from 'yaml'

const require = createRequire(import.meta.url)
const METHODS = new Set(['get', 'post', 'put', 'patch', 'delete'])
const SCHEMA_REFERENCE = /^#\/components\/(schemas|parameters|responses)\/(.+)$/

const ALIAS = /^(\s*[\w-]+:) \*(\w+)\s*$/

type Json = null | boolean | number | string | Json[] | { [key: string]: Json }
type JsonObject = { [key: string]: Json }
type Parameters = Record<string, string>

export interface MatchedOperation {
  readonly id: string
  readonly pathParameters: Parameters
}

/** Input as the contract describes it: query values have become numbers and booleans, defaults are filled in. */
export interface CheckedInput {
  readonly query: Readonly<Record<string, unknown>>
  readonly body: unknown
}

interface Operation {
  readonly id: string
  readonly method: string
  readonly template: string
  readonly segments: readonly string[]
}

interface CompiledOperation {
  readonly parameters: ValidateFunction
  readonly body: ValidateFunction | undefined
  readonly bodyRequired: boolean
}

/**
 * Neon's OpenAPI file, as its npm package ships it, put to work. Parsing all of it would take half a second of
 * each start, so it is cut by indentation (it is generated and regular) and only what a request needs is parsed
 * and compiled, once.
 */
export class NeonContract {
  readonly #document: SlicedDocument
  readonly #operations: readonly Operation[]
  readonly #inputs = new Map<string, CompiledOperation>()
  readonly #replies = new Map<string, ValidateFunction>()
  #ajv: AjvInstance | undefined
  #coercingAjv: AjvInstance | undefined

  constructor(file = specificationFile()) {
    this.#document = new SlicedDocument(readFileSync(file, 'utf8'))
    this.#operations = [...this.#document.operations()]
  }

  /** The operation behind an address below /api/v2. A literal segment goes before a parameter. */
  match(method: string, path: string): MatchedOperation | undefined {
    const segments = path.split('/').slice(1)
    let best: MatchedOperation | undefined
    for (const operation of this.#operations) {
      if (operation.method !== method) continue
      const pathParameters = matchSegments(operation.segments, segments)
      if (pathParameters === undefined) continue
      const count = Object.keys(pathParameters).length
      if (best === undefined || count < Object.keys(best.pathParameters).length) {
        best = { id: operation.id, pathParameters }
      }
    }
    return best
  }

  /** Checks what a client sent. Returns the first problems as text when it breaks the contract. */
  checkInput(
    operation: MatchedOperation,
    query: URLSearchParams,
    body: unknown,
  ): CheckedInput | { problem: string } {
    const compiled = this.#compiledInput(operation.id)
    const input = { path: { ...operation.pathParameters }, query: Object.fromEntries(query) }
    if (!compiled.parameters(input)) return { problem: describe(compiled.parameters.errors) }
    if (body === undefined && compiled.bodyRequired) return { problem: 'body is required' }
    if (body !== undefined && compiled.body && !compiled.body(body)) {
      return { problem: describe(compiled.body.errors) }
    }
    return { query: input.query, body }
  }

  /** What is wrong with a reply of ours, or undefined. */
  replyProblem(operationId: string, status: number, body: unknown): string | undefined {
    const key = `${operationId} ${status}`
    const validate = this.#replies.get(key) ?? this.#compileReply(operationId, status)
    this.#replies.set(key, validate)
    return validate(body) ? undefined : describe(validate.errors)
  }

  #compiledInput(operationId: string): CompiledOperation {
    const known = this.#inputs.get(operationId)
    if (known !== undefined) return known
    const { definition, parameters } = this.#definition(operationId)
    const requestBody = object(definition.requestBody)
    const bodySchema = jsonSchemaOf(requestBody)
    const compiled = {
      parameters: this.#compile(parametersSchema(parameters), true),
      body: bodySchema && this.#compile(bodySchema, false),
      bodyRequired: requestBody.required === true,
    }
    this.#inputs.set(operationId, compiled)
    return compiled
  }

  #compileReply(operationId: string, status: number): ValidateFunction {
    const responses = object(this.#definition(operationId).definition.responses)
    const found = responses[String(status)] ?? responses.default
    const schema = jsonSchemaOf(this.#resolve(found ?? {}))
    if (schema === undefined) throw new Error(`The contract has no reply ${status} for ${operationId}.`)
    return this.#compile(schema, false)
  }

  #definition(operationId: string): { definition: JsonObject; parameters: JsonObject[] } {
    const operation = this.#operations.find(({ id }) => id === operationId)
    if (operation === undefined) throw new Error(`The contract has no operation ${operationId}.`)
    const path = this.#document.path(operation.template)
    const definition = object(path[operation.method.toLowerCase()])
    const parameters = [...list(path.parameters), ...list(definition.parameters)]
    return { definition, parameters: parameters.map((parameter) => this.#resolve(parameter)) }
  }

  #resolve(value: Json): JsonObject {
    const reference = object(value).$ref
    const match = typeof reference === 'string' ? SCHEMA_REFERENCE.exec(reference) : null
    return match?.[1] && match[2] ? this.#document.component(match[1], match[2]) : object(value)
  }

  #compile(schema: JsonObject, coerce: boolean): ValidateFunction {
    const root = { ...schema, components: { schemas: this.#schemasUsedBy(schema) } }
    if (coerce) {
      this.#coercingAjv ??= createAjv(true)
      return this.#coercingAjv.compile(root)
    }
    this.#ajv ??= createAjv(false)
    return this.#ajv.compile(root)
  }

  #schemasUsedBy(schema: JsonObject): JsonObject {
    const schemas: JsonObject = {}
    const pending = referencesIn(schema)
    for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
      if (Object.hasOwn(schemas, name)) continue
      const found = this.#document.component('schemas', name)
      schemas[name] = found
      pending.push(...referencesIn(found))
    }
    return schemas
  }
}

/** The file's lines and where its parts begin; a part is parsed when it is first asked for. */
class SlicedDocument {
  readonly #lines: readonly string[]
  readonly #paths: ReadonlyMap<string, LineRange>
  readonly #components: ReadonlyMap<string, LineRange>
  readonly #parsed = new Map<string, JsonObject>()

  constructor(text: string) {
    this.#lines = text.split('\n')
    const whole = { start: -1, end: this.#lines.length }
    const sections = this.#keys(whole, 0)
    this.#paths = this.#keys(sections.get('paths') ?? whole, 2)
    this.#components = this.#keys(sections.get('components') ?? whole, 2)
  }

  *operations(): Generator<Operation> {
    for (const [template, range] of this.#paths) {
      for (const [method, { start, end }] of this.#keys(range, 4)) {
        if (!METHODS.has(method)) continue
        const line = this.#lines.slice(start, end).find((text) => text.startsWith('      operationId: '))
        const id = line?.slice('      operationId: '.length).trim()
        if (id === undefined) throw new Error(`${method} ${template} has no operationId in the contract.`)
        yield { id, method: method.toUpperCase(), template, segments: template.split('/').slice(1) }
      }
    }
  }

  path(template: string): JsonObject {
    return this.#parse(`path ${template}`, this.#paths.get(template))
  }

  component(kind: string, name: string): JsonObject {
    const range = this.#components.get(kind)
    return this.#parse(`${kind} ${name}`, range && this.#keys(range, 4).get(name))
  }

  #parse(what: string, range: LineRange | undefined): JsonObject {
    const known = this.#parsed.get(what)
    if (known !== undefined) return known
    if (range === undefined) throw new Error(`The contract has no ${what}.`)
    const lines = this.#lines.slice(range.start + 1, range.end).flatMap((line) => this.#expandAlias(line))
    const value = object(parse(lines.join('\n')))
    this.#parsed.set(what, value)
    return value
  }

  /** Writes out `key: *name`, because the block that `&name` marks may lie outside the slice. */
  #expandAlias(line: string): string[] {
    const [, key = '', name = ''] = ALIAS.exec(line) ?? []
    if (name === '') return [line]
    const start = this.#lines.findIndex((text) => text.endsWith(`: &${name}`))
    if (start < 0) throw new Error(`The contract has no anchor ${name}.`)
    const shift = indentOf(line) - indentOf(this.#lines[start] ?? '')
    const block = [key]
    for (const text of this.#lines.slice(start + 1)) {
      if (text.trim() !== '' && indentOf(text) <= indentOf(this.#lines[start] ?? '')) break
      block.push(' '.repeat(Math.max(0, indentOf(text) + shift)) + text.trimStart())
    }
    return block
  }

  /** The mapping keys at one depth, each with its line and the line after its last. */
  #keys(within: LineRange, indent: number): Map<string, LineRange> {
    const keys = new Map<string, LineRange>()
    const key = new RegExp(`^ {${indent}}([^\\s#-][^:]*):`)
    let open: { name: string; start: number } | undefined
    for (let line = within.start + 1; line < within.end; line++) {
      const name = key.exec(this.#lines[line] ?? '')?.[1]
      if (name === undefined) continue
      if (open) keys.set(open.name, { start: open.start, end: line })
      open = { name, start: line }
    }
    if (open) keys.set(open.name, { start: open.start, end: within.end })
    return keys
  }
}

function indentOf(line: string): number {
  return line.length - line.trimStart().length
}

interface LineRange {
  readonly start: number
  readonly end: number
}

function specificationFile(): string {
  return require.resolve('@neondatabase/api-client/public-v2-for-users.gen.yaml')
}

function matchSegments(template: readonly string[], actual: readonly string[]): Parameters | undefined {
  if (template.length !== actual.length) return undefined
  const parameters: Parameters = {}
  for (const [index, segment] of template.entries()) {
    const value = actual[index] ?? ''
    if (segment.startsWith('{')) parameters[segment.slice(1, -1)] = decodeSegment(value)
    else if (segment !== value) return undefined
  }
  return parameters
}

function decodeSegment(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    return segment
  }
}

function parametersSchema(parameters: readonly JsonObject[]): JsonObject {
  const at = (place: string) => {
    const here = parameters.filter((parameter) => parameter.in === place)
    return {
      type: 'object',
      properties: Object.fromEntries(here.map(({ name, schema = {} }) => [String(name), schema])),
      required: here.filter(({ required }) => required === true).map(({ name }) => String(name)),
    }
  }
  return { type: 'object', properties: { path: at('path'), query: at('query') } }
}

function jsonSchemaOf(requestOrResponse: JsonObject): JsonObject | undefined {
  const schema = object(object(requestOrResponse.content)['application/json']).schema
  return schema === undefined ? undefined : object(schema)
}

function referencesIn(value: Json): string[] {
  if (Array.isArray(value)) return value.flatMap(referencesIn)
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, child]) => {
    const name = key === '$ref' && typeof child === 'string' ? SCHEMA_REFERENCE.exec(child)?.[2] : undefined
    return name === undefined ? referencesIn(child) : [name]
  })
}

function object(value: Json | undefined): JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {}
}

function list(value: Json | undefined): Json[] {
  return Array.isArray(value) ? value : []
}

function createAjv(coerceTypes: boolean): AjvInstance {
  // Loaded on first use: neither is needed to start.
  const { Ajv } = require('ajv') as typeof import('ajv')
  const addFormats = require('ajv-formats') as typeof import('ajv-formats').default
  const ajv = new Ajv({ strict: false, coerceTypes, useDefaults: coerceTypes, logger: false })
  addFormats(ajv)
  for (const format of ['int', 'uint64'])
    ajv.addFormat(format, { type: 'number', validate: Number.isInteger })
  return ajv
}

function describe(errors: readonly ErrorObject[] | null | undefined): string {
  return (errors ?? []).map(({ instancePath, message }) => `${instancePath || 'body'} ${message}`).join('; ')
}
