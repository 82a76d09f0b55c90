import { METHODS } from 'node:http'
import fc from 'fast-check'

/** Stand for what is known only when the project runs: without them few requests would get behind the first checks. */
export const ORGANIZATION = '00000000-aaaa-4aaa-8aaa-000000000000'
export const USER = '00000000-bbbb-4bbb-8bbb-000000000000'
export const EMAIL = 'somebody-who-has-signed-up@example.com'

/** Each function with requests that it lets in, and the fields that it knows. One that is not here fails the tests. */
const KNOWN: Readonly<
  Record<string, { readonly bodies: readonly object[]; readonly fields: readonly string[] }>
> = {
  'check-tenant-health': {
    bodies: [{}, { organizationId: ORGANIZATION }],
    fields: ['organizationId', 'deep'],
  },
  'deprovision-tenant-resources': {
    bodies: [{ organizationId: ORGANIZATION }, { organizationId: ORGANIZATION, dryRun: true }],
    fields: ['organizationId', 'confirm', 'dryRun', 'wait'],
  },
  graphql: {
    bodies: [{ query: '{ isOperator }' }],
    fields: ['query', 'variables', 'operationName', 'extensions'],
  },
  'tenant-graphql': {
    bodies: [{ query: '{ contacts(first: 1) { totalCount } }' }],
    fields: ['query', 'variables', 'operationName', 'documentId', 'extensions'],
  },
  'handle-new-user': {
    bodies: [{ userId: USER }, { type: 'INSERT', schema: 'auth', table: 'users', record: { id: USER } }],
    fields: ['userId', 'type', 'schema', 'table', 'record', 'old_record'],
  },
  'provision-tenant-resources': {
    bodies: [
      { organizationId: ORGANIZATION },
      { clientId: ORGANIZATION, clientName: 'Acme', orgEmail: 'office@example.com' },
      { email: EMAIL },
      { email: EMAIL, metadata: { full_name: 'Ada' } },
      { organizationId: ORGANIZATION, cancel: true, dryRun: true },
    ],
    fields: [
      'organizationId',
      'clientId',
      'clientName',
      'orgEmail',
      'email',
      'metadata',
      'services',
      'databaseSize',
      'dataRegion',
      'tier',
      'cancel',
      'dryRun',
      'wait',
    ],
  },
  // It knows no field; each is refused.
  'deliver-alerts': { bodies: [{}], fields: ['organizationId'] },
  'reconcile-tenants': { bodies: [{}], fields: ['dryRun', 'wait'] },
}
export const knownOf = (name: string) => {
  const known = KNOWN[name]
  if (!known) throw new Error(`say in KNOWN which requests ${name} lets in`)
  return known
}

/** Texts that Postgres cannot keep. */
export const UNSTORABLE = ['a\u0000b', '\ud800'] as const
/** Texts that it cannot keep either, that other layers stumble over, or that mean something to a program. */
export const oddText = fc.constantFrom(
  ...UNSTORABLE,
  '\u0000',
  '\udc00x',
  '💥',
  ' ',
  '\n',
  "'; select 1 --",
  '__proto__',
  'x'.repeat(70),
  'x'.repeat(2_000),
)
const text = fc.oneof(oddText, fc.string({ unit: 'binary', maxLength: 40 }), fc.string({ maxLength: 12 }))
const { nested } = fc.letrec((tie) => ({
  nested: fc.oneof(
    { maxDepth: 3 },
    fc.oneof(text, fc.constantFrom(null, true, 0, -1, 1e308)),
    fc.dictionary(text, tie('nested'), { maxKeys: 3 }),
    fc.array(tie('nested'), { maxLength: 3 }),
  ),
}))
const metadataKey = fc.oneof(
  fc.constantFrom('organization_name', 'full_name', 'avatar_url', 'data_region', 'billing_email', 'plan'),
  text,
)
export const metadata = fc.dictionary(metadataKey, nested, { maxKeys: 4 })

/** Values that look like what the functions expect, next to ones that do not. */
export const value = fc.oneof(
  fc.uuid(),
  fc.constantFrom(ORGANIZATION, ORGANIZATION, USER, EMAIL, ['stripe'], 'small', 'eu', 'INSERT', 'auth'),
  fc.constantFrom<unknown[]>(true, false, null, '', 0, -1, 1e308),
  text,
  fc.array(fc.string({ maxLength: 8 }), { maxLength: 4 }),
  fc.jsonValue({ maxDepth: 3 }),
  metadata,
)
const field = fc.oneof(
  fc.constantFrom(...new Set(Object.values(KNOWN).flatMap(({ fields }) => fields))),
  fc.constantFrom('action', 'jobId', 'expiresAt', 'signature', 'user', 'constructor', ''),
  text,
)
const DEEP = `${'['.repeat(29_000)}${']'.repeat(29_000)}`
/** Not what JSON.stringify writes of fields. */
export const ODD_BODIES: readonly (string | Buffer)[] = [
  '',
  '\ufeff{}',
  '{"organizationId": 1e400}',
  `{"organizationId": "${ORGANIZATION}", "organizationId": 1}`,
  `{"__proto__": {"organizationId": "${ORGANIZATION}"}}`,
  '['.repeat(30_000),
  DEEP,
  `{"email": "${EMAIL}", "metadata": {"x": ${DEEP}}}`,
  `{"query": "{ isOperator }", "variables": {"x": ${DEEP}}}`,
  `{"organizationId": "${'x'.repeat(70_000)}"}`,
  Buffer.from([0xff, 0xfe, 0x00, 0x80, 0x7b, 0x7d]),
  Buffer.from('1f8b0800000000000003abae05004382bfa602000000', 'hex'),
]
export const json = (fields: fc.Arbitrary<unknown>) => fields.map((sent) => JSON.stringify(sent) ?? '')
export const bodyFor = (name: string): fc.Arbitrary<string | Buffer> =>
  fc.oneof(
    json(fc.constantFrom(...knownOf(name).bodies)),
    json(
      fc
        .tuple(fc.constantFrom(...knownOf(name).bodies), fc.dictionary(field, value, { maxKeys: 3 }))
        .map(([known, more]) => ({ ...known, ...more })),
    ),
    json(fc.dictionary(field, value, { maxKeys: 6 })),
    fc.json(),
    fc.string({ unit: 'binary', maxLength: 200 }),
    fc.constantFrom(...ODD_BODIES),
  )

/** What HTTP lets pass in a header. */
const headerText = fc.oneof(
  fc.string({ unit: fc.constantFrom(...'abcXYZ019._-+/=~,;:*"{}[]() \t'), maxLength: 60 }),
  fc.string({ unit: fc.constantFrom(...'é\u0080ÿ%00'), maxLength: 8 }),
  fc.constantFrom('', 'null', '-1', 'NaN', '1e99', '*', 'x'.repeat(4_000)),
)
const oneOf = (...usual: string[]) => fc.oneof(fc.constantFrom(...usual), headerText)
export const HEADERS: Readonly<Record<string, fc.Arbitrary<string>>> = {
  accept: oneOf(
    'application/json',
    'application/graphql-response+json',
    'text/event-stream',
    'multipart/mixed',
    'text/html',
    '*/*',
    'application/*;q=0',
    'application/json;charset=utf-16',
  ),
  'accept-encoding': oneOf('gzip', 'br', 'deflate', 'identity;q=0', 'zstd, *;q=0', '*'),
  apikey: oneOf('sb_secret_x', 'sb_publishable_x', 'eyJhbGciOiJub25lIn0.e30.'),
  'content-encoding': oneOf('gzip', 'br', 'identity'),
  'content-type': oneOf(
    'application/json; charset=utf-7',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'multipart/form-data',
    'text/plain',
    'application/graphql',
  ),
  cookie: oneOf('a=b', 'sb-access-token=x'),
  'if-none-match': oneOf('*', '"x"'),
  'last-event-id': headerText,
  origin: oneOf('https://app.example.com', 'null'),
  prefer: oneOf('return=minimal', 'respond-async', 'count=exact'),
  range: oneOf('bytes=0-', 'bytes=9999999999-', '0-9'),
  'webhook-id': headerText,
  'webhook-signature': oneOf('v1,AAAA', 'v1', 'v1a,AAAA', ', ,', 'v1,\u00ff', `v1,${'A'.repeat(44)}`),
  'webhook-timestamp': oneOf('0', '-1', '99999999999999999999', '1e9'),
  'x-client-info': headerText,
  'x-forwarded-for': oneOf('127.0.0.1', '::1, unknown'),
  'x-http-method-override': oneOf('DELETE', 'GET'),
  'x-request-id': headerText,
}
const namedHeader = fc
  .constantFrom(...Object.keys(HEADERS))
  .chain((name) => fc.tuple(fc.constant(name), HEADERS[name] ?? headerText))
const unknownHeader = fc.tuple(
  fc
    .string({ unit: fc.constantFrom(..."abcxyz019!#$%&'*+.^_`|~-"), minLength: 1, maxLength: 20 })
    .map((name) => `x-${name}`),
  headerText,
)
export const headers = fc
  .array(fc.oneof({ weight: 5, arbitrary: namedHeader }, { weight: 1, arbitrary: unknownHeader }), {
    maxLength: 4,
  })
  .map((pairs): Record<string, string> => Object.fromEntries(pairs))

export type Credential =
  | 'none'
  | 'secret key'
  | 'secret bearer'
  | 'owner'
  | 'publishable key'
  | { bearer: string }
const credential = fc.oneof(
  fc.constantFrom<Credential[]>('secret key', 'secret bearer', 'secret key', 'secret bearer'),
  fc.constantFrom<Credential[]>('none', 'owner', 'publishable key'),
  headerText.map((bearer) => ({ bearer })),
)

/** CONNECT asks for a tunnel, which is no business of a function's. */
const HTTP_METHODS = METHODS.filter((method) => method !== 'CONNECT')
const method = fc.oneof(
  { weight: 8, arbitrary: fc.constant('POST') },
  { weight: 2, arbitrary: fc.constantFrom('GET', 'HEAD', 'OPTIONS', 'PUT', 'PATCH', 'DELETE', 'TRACE') },
  { weight: 1, arbitrary: fc.constantFrom(...HTTP_METHODS) },
  {
    weight: 1,
    arbitrary: fc.string({ unit: fc.constantFrom(...'ABCXYZ019!$%*+.-_~|'), minLength: 1, maxLength: 20 }),
  },
)
const path = fc.constantFrom('', '', '', '/', '/more', '?query={__typename}', '?%00&apikey=x', '/%ff%00')

export interface Sent {
  readonly method: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly credential: Credential
  readonly body: string | Buffer
  /** Without content-length. */
  readonly chunked: boolean
}

export const requestOf = (body: fc.Arbitrary<string | Buffer>): fc.Arbitrary<Sent> =>
  fc.record({ method, path, headers, credential, body, chunked: fc.boolean() })

export const plain: Omit<Sent, 'body'> = {
  method: 'POST',
  path: '',
  headers: {},
  credential: 'secret key',
  chunked: false,
}
