/** A JSON Schema, as far as types can say one. */
export type Schema = { readonly [key: string]: unknown }

const STATEMENT = /^(interface|type|declare const) (\w+)\b/gm
const TOKEN = /\/\*\*[\s\S]*?\*\/|'[^']*'|"[^"]*"|=>|[\w$.-]+|\S/g
const LIMITS = /@(minLength|maxLength|minimum|maximum|pattern) (\S+)/g

/**
 * Reads declarations of TypeScript that a generator has written, and says each type as a JSON Schema. It knows the forms that this
 * generator uses and no others: objects, arrays, unions, literals, references, the keys of a constant, and functions. What a comment
 * says of lengths, ranges and patterns becomes part of the schema. The whole file is cut once, by its statements; a type is read when it
 * is first asked for.
 */
export class TypeSchemas {
  readonly #text: string
  /** Where a declaration begins; a constant may have the name of a type. */
  readonly #types = new Map<string, number>()
  readonly #constants = new Map<string, number>()

  constructor(text: string) {
    this.#text = text
    for (const match of text.matchAll(STATEMENT)) {
      const [whole, kind, name = ''] = match
      const index = kind === 'declare const' ? this.#constants : this.#types
      index.set(name, match.index + whole.length)
    }
  }

  has(name: string): boolean {
    return this.#types.has(name)
  }

  /** The type with all that it refers to, none of which refers to itself. @throws Error for a form that is not known */
  schema(name: string): Schema {
    const start = this.#types.get(name)
    if (start === undefined) throw new Error(`There is no type ${name}.`)
    const tokens = this.#tokensFrom(start)
    if (tokens.peek() === '=') tokens.next()
    return this.#union(tokens)
  }

  /** The parameters of a function, in order. */
  parameters(name: string): readonly { readonly name: string; readonly type: Schema | undefined }[] {
    const start = this.#constants.get(name)
    if (start === undefined) throw new Error(`There is no function ${name}.`)
    const tokens = this.#tokensFrom(start)
    tokens.expect(':')
    tokens.expect('(')
    const parameters: { name: string; type: Schema | undefined }[] = []
    while (!tokens.take(')')) {
      const parameter = tokens.next()
      tokens.take('?')
      tokens.expect(':')
      const isOurs = tokens.peek() !== 'RequestInit'
      parameters.push({ name: parameter, type: isOurs ? this.#union(tokens) : skip(tokens) })
      tokens.take(',')
    }
    return parameters
  }

  #tokensFrom(start: number): Tokens {
    return new Tokens(this.#text, start)
  }

  #union(tokens: Tokens): Schema {
    const options: Schema[] = []
    tokens.take('|')
    do options.push(this.#intersection(tokens))
    while (tokens.take('|'))
    const [only] = options
    return options.length === 1 && only ? only : { anyOf: options }
  }

  #intersection(tokens: Tokens): Schema {
    const parts: Schema[] = []
    do parts.push(this.#array(tokens))
    while (tokens.take('&'))
    const [only] = parts
    return parts.length === 1 && only ? only : { allOf: parts }
  }

  #array(tokens: Tokens): Schema {
    let type = this.#single(tokens)
    while (tokens.peek() === '[') {
      tokens.next()
      tokens.expect(']')
      type = { type: 'array', items: type }
    }
    return type
  }

  #single(tokens: Tokens): Schema {
    const token = tokens.next()
    if (token === '{') return this.#object(tokens)
    if (token === '(') {
      const inner = this.#union(tokens)
      tokens.expect(')')
      return inner
    }
    if (token === 'typeof') return this.#keysOfConstant(tokens)
    if (/^['"]/.test(token)) return { const: token.slice(1, -1) }
    if (/^-?\d/.test(token)) return { const: Number(token) }
    return KEYWORDS[token] ?? this.schema(token)
  }

  #object(tokens: Tokens): Schema {
    const properties: Record<string, Schema> = {}
    const required: string[] = []
    let comment = ''
    while (!tokens.take('}')) {
      const token = tokens.next()
      if (token.startsWith('/**')) comment = token
      else if (token === ';' || token === 'readonly') continue
      else if (token === '[') tokens.skipTo(';')
      else {
        const name = /^['"]/.test(token) ? token.slice(1, -1) : token
        if (!tokens.take('?')) required.push(name)
        tokens.expect(':')
        properties[name] = withLimits(this.#union(tokens), comment)
        comment = ''
      }
    }
    return { type: 'object', properties, required }
  }

  /** `typeof X[keyof typeof X]`: the values of the constant X. */
  #keysOfConstant(tokens: Tokens): Schema {
    const name = tokens.next()
    tokens.skipTo(']')
    const start = this.#constants.get(name)
    if (start === undefined) throw new Error(`There is no constant ${name}.`)
    const constant = this.#tokensFrom(start)
    constant.expect(':')
    const { properties } = this.#single(constant) as { properties: Record<string, { const: unknown }> }
    return { enum: Object.values(properties).map((value) => value.const) }
  }
}

const KEYWORDS: Readonly<Record<string, Schema>> = {
  string: { type: 'string' },
  number: { type: 'number' },
  boolean: { type: 'boolean' },
  null: { type: 'null' },
  unknown: {},
  void: {},
}

function withLimits(type: Schema, comment: string): Schema {
  const limits = [...comment.matchAll(LIMITS)].map(([, name = '', value = '']) => [
    name,
    name === 'pattern' ? value : Number(value),
  ])
  return limits.length === 0 ? type : { ...type, ...Object.fromEntries(limits) }
}

function skip(tokens: Tokens): undefined {
  tokens.next()
  return undefined
}

/** The words of a declaration, one after the other. */
class Tokens {
  readonly #text: string
  readonly #token = new RegExp(TOKEN)
  #next: string | undefined

  constructor(text: string, start: number) {
    this.#text = text
    this.#token.lastIndex = start
  }

  peek(): string {
    this.#next ??= this.#token.exec(this.#text)?.[0] ?? ''
    return this.#next
  }

  next(): string {
    const token = this.peek()
    this.#next = undefined
    return token
  }

  take(wanted: string): boolean {
    if (this.peek() !== wanted) return false
    this.next()
    return true
  }

  expect(wanted: string): void {
    const token = this.next()
    if (token !== wanted) throw new Error(`The types have ${token} where ${wanted} was expected.`)
  }

  skipTo(wanted: string): void {
    while (this.next() !== wanted);
  }
}
