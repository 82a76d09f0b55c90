import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { parseSync } from 'vite'
import { PUBLIC_SCHEMA } from '../../shared/kernel/database/schema.ts'
import { projectRoot } from '../../tools/project.ts'

/** A template of postgres.js as the server would see it, with $1, $2 … for its parameters. */
export interface SqlText {
  /** File and line. */
  readonly place: string
  readonly text: string
}

export interface SqlFile {
  readonly templates: readonly SqlText[]
  /** Calls of `.unsafe`, with the text that they send, or the expression in the brackets where it is put together. */
  readonly scripts: readonly (SqlText & { readonly isFixed: boolean })[]
  /** Functions called `sql` that write a query, as the GraphQL API has them. */
  readonly queries: readonly string[]
}

/** Expressions within templates that stand for a part of the statement and not for a parameter. */
const PARTS: Readonly<Record<string, string>> = {
  publicSchema: PUBLIC_SCHEMA,
  value: 'null::jsonb',
  'record ?? this.#sql`null`': 'null',
}

interface Node {
  readonly type: string
  readonly start: number
  readonly end: number
}

export async function readSqlFile(file: string): Promise<SqlFile> {
  return sqlOf(file, await readFile(path.join(projectRoot, file), 'utf8'))
}

export function sqlOf(file: string, source: string): SqlFile {
  const { program, errors } = parseSync(file, source)
  if (errors.length > 0) throw new Error(`${file} cannot be read: ${errors[0]?.message}`)
  const place = ({ start }: Node) => `${file}:${source.slice(0, start).split('\n').length}`
  const textOf = ({ start, end }: Node) => source.slice(start, end)
  const nodes = [...nodesOf(program)]
  const fixed = fixedTexts(nodes, textOf)
  return {
    templates: nodes
      .filter(({ type }) => type === 'TaggedTemplateExpression')
      .map((node) => ({ place: place(node), text: statementOf(childOf(node, 'quasi'), textOf) })),
    scripts: nodes.filter(isUnsafeCall).map((node) => {
      const argument = textOf(childrenOf(node, 'arguments')[0] ?? node)
      return { place: place(node), text: fixed.get(argument) ?? argument, isFixed: fixed.has(argument) }
    }),
    queries: nodes
      .filter((node) => node.type === 'Property' && textOf(childOf(node, 'key')) === 'sql')
      .filter((node) => childOf(node, 'value').type === 'ArrowFunctionExpression')
      .map(place),
  }
}

/** How many templates there are, counted without reading the language: a backtick after the name of a client or its type arguments. */
export function countTemplates(source: string): number {
  const code = source.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '')
  return [...code.matchAll(/(?:sql|client)(?:<[^`=]*>)?`/gi)].length
}

function statementOf(template: Node, textOf: (node: Node) => string): string {
  const expressions = childrenOf(template, 'expressions').map(textOf)
  let parameters = 0
  const text = childrenOf(template, 'quasis')
    .map((quasi, index) => {
      const expression = expressions[index]
      const after = expression === undefined ? '' : (PARTS[expression] ?? `$${++parameters}`)
      return cookedText(quasi) + after
    })
    .join('')
    .trim()
  return /^(select|insert|update|delete|with)\b/.test(text) ? text : `select ${text}`
}

/** What stands between two expressions of a template. */
function cookedText(quasi: Node): string {
  const value: unknown = Reflect.get(quasi, 'value')
  if (typeof value === 'object' && value !== null && 'cooked' in value && typeof value.cooked === 'string')
    return value.cooked
  throw new Error('a part of a template has no text')
}

/** The constants of a file that are texts, with the constants in them put in, by name. */
function fixedTexts(nodes: readonly Node[], textOf: (node: Node) => string): ReadonlyMap<string, string> {
  const texts = new Map<string, string>()
  for (const node of nodes) {
    if (node.type !== 'VariableDeclarator' || !has(node, 'init')) continue
    const init = childOf(node, 'init')
    const isText =
      init.type === 'TemplateLiteral' || (init.type === 'Literal' && textOf(init).startsWith("'"))
    if (!isText) continue
    const text = textOf(init)
      .slice(1, -1)
      .replace(/\$\{(\w+)\}/g, (given, name: string) => texts.get(name) ?? given)
    if (!text.includes('${')) texts.set(textOf(childOf(node, 'id')), text)
  }
  return texts
}

function isUnsafeCall(node: Node): boolean {
  if (node.type !== 'CallExpression') return false
  const callee = childOf(node, 'callee')
  return callee.type === 'MemberExpression' && Reflect.get(childOf(callee, 'property'), 'name') === 'unsafe'
}

/** A node and all below it, in the order of the source. */
function* nodesOf(value: unknown): Generator<Node> {
  if (isNode(value)) yield value
  if (typeof value !== 'object' || value === null) return
  for (const child of Object.values(value)) yield* nodesOf(child)
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'type' in value && 'start' in value && 'end' in value
}

const has = (node: Node, name: string) => isNode(Reflect.get(node, name))

function childOf(node: Node, name: string): Node {
  const child: unknown = Reflect.get(node, name)
  if (!isNode(child)) throw new Error(`${node.type} has no ${name}`)
  return child
}

function childrenOf(node: Node, name: string): Node[] {
  const children: unknown = Reflect.get(node, name)
  if (!Array.isArray(children)) throw new Error(`${node.type} has no ${name}`)
  return children.filter(isNode)
}
