import { z } from 'zod'

/** What a template may have the client's value for, written <<clientName>>. */
export const PLACEHOLDERS = ['clientId', 'clientName', 'clientSlug', 'clientEmail', 'projectUrl'] as const
export type PlaceholderValues = Readonly<Record<(typeof PLACEHOLDERS)[number], string>>

/**
 * The credentials that each client has at n8n, by the name that nodes of a template call them by. `project` reads and writes
 * the client's Supabase project whatever its policies say; `webhook` is the header that a caller of a webhook has to send.
 */
export const CREDENTIAL_TYPES = { project: 'supabaseApi', webhook: 'httpHeaderAuth' } as const
export type CredentialName = keyof typeof CREDENTIAL_TYPES
export const CREDENTIAL_NAMES: readonly CredentialName[] = ['project', 'webhook']

/**
 * Where n8n takes a text as it is. Elsewhere it may be code, a query or a name by which nodes refer to each other, and what a
 * client is called would become part of that.
 */
const PLAIN_TEXT_KEYS: readonly string[] = ['value', 'content', 'notes', 'path', 'webhookId']
/** Part of an address: what people have named themselves could lead elsewhere. */
const ADDRESS_KEYS: readonly string[] = ['path', 'webhookId']
const ADDRESS_PLACEHOLDERS: readonly string[] = ['clientId', 'clientSlug']

const node = z.strictObject({
  id: z.string().min(1),
  name: z.string().min(1),
  type: z.string().min(1),
  typeVersion: z.number(),
  position: z.tuple([z.number(), z.number()]),
  parameters: z.record(z.string(), z.json()),
  webhookId: z.string().optional(),
  disabled: z.boolean().optional(),
  notes: z.string().optional(),
  executeOnce: z.boolean().optional(),
  alwaysOutputData: z.boolean().optional(),
  retryOnFail: z.boolean().optional(),
  maxTries: z.number().optional(),
  waitBetweenTries: z.number().optional(),
  onError: z.string().optional(),
  credentials: z.record(z.string(), z.strictObject({ name: z.enum(['project', 'webhook']) })).optional(),
})

const target = z.object({ node: z.string() })

/** A workflow as n8n's editor exports it, without what belongs to one instance: ids, times, tags, whether it is active. */
export const templateSchema = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z][a-z0-9-]{0,59}$/, 'is made of small letters, digits and hyphens, at most 60'),
  nodes: z.array(node).min(1),
  connections: z.record(z.string(), z.record(z.string(), z.array(z.array(target.loose()).nullable()))),
  settings: z.record(z.string(), z.json()),
})
export type Template = z.infer<typeof templateSchema>

/** Everything that is wrong with a template, as sentences; none when it can be used. */
export function templateProblems(value: unknown): string[] {
  const parsed = templateSchema.safeParse(value)
  if (!parsed.success)
    return parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'template'}: ${message}`)
  const template = parsed.data
  return [
    ...nodeProblems(template),
    ...credentialProblems(template),
    ...placeholderProblems(template, '', 'template'),
  ]
}

function nodeProblems({ nodes, connections }: Template): string[] {
  const names = nodes.map(({ name }) => name)
  const twice = names.filter((name, index) => names.indexOf(name) !== index)
  const targets = Object.values(connections).flatMap((outputs) =>
    Object.values(outputs).flatMap((lists) => lists.flatMap((list) => list?.map((each) => each.node) ?? [])),
  )
  const unknown = new Set([...Object.keys(connections), ...targets].filter((name) => !names.includes(name)))
  return [
    ...twice.map((name) => `nodes: two are called ${JSON.stringify(name)}`),
    ...[...unknown].map((name) => `connections: there is no node ${JSON.stringify(name)}`),
  ]
}

function credentialProblems({ nodes }: Template): string[] {
  return nodes.flatMap(({ name, credentials = {} }) =>
    Object.entries(credentials)
      .filter(([type, credential]) => CREDENTIAL_TYPES[credential.name] !== type)
      .map(
        ([type, credential]) =>
          `${name}: the credential ${credential.name} is of the type ${CREDENTIAL_TYPES[credential.name]}, not ${type}`,
      ),
  )
}

/** @param key under which the value stands */
function placeholderProblems(value: unknown, key: string, path: string): string[] {
  if (typeof value === 'string') return textProblems(value, key, path)
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([name, each]) => [
    ...(name.includes('<<') ? [`${path}: a placeholder in the name of a field`] : []),
    ...placeholderProblems(each, Array.isArray(value) ? key : name, `${path}.${name}`),
  ])
}

function textProblems(text: string, key: string, path: string): string[] {
  if (!text.includes('<<')) return []
  const problems: string[] = []
  if (text.startsWith('='))
    problems.push(`${path}: n8n evaluates this text; put the value into a node "Set" and refer to it`)
  if (!PLAIN_TEXT_KEYS.includes(key))
    problems.push(`${path}: placeholders may stand under ${PLAIN_TEXT_KEYS.join(', ')} only`)
  const names = text
    .split('<<')
    .slice(1)
    .map((rest) => rest.split('>>'))
  for (const [name = '', ...rest] of names) {
    const known: readonly string[] = ADDRESS_KEYS.includes(key) ? ADDRESS_PLACEHOLDERS : PLACEHOLDERS
    if (rest.length === 0 || !known.includes(name))
      problems.push(
        `${path}: the placeholder ${JSON.stringify(name.slice(0, 40))} is not known here. Known: ${known.join(', ')}`,
      )
  }
  return problems
}
