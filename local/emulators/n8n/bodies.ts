import { badRequest } from './errors.ts'

/** What a value of a body may be, as in n8n's description of its API. */
export type Shape =
  | { readonly kind: 'text'; readonly values?: readonly string[] }
  | { readonly kind: 'number' | 'boolean' | 'anything' }
  /** May be in a reply, and is refused in a request. */
  | { readonly kind: 'read-only' }
  | { readonly kind: 'list'; readonly of: Shape }
  | {
      readonly kind: 'object'
      readonly fields: Readonly<Record<string, Shape>>
      readonly required?: readonly string[]
      /** Whether fields that are not named are let through. */
      readonly open?: boolean
    }

const text: Shape = { kind: 'text' }
const number: Shape = { kind: 'number' }
const yesOrNo: Shape = { kind: 'boolean' }
const readOnly: Shape = { kind: 'read-only' }
const anyObject: Shape = { kind: 'object', fields: {}, open: true }

const node: Shape = {
  kind: 'object',
  fields: {
    id: text,
    name: text,
    webhookId: text,
    disabled: yesOrNo,
    notesInFlow: yesOrNo,
    notes: text,
    type: text,
    typeVersion: number,
    executeOnce: yesOrNo,
    alwaysOutputData: yesOrNo,
    retryOnFail: yesOrNo,
    maxTries: number,
    waitBetweenTries: number,
    continueOnFail: yesOrNo,
    onError: text,
    position: { kind: 'list', of: number },
    parameters: anyObject,
    credentials: anyObject,
    createdAt: readOnly,
    updatedAt: readOnly,
  },
}

const settings: Shape = {
  kind: 'object',
  fields: {
    saveExecutionProgress: yesOrNo,
    saveManualExecutions: yesOrNo,
    saveDataErrorExecution: { kind: 'text', values: ['all', 'none'] },
    saveDataSuccessExecution: { kind: 'text', values: ['all', 'none'] },
    executionTimeout: number,
    errorWorkflow: text,
    timezone: text,
    executionOrder: text,
    callerPolicy: { kind: 'text', values: ['any', 'none', 'workflowsFromAList', 'workflowsFromSameOwner'] },
    callerIds: text,
    timeSavedPerExecution: number,
    availableInMCP: yesOrNo,
  },
}

/** The bodies of n8n's public API that are emulated. */
export const BODIES = {
  workflow: {
    kind: 'object',
    required: ['name', 'nodes', 'connections', 'settings'],
    fields: {
      id: readOnly,
      name: text,
      active: readOnly,
      createdAt: readOnly,
      updatedAt: readOnly,
      isArchived: readOnly,
      versionId: readOnly,
      triggerCount: readOnly,
      nodes: { kind: 'list', of: node },
      connections: anyObject,
      settings,
      staticData: { kind: 'anything' },
      pinData: { kind: 'anything' },
      meta: readOnly,
      tags: readOnly,
      shared: { kind: 'anything' },
    },
  },
  tag: {
    kind: 'object',
    required: ['name'],
    fields: { id: readOnly, name: text, createdAt: readOnly, updatedAt: readOnly },
  },
  tagIds: {
    kind: 'list',
    of: { kind: 'object', required: ['id'], fields: { id: text } },
  },
  credential: {
    kind: 'object',
    required: ['name', 'type', 'data'],
    fields: {
      id: readOnly,
      name: text,
      type: text,
      data: anyObject,
      createdAt: readOnly,
      updatedAt: readOnly,
    },
  },
  credentialChanges: {
    kind: 'object',
    required: [],
    fields: { name: text, type: text, data: anyObject },
  },
} as const satisfies Record<string, Shape>

/** @throws N8nApiError 400 with everything that n8n's validation would name */
export function checkBody(body: unknown, shape: Shape): void {
  const problems = problemsOf(body, shape, 'request/body')
  if (problems.length > 0) throw badRequest(problems.join(', '))
}

function problemsOf(value: unknown, shape: Shape, path: string): string[] {
  switch (shape.kind) {
    case 'anything':
      return []
    case 'read-only':
      return [`${path} is read-only`]
    case 'text':
      return textProblems(value, shape.values, path)
    case 'number':
    case 'boolean':
      return typeof value === shape.kind ? [] : [`${path} must be ${shape.kind}`]
    case 'list':
      if (!Array.isArray(value)) return [`${path} must be array`]
      return value.flatMap((each, index) => problemsOf(each, shape.of, `${path}/${index}`))
    case 'object':
      return isObject(value) ? objectProblems(value, shape, path) : [`${path} must be object`]
  }
}

function textProblems(value: unknown, values: readonly string[] | undefined, path: string): string[] {
  if (typeof value !== 'string') return [`${path} must be string`]
  return values && !values.includes(value)
    ? [`${path} must be equal to one of the allowed values: ${values.join(', ')}`]
    : []
}

function objectProblems(
  value: Readonly<Record<string, unknown>>,
  { fields, required = [], open }: Extract<Shape, { kind: 'object' }>,
  path: string,
): string[] {
  const missing = required.filter((name) => !Object.hasOwn(value, name))
  const unknown = open ? [] : Object.keys(value).filter((name) => !Object.hasOwn(fields, name))
  const within = Object.entries(fields).flatMap(([name, shape]) =>
    Object.hasOwn(value, name) ? problemsOf(value[name], shape, `${path}/${name}`) : [],
  )
  return [
    ...missing.map((name) => `${path} must have required property '${name}'`),
    ...unknown.map(() => `${path} must NOT have additional properties`),
    ...within,
  ]
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The types of credentials that are known, with the fields that a person fills in. */
const CREDENTIAL_TYPES: Readonly<Record<string, readonly string[]>> = {
  supabaseApi: ['host', 'serviceRole'],
  httpHeaderAuth: ['name', 'value'],
  httpBasicAuth: ['user', 'password'],
}

/** The JSON schema of a credential's data; undefined for a type that n8n would not know. */
export function credentialSchema(type: string): Readonly<Record<string, unknown>> | undefined {
  if (!Object.hasOwn(CREDENTIAL_TYPES, type)) return undefined
  const names = CREDENTIAL_TYPES[type] ?? []
  return {
    additionalProperties: false,
    type: 'object',
    properties: Object.fromEntries(names.map((name) => [name, { type: 'string' }])),
    required: [],
  }
}

/** @throws N8nApiError 400 for a type that is not known, and for data that is not of it */
export function checkCredentialData(type: string, data: Readonly<Record<string, unknown>>): void {
  if (!Object.hasOwn(CREDENTIAL_TYPES, type)) throw badRequest('req.body.type is not a known type')
  const names = CREDENTIAL_TYPES[type] ?? []
  const problems = Object.entries(data).flatMap(([name, value]) => {
    if (!names.includes(name))
      return [`request.body.data is not allowed to have the additional property ${JSON.stringify(name)}`]
    return typeof value === 'string' ? [] : ['request.body.data is not of a type(s) string']
  })
  if (problems.length > 0) throw badRequest(problems.join(','))
}
