import { badRequest } from './errors.ts'

/** A place in one text of the query string. What is parsed here follows the grammar of PostgREST's QueryParams.hs. */
export class Scanner {
  private readonly text: string
  private readonly what: string
  private position = 0

  /** @param what for the error message, as in "failed to parse filter (…)" */
  constructor(text: string, what: string) {
    this.text = text
    this.what = what
  }

  get atEnd(): boolean {
    return this.position >= this.text.length
  }

  /** Steps over these very characters, if they are next. */
  take(literal: string): boolean {
    if (!this.text.startsWith(literal, this.position)) return false
    this.position += literal.length
    return true
  }

  /** Steps over what the pattern (which must have the flag y) finds here; undefined when it finds nothing. */
  match(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.position
    const found = pattern.exec(this.text)
    if (!found) return undefined
    this.position += found[0].length
    return found
  }

  /** What the work returns, or undefined with everything it stepped over given back. */
  attempt<T>(work: () => T | undefined): T | undefined {
    const start = this.position
    const result = work()
    if (result === undefined) this.position = start
    return result
  }

  /** Everything up to the end. */
  rest(): string {
    const rest = this.text.slice(this.position)
    this.position = this.text.length
    return rest
  }

  isBefore(characters: string): boolean {
    return !this.atEnd && characters.includes(this.text.charAt(this.position))
  }

  expect(literal: string): void {
    if (!this.take(literal)) this.fail(`"${literal}"`)
  }

  expectEnd(): void {
    if (!this.atEnd) this.fail('end of input')
  }

  /** @throws RestError (PGRST100) */
  fail(expected: string): never {
    const found = this.atEnd ? 'end of input' : `"${this.text.charAt(this.position)}"`
    throw badRequest(
      `"failed to parse ${this.what} (${this.text})" (line 1, column ${this.position + 1})`,
      `unexpected ${found} expecting ${expected}`,
    )
  }
}

/** A column, or a value inside a JSON column: `column->key->>key`. */
export interface Field {
  readonly column: string
  readonly path: readonly JsonStep[]
}

export interface JsonStep {
  readonly arrow: '->' | '->>'
  /** A number counts from the array's start, a negative one from its end. */
  readonly key: string | number
}

/** `between, and` after it: the items, of which there is at least one. */
export function separated<T>(scanner: Scanner, item: () => T): T[] {
  const items = [item()]
  while (scanner.match(/[ \t]*,[ \t]*/y)) items.push(item())
  return items
}

/** A name of a column or relation: `plain`, `with-dash`, `with blank` or `"quoted"`. */
export function fieldName(scanner: Scanner): string {
  return tryFieldName(scanner) ?? scanner.fail('field name (* or [a..z0..9_$])')
}

export function tryFieldName(scanner: Scanner): string | undefined {
  return quotedValue(scanner) ?? scanner.match(/[\p{L}\p{N}_ $]+(?:-(?!>)[\p{L}\p{N}_ $]+)*/uy)?.[0].trim()
}

export function field(scanner: Scanner): Field {
  return { column: fieldName(scanner), path: jsonPath(scanner) }
}

export function jsonPath(scanner: Scanner): JsonStep[] {
  const steps: JsonStep[] = []
  for (let arrow = jsonArrow(scanner); arrow; arrow = jsonArrow(scanner)) {
    const index = scanner.match(/-?\d+(?=->|::|[.,]|$)/y)?.[0]
    const key =
      index === undefined
        ? (quotedValue(scanner) ?? scanner.match(/[^(\-:.,>)]+(?:-(?!>)[^(\-:.,>)]+)*/y)?.[0].trim())
        : Number(index)
    steps.push({ arrow, key: key ?? scanner.fail('any non reserved character different from: .,>()') })
  }
  return steps
}

function jsonArrow(scanner: Scanner): JsonStep['arrow'] | undefined {
  if (scanner.take('->>')) return '->>'
  return scanner.take('->') ? '->' : undefined
}

/** A type's name or a text search configuration: it goes into the statement as it is, so it holds words only. */
export function identifier(scanner: Scanner): string {
  return (
    scanner.match(/[\p{L}\p{N}_ $]+/uy)?.[0].trim() ??
    scanner.fail('letter, digit or one of the characters "_ $"')
  )
}

export function quotedValue(scanner: Scanner): string | undefined {
  return scanner.match(/"((?:[^"\\]|\\.)*)"/sy)?.[1]?.replaceAll(/\\(.)/gs, '$1')
}
