import { checkMetadataSize, type Parameter, type ParameterHash, type Shapes } from './parameters.ts'

export interface Customer {
  readonly id: string
  readonly object: 'customer'
  readonly address: Address | null
  readonly balance: number
  readonly business_name?: string
  readonly created: number
  readonly currency: null
  readonly customer_account: null
  readonly default_source: null
  readonly delinquent: boolean
  readonly description: string | null
  readonly discount: null
  readonly email: string | null
  readonly individual_name?: string
  readonly invoice_prefix: string
  readonly invoice_settings: Readonly<Record<string, null>>
  readonly livemode: boolean
  readonly metadata: Readonly<Record<string, string>>
  readonly name: string | null
  readonly next_invoice_sequence: number
  readonly phone: string | null
  readonly preferred_locales: readonly string[]
  readonly shipping: Shipping | null
  readonly tax_exempt: string
  readonly test_clock: null
}

type Address = Readonly<Record<(typeof ADDRESS_FIELDS)[number], string | null>>

interface Shipping {
  readonly address: Address | null
  readonly name: string | null
  readonly phone: string | null
  readonly carrier: string | null
  readonly tracking_number: string | null
}

const ADDRESS_FIELDS = ['city', 'country', 'line1', 'line2', 'postal_code', 'state'] as const
const ID_ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'

const text = (max: number) => ({ kind: 'text', max }) as const
const address = {
  kind: 'hash',
  fields: Object.fromEntries(ADDRESS_FIELDS.map((field) => [field, text(5000)])),
} as const
const notEmulated = { kind: 'not_emulated' } as const

const sharedShapes: Shapes = {
  address,
  balance: { kind: 'integer' },
  business_name: text(150),
  cash_balance: notEmulated,
  description: text(5000),
  email: { kind: 'email' },
  expand: notEmulated,
  individual_name: text(150),
  invoice_prefix: text(12),
  invoice_settings: notEmulated,
  metadata: { kind: 'metadata' },
  name: text(256),
  next_invoice_sequence: { kind: 'integer', min: 1 },
  phone: text(20),
  preferred_locales: { kind: 'list' },
  shipping: {
    kind: 'hash',
    fields: { address, name: text(5000), phone: text(20), carrier: text(5000), tracking_number: text(5000) },
    required: ['address', 'name'],
  },
  source: notEmulated,
  tax: notEmulated,
  tax_exempt: { kind: 'enum', values: ['none', 'exempt', 'reverse'] },
  validate: notEmulated,
}

export const createShapes: Shapes = {
  ...sharedShapes,
  payment_method: notEmulated,
  tax_id_data: notEmulated,
  test_clock: notEmulated,
}

export const updateShapes: Shapes = { ...sharedShapes, default_source: notEmulated }

export function newCustomer(parameters: ParameterHash, created: number, livemode: boolean): Customer {
  const blank: Customer = {
    id: `cus_${randomText(ID_ALPHABET, 14)}`,
    object: 'customer',
    address: null,
    balance: 0,
    created,
    currency: null,
    customer_account: null,
    default_source: null,
    delinquent: false,
    description: null,
    discount: null,
    email: null,
    invoice_prefix: randomText(ID_ALPHABET, 8).toUpperCase(),
    invoice_settings: {
      custom_fields: null,
      default_payment_method: null,
      footer: null,
      rendering_options: null,
    },
    livemode,
    metadata: {},
    name: null,
    next_invoice_sequence: 1,
    phone: null,
    preferred_locales: [],
    shipping: null,
    tax_exempt: 'none',
    test_clock: null,
  }
  return changedCustomer(blank, parameters)
}

/** The customer after a change; what it does not mention stays. An empty value unsets. @throws StripeApiError 400 */
export function changedCustomer(customer: Customer, parameters: ParameterHash): Customer {
  const has = (name: string) => Object.hasOwn(parameters, name)
  const textOr = (name: string, current: string | null) => (has(name) ? optional(parameters[name]) : current)
  const metadata = mergeMetadata(customer.metadata, parameters.metadata)
  checkMetadataSize(metadata)
  return {
    ...customer,
    address: has('address') ? toAddress(parameters.address) : customer.address,
    balance: has('balance') ? Number(parameters.balance) : customer.balance,
    description: textOr('description', customer.description),
    email: textOr('email', customer.email),
    invoice_prefix: textOr('invoice_prefix', null) ?? customer.invoice_prefix,
    metadata,
    name: textOr('name', customer.name),
    next_invoice_sequence: Number(textOr('next_invoice_sequence', null) ?? customer.next_invoice_sequence),
    phone: textOr('phone', customer.phone),
    preferred_locales: has('preferred_locales')
      ? toList(parameters.preferred_locales)
      : customer.preferred_locales,
    shipping: has('shipping') ? toShipping(parameters.shipping) : customer.shipping,
    tax_exempt: has('tax_exempt') ? (optional(parameters.tax_exempt) ?? 'none') : customer.tax_exempt,
    ...(has('business_name') ? { business_name: optional(parameters.business_name) ?? '' } : {}),
    ...(has('individual_name') ? { individual_name: optional(parameters.individual_name) ?? '' } : {}),
  }
}

function mergeMetadata(
  current: Customer['metadata'],
  changes: Parameter | undefined,
): Record<string, string> {
  if (changes === undefined) return current
  if (typeof changes === 'string') return {}
  const merged = new Map(Object.entries(current))
  for (const [key, value] of Object.entries(changes)) {
    if (value === '') merged.delete(key)
    else merged.set(key, String(value))
  }
  return Object.fromEntries(merged)
}

function toAddress(value: Parameter | undefined): Address | null {
  if (typeof value !== 'object') return null
  const field = (name: (typeof ADDRESS_FIELDS)[number]) => optional(value[name])
  return {
    city: field('city'),
    country: field('country'),
    line1: field('line1'),
    line2: field('line2'),
    postal_code: field('postal_code'),
    state: field('state'),
  }
}

function toShipping(value: Parameter | undefined): Shipping | null {
  if (typeof value !== 'object') return null
  return {
    address: toAddress(value.address),
    name: optional(value.name),
    phone: optional(value.phone),
    carrier: optional(value.carrier),
    tracking_number: optional(value.tracking_number),
  }
}

function toList(value: Parameter | undefined): string[] {
  return typeof value === 'object' ? Object.values(value).map(String) : []
}

function optional(value: Parameter | undefined): string | null {
  return typeof value === 'string' && value !== '' ? value : null
}

export function randomText(alphabet: string, length: number): string {
  return Array.from(crypto.getRandomValues(new Uint32Array(length)), (value) =>
    alphabet.charAt(value % alphabet.length),
  ).join('')
}

export const requestIdAlphabet = ID_ALPHABET
