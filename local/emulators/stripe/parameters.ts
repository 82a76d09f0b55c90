import { StripeApiError } from './errors.ts'

/** A form's parameters: text, or what `name[key]` and `name[0]` nest. */
export type Parameter = string | ParameterHash
export interface ParameterHash {
  readonly [name: string]: Parameter
}

type MutableHash = { [name: string]: string | MutableHash }

/** What a parameter may be. `text` with an empty value unsets. */
export type Shape =
  | { readonly kind: 'text'; readonly max?: number }
  | { readonly kind: 'integer'; readonly min?: number; readonly max?: number }
  | { readonly kind: 'enum'; readonly values: readonly string[] }
  | { readonly kind: 'email' }
  | { readonly kind: 'metadata' }
  | { readonly kind: 'list' }
  | {
      readonly kind: 'hash'
      readonly fields: Readonly<Record<string, Shape>>
      readonly required?: readonly string[]
    }
  /** A parameter of Stripe's that the emulator does not act on, and therefore refuses. */
  | { readonly kind: 'not_emulated' }

export type Shapes = Readonly<Record<string, Shape>>

/** An ASCII name before the @, a dot in the domain, and no blanks: Auth takes addresses that Stripe refuses. */
const EMAIL = /^(?:(?![@,])[!-~])+@[^\s@,.]+(\.[^\s@,.]+)+$/
const MAX_EMAIL = 512
const MAX_METADATA_KEYS = 50
const MAX_METADATA_KEY = 40
const MAX_METADATA_VALUE = 500

/** Reads a form or a query string. Hashes have no prototype, so any name is safe. */
export function parseForm(text: string): ParameterHash {
  const root: MutableHash = Object.create(null)
  for (const [key, value] of new URLSearchParams(text)) {
    const [first = '', ...rest] = key.split('[').map((part) => part.replace(/\]$/, ''))
    assign(root, [first, ...rest], value)
  }
  return root
}

function assign(hash: MutableHash, path: readonly string[], value: string): void {
  const [name = '', ...rest] = path
  // `list[]=x` appends.
  const key = name === '' ? String(Object.keys(hash).length) : name
  if (rest.length === 0) {
    hash[key] = value
    return
  }
  const existing = hash[key]
  const child: MutableHash = typeof existing === 'object' ? existing : Object.create(null)
  hash[key] = child
  assign(child, rest, value)
}

/** @throws StripeApiError 400 for the first parameter that Stripe would refuse, unknown ones first. */
export function checkParameters(parameters: ParameterHash, shapes: Shapes): void {
  const unknown = unknownNames(parameters, shapes, '')
  if (unknown.length > 0) {
    throw new StripeApiError(
      400,
      `Received unknown parameter${unknown.length > 1 ? 's' : ''}: ${unknown.join(', ')}`,
      { code: 'parameter_unknown', param: unknown[0] ?? '' },
    )
  }
  for (const [name, value] of Object.entries(parameters)) checkValue(name, value, shapes[name])
}

function unknownNames(parameters: ParameterHash, shapes: Shapes, prefix: string): string[] {
  return Object.entries(parameters).flatMap(([name, value]) => {
    const full = prefix === '' ? name : `${prefix}[${name}]`
    if (!Object.hasOwn(shapes, name)) return [full]
    const shape = shapes[name]
    return shape?.kind === 'hash' && typeof value === 'object' ? unknownNames(value, shape.fields, full) : []
  })
}

function checkValue(name: string, value: Parameter, shape: Shape | undefined): void {
  if (shape?.kind === 'text') checkText(name, value, shape.max)
  else if (shape?.kind === 'integer') checkInteger(name, value, shape)
  else if (shape?.kind === 'enum') checkEnum(name, value, shape.values)
  else if (shape?.kind === 'email') checkEmail(name, value)
  else if (shape?.kind === 'metadata') checkMetadata(name, value)
  else if (shape?.kind === 'hash') checkHash(name, value, shape)
  else if (shape?.kind === 'not_emulated') throw notEmulated(name)
  else if (typeof value === 'string' && value !== '') throw invalid(name, 'Invalid array')
}

function checkText(name: string, value: Parameter, max = 5000): void {
  if (typeof value !== 'string') throw invalid(name, 'Invalid string')
  if ([...value].length > max) {
    throw invalid(name, `Invalid string: ${value.slice(0, 10)}...; must be at most ${max} characters`)
  }
}

function checkInteger(name: string, value: Parameter, { min, max }: { min?: number; max?: number }): void {
  if (typeof value !== 'string' || !/^-?\d+$/.test(value)) {
    const text = typeof value === 'string' ? value : JSON.stringify(value)
    throw invalid(name, `Invalid integer: ${text}`, 'parameter_invalid_integer')
  }
  const number = Number(value)
  if (max !== undefined && number > max) {
    throw invalid(name, `This value must be less than or equal to ${max} (it currently is '${value}').`)
  }
  if (min !== undefined && number < min) {
    throw invalid(name, `This value must be greater than or equal to ${min} (it currently is '${value}').`)
  }
}

function checkEnum(name: string, value: Parameter, values: readonly string[]): void {
  if (value === '' || (typeof value === 'string' && values.includes(value))) return
  throw invalid(name, `Invalid ${name}: must be one of ${values.join(', ')}`)
}

function checkEmail(name: string, value: Parameter): void {
  checkText(name, value, MAX_EMAIL)
  if (value === '' || (typeof value === 'string' && EMAIL.test(value))) return
  throw invalid(name, `Invalid email address: ${String(value)}`, 'email_invalid')
}

function checkMetadata(name: string, value: Parameter): void {
  if (value === '') return
  if (typeof value === 'string')
    throw invalid(name, 'Invalid metadata: metadata must be a set of key-value pairs')
  for (const [key, text] of Object.entries(value)) {
    if (key.length > MAX_METADATA_KEY) {
      throw invalid(
        name,
        `Metadata keys can be up to ${MAX_METADATA_KEY} characters long. Invalid key (${key.length} characters): ${key}`,
      )
    }
    if (typeof text !== 'string') throw invalid(`${name}[${key}]`, 'Metadata values must be strings')
    if ([...text].length > MAX_METADATA_VALUE) {
      throw invalid(
        `${name}[${key}]`,
        `Metadata values can have up to ${MAX_METADATA_VALUE} characters, but you passed in a value that is ${[...text].length} characters.`,
      )
    }
  }
}

/** Checked on the object as it would become, since an update merges. @throws StripeApiError 400 */
export function checkMetadataSize(metadata: Readonly<Record<string, string>>): void {
  if (Object.keys(metadata).length <= MAX_METADATA_KEYS) return
  throw invalid('metadata', `You can specify up to ${MAX_METADATA_KEYS} metadata keys.`)
}

function checkHash(name: string, value: Parameter, shape: Extract<Shape, { kind: 'hash' }>): void {
  if (value === '') return
  if (typeof value === 'string') throw invalid(name, 'Invalid object')
  for (const field of shape.required ?? []) {
    if (!Object.hasOwn(value, field)) {
      throw invalid(`${name}[${field}]`, `Missing required param: ${name}[${field}].`, 'parameter_missing')
    }
  }
  for (const [field, child] of Object.entries(value))
    checkValue(`${name}[${field}]`, child, shape.fields[field])
}

function notEmulated(name: string): StripeApiError {
  return new StripeApiError(501, `The local Stripe emulator does not act on the parameter ${name}.`, {
    type: 'api_error',
    param: name,
  })
}

function invalid(param: string, message: string, code?: string): StripeApiError {
  return new StripeApiError(400, message, code === undefined ? { param } : { code, param })
}
