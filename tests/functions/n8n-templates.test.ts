import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { n8nTemplates } from '../../shared/generated/n8n-templates.ts'
import { fillTemplate } from '../../shared/services/n8n/fill-template.ts'
import {
  CREDENTIAL_TYPES,
  type PlaceholderValues,
  type Template,
  templateSchema,
} from '../../shared/services/n8n/template.ts'
import { bundleN8nTemplates } from '../../tools/n8n-templates/bundle.ts'

const ours = n8nTemplates.map((text): Template => templateSchema.parse(JSON.parse(text)))
const credentials = {
  project: { id: 'cred-1', name: 'client-x project' },
  webhook: { id: 'cred-2', name: 'client-x webhook' },
}
const values: PlaceholderValues = {
  clientId: '0198c3a0-1111-7222-8333-444455556666',
  clientName: 'Archer Ltd',
  clientSlug: 'archer-ltd',
  clientEmail: 'billing@archer.example',
  projectUrl: 'https://abcdefghijklmnopqrst.supabase.co',
}

/** What n8n evaluates: a text that begins with =, and in some nodes double braces anywhere. */
function evaluated(value: unknown): string[] {
  if (typeof value === 'string') return value.startsWith('=') || value.includes('{{') ? [value] : []
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(evaluated) : []
}

/** Fields and their types, without what the texts say. */
function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shapeOf)
  if (typeof value !== 'object' || value === null) return typeof value
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, shapeOf(each)]))
}

describe('a template that is filled', () => {
  it('has the client’s values where the placeholders were, and the credentials by their ids', () => {
    for (const template of ours) {
      const workflow = fillTemplate(template, 'client-x it', values, credentials)
      const text = JSON.stringify(workflow)
      expect(text).not.toMatch(/<<|>>/)
      expect(text).toContain('Archer Ltd')
      expect(workflow.name).toBe('client-x it')
      for (const node of template.nodes)
        for (const [type, { name }] of Object.entries(node.credentials ?? {}))
          expect(workflow.nodes).toContainEqual(
            expect.objectContaining({ name: node.name, credentials: { [type]: credentials[name] } }),
          )
    }
  })

  const hostile = fc.oneof(
    fc.string({ unit: 'grapheme', maxLength: 40 }),
    fc
      .array(
        fc.constantFrom(
          '=',
          '{{',
          '}}',
          '{',
          '}',
          ' $env.SECRET ',
          '"',
          '\\',
          '":{"',
          '<<clientEmail>>',
          "'",
          '\n',
        ),
        { maxLength: 8 },
      )
      .map((parts) => parts.join('')),
  )

  it('keeps its fields, and n8n evaluates what it did before, whatever the client is called', () => {
    const calm = ours.map((template) => fillTemplate(template, 'x', values, credentials))
    fc.assert(
      fc.property(hostile, hostile, (clientName, clientEmail) => {
        for (const [index, template] of ours.entries()) {
          const filled = fillTemplate(template, 'x', { ...values, clientName, clientEmail }, credentials)
          // As it travels.
          const sent = JSON.parse(JSON.stringify(filled))
          expect(shapeOf(sent)).toEqual(shapeOf(calm[index]))
          expect(evaluated(sent)).toEqual(evaluated(calm[index]))
        }
      }),
      { numRuns: 300 },
    )
  })

  it.each(['={{ $env.N8N_ENCRYPTION_KEY }}', '=1', '{{{{ 1 }}}}', '{{{1}}}'])(
    'says %s of a client of that name, and does not evaluate it',
    (clientName) => {
      const template = named('<<clientName>>')
      const filled = fillTemplate(template, 'x', { ...values, clientName }, credentials)
      expect(evaluated(filled)).toEqual([])
      const letters = (text: string) => text.replaceAll(' ', '')
      expect(letters(JSON.stringify(filled))).toContain(letters(clientName))
    },
  )

  it('puts no placeholder of a client’s own name in the place of another', () => {
    const filled = fillTemplate(
      named('<<clientName>>'),
      'x',
      { ...values, clientName: '<<projectUrl>>' },
      credentials,
    )
    expect(JSON.stringify(filled)).not.toContain(values.projectUrl)
  })
})

/** A workflow with a text in a node that takes it as it is. */
function named(value: string, key = 'value'): Template {
  return {
    name: 'mine',
    nodes: [
      {
        id: 'a',
        name: 'Set',
        type: 'n8n-nodes-base.set',
        typeVersion: 3.4,
        position: [0, 0],
        parameters: { [key]: value },
      },
    ],
    connections: {},
    settings: {},
  }
}

describe('the file of templates', () => {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'n8n-templates-'))
  })
  afterAll(() => rm(folder, { recursive: true }))

  async function bundle(content: unknown): Promise<string> {
    await writeFile(
      path.join(folder, 'mine.json'),
      typeof content === 'string' ? content : JSON.stringify(content),
    )
    return bundleN8nTemplates(folder)
  }

  it('is written from the files as they are, quotes and all', async () => {
    const template = named('it\'s "quoted" \\ and \u2028 broken')
    const text = await bundle(template)
    const [, literal = ''] = /readonly string\[\] = \[\n {2}('.*'),\n\]/s.exec(text) ?? []
    // Read as the runtime would.
    const read: unknown = new Function(`return ${literal}`)()
    expect(JSON.parse(String(read))).toEqual(template)
    expect(literal).not.toContain('\u2028')
  })

  const node = named('x').nodes[0]
  it.each([
    ['no JSON', '{', 'n8n-templates/mine.json is no JSON'],
    [
      'an unknown placeholder',
      named('<<clientSecret>>'),
      '"clientSecret" is not known here. Known: clientId, clientName',
    ],
    ['a placeholder that does not end', named('<<clientName'), '"clientName" is not known here'],
    ['a placeholder in what n8n evaluates', named('={{ "<<clientName>>" }}'), 'n8n evaluates this text'],
    [
      'a placeholder in code',
      named('return "<<clientName>>"', 'jsCode'),
      'placeholders may stand under value, content',
    ],
    ['a name in an address', named('<<clientName>>/x', 'path'), 'Known: clientId, clientSlug'],
    ['a placeholder for a field', named('x', '<<clientName>>'), 'a placeholder in the name of a field'],
    ['what n8n alone writes', { ...named('x'), active: true }, 'Unrecognized key: "active"'],
    ['another name', { ...named('x'), name: 'theirs' }, "name: must be mine, as the file's"],
    ['two nodes of one name', { ...named('x'), nodes: [node, node] }, 'two are called "Set"'],
    [
      'a connection to nowhere',
      { ...named('x'), connections: { Set: { main: [[{ node: 'Gone', type: 'main', index: 0 }]] } } },
      'there is no node "Gone"',
    ],
    [
      'a credential of another type',
      { ...named('x'), nodes: [{ ...node, credentials: { httpBasicAuth: { name: 'project' } } }] },
      'the credential project is of the type supabaseApi, not httpBasicAuth',
    ],
    [
      'a credential’s id',
      { ...named('x'), nodes: [{ ...node, credentials: { supabaseApi: { name: 'project', id: '7' } } }] },
      'Unrecognized key: "id"',
    ],
  ])('is not written with %s', async (_what, content, message) => {
    await expect(bundle(content)).rejects.toThrow(message)
  })

  it('has a trigger that starts by itself in each of ours, and no secret', () => {
    expect(ours.map(({ name }) => name)).toEqual(['new-contact', 'weekly-report'])
    for (const { nodes } of ours)
      expect(nodes.some(({ type }) => /\.(?:webhook|scheduleTrigger)$/.test(type))).toBe(true)
    expect(n8nTemplates.join()).not.toMatch(/sb_secret|eyJ|serviceRole/)
    expect(Object.keys(CREDENTIAL_TYPES)).toEqual(['project', 'webhook'])
  })
})
