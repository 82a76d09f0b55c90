import { notImplemented, RestError } from './errors.ts'
import { type Field, field, fieldName, identifier, Scanner, separated, tryFieldName } from './scanner.ts'

/** A column in `select`; `*` is all of them. */
export interface SelectField {
  readonly kind: 'field'
  readonly field: Field | '*'
  readonly alias: string | undefined
  readonly cast: string | undefined
}

/** A related table in `select`: `alias:relation!hint!inner(…)`, or `...relation(…)`, whose columns join its parent's. */
export interface SelectRelation {
  readonly kind: 'relation'
  readonly name: string
  readonly alias: string | undefined
  readonly hint: string | undefined
  readonly inner: boolean
  readonly spread: boolean
  readonly items: readonly SelectItem[]
}

export type SelectItem = SelectField | SelectRelation

export function parseSelect(text: string): SelectItem[] {
  const scanner = new Scanner(text, 'select parameter')
  const items = selectItems(scanner)
  scanner.expectEnd()
  return items
}

function selectItems(scanner: Scanner): SelectItem[] {
  if (scanner.atEnd || scanner.isBefore(')')) return []
  return separated(scanner, () => {
    scanner.match(/[ \t]*/y)
    const item = scanner.attempt(() => relation(scanner)) ?? selectField(scanner)
    scanner.match(/[ \t]*/y)
    return item
  })
}

function relation(scanner: Scanner): SelectRelation | undefined {
  const spread = scanner.take('...')
  const alias = spread ? undefined : scanner.attempt(() => itemAlias(scanner))
  const name = spread ? fieldName(scanner) : tryFieldName(scanner)
  if (name === undefined || name === 'count') return undefined
  const parameters: string[] = []
  while (parameters.length < 2 && scanner.take('!')) parameters.push(fieldName(scanner))
  if (spread || parameters.length > 0) scanner.expect('(')
  else if (!scanner.take('(')) return undefined
  const items = selectItems(scanner)
  scanner.expect(')')
  const hint = parameters.find((each) => each !== 'inner' && each !== 'left')
  return { kind: 'relation', name, alias, hint, inner: parameters.includes('inner'), spread, items }
}

function itemAlias(scanner: Scanner): string | undefined {
  const name = tryFieldName(scanner)
  return name !== undefined && scanner.match(/:(?!:)/y) ? name : undefined
}

function selectField(scanner: Scanner): SelectField {
  if (scanner.match(/\*(?=[,)]|$)/y)) return { kind: 'field', field: '*', alias: undefined, cast: undefined }
  const alias = scanner.attempt(() => itemAlias(scanner))
  if (scanner.match(/count\(\)/y)) throw aggregatesNotAllowed()
  const column = field(scanner)
  const cast = scanner.take('::') ? identifier(scanner) : undefined
  if (scanner.match(/\.(sum|avg|count|max|min)\(\)/y)) throw aggregatesNotAllowed()
  if (scanner.isBefore('(')) throw notImplemented('this form of select')
  return { kind: 'field', field: column, alias, cast }
}

/** As on a hosted project, which has aggregates only where `pgrst.db_aggregates_enabled` was switched on. */
function aggregatesNotAllowed(): RestError {
  return new RestError(400, 'PGRST123', 'Use of aggregate functions is not allowed')
}
