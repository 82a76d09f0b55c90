import type { PlaceholderValues, Template } from './template.ts'

/** What n8n is sent to make a workflow. */
export interface NewWorkflow {
  readonly name: string
  readonly nodes: readonly object[]
  readonly connections: object
  readonly settings: object
}

/** The credential of each type that nodes may refer to, as it is at n8n. */
export type CredentialReferences = Readonly<Record<string, { readonly id: string; readonly name: string }>>

const PLACEHOLDER = /<<([A-Za-z]{1,20})>>/g

/**
 * A client's workflow. The values come into texts of the parsed template alone, so that none of them can end a text or add a
 * field, and none is evaluated by n8n. @param name of the workflow
 */
export function fillTemplate(
  template: Template,
  name: string,
  values: PlaceholderValues,
  credentials: CredentialReferences,
): NewWorkflow {
  const nodes = template.nodes.map(({ credentials: named = {}, ...node }) => ({
    ...node,
    parameters: filled(node.parameters, values),
    ...(node.webhookId === undefined ? {} : { webhookId: filledText(node.webhookId, values) }),
    ...(node.notes === undefined ? {} : { notes: filledText(node.notes, values) }),
    ...(Object.keys(named).length === 0 ? {} : { credentials: referencesOf(named, credentials) }),
  }))
  return { name, nodes, connections: template.connections, settings: template.settings }
}

function referencesOf(
  named: Readonly<Record<string, { readonly name: string }>>,
  credentials: CredentialReferences,
): CredentialReferences {
  return Object.fromEntries(
    Object.entries(named).map(([type, { name }]) => {
      const reference = credentials[name]
      if (!reference) throw new Error(`there is no credential ${name}`)
      return [type, reference]
    }),
  )
}

function filled(value: unknown, values: PlaceholderValues): unknown {
  if (typeof value === 'string') return filledText(value, values)
  if (Array.isArray(value)) return value.map((each) => filled(each, values))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, filled(each, values)]))
}

function filledText(text: string, values: PlaceholderValues): string {
  if (!text.includes('<<')) return text
  const known: Readonly<Record<string, string>> = values
  const result = text.replace(PLACEHOLDER, (whole, name: string) =>
    Object.hasOwn(known, name) ? withoutExpressions(known[name] ?? '') : whole,
  )
  // A text that begins like this is an expression, whatever follows.
  return result.startsWith('=') ? ` ${result}` : result
}

/** Some nodes evaluate what stands in double braces even in a text that is none of n8n's expressions. */
function withoutExpressions(value: string): string {
  return apart(apart(value, '{'), '}')
}

/** One pass leaves two beside each other where there were three. */
function apart(value: string, brace: string): string {
  const [two, spaced] = [brace + brace, `${brace} ${brace}`]
  return value.replaceAll(two, spaced).replaceAll(two, spaced)
}
