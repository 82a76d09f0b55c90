/** The statements of a file, each on one line and without comments; what stands between quotes is left as it is. */
export function statementsIn(sql: string): string[] {
  const statements: string[] = []
  let statement = ''
  const end = () => {
    if (statement.trim() !== '') statements.push(statement.trim())
    statement = ''
  }
  for (const token of tokensOf(sql)) {
    if (token === ';') end()
    else if (!isSpace(token)) statement += token
    else if (!statement.endsWith(' ')) statement += ' '
  }
  end()
  return statements
}

/** Split at the commas that stand in no parentheses and no quotes. */
export function listOf(sql: string): string[] {
  const items = ['']
  let depth = 0
  for (const token of tokensOf(sql)) {
    if (token === '(') depth++
    if (token === ')') depth--
    if (token === ',' && depth === 0) items.push('')
    else items.push(`${items.pop() ?? ''}${token}`)
  }
  return items.map((item) => item.trim()).filter((item) => item !== '')
}

/** What stands between the first parenthesis and the one that closes it, and what comes after. */
export function inParentheses(sql: string): { inside: string; after: string } {
  let depth = 0
  let at = 0
  let from = 0
  for (const token of tokensOf(sql)) {
    if (token === '(' && depth++ === 0) from = at + 1
    if (token === ')' && --depth === 0)
      return { inside: sql.slice(from, at).trim(), after: sql.slice(at + 1) }
    at += token.length
  }
  return { inside: sql.slice(from).trim(), after: '' }
}

const isSpace = (token: string) => token.startsWith('--') || token.startsWith('/*') || token.trim() === ''

/** Texts in quotes and comments as a whole, everything else letter by letter. A doubled quote is the end of one and the next one's beginning. */
function* tokensOf(sql: string): Generator<string> {
  for (let at = 0, end = 0; at < sql.length; at = end) {
    end = endOfToken(sql, at)
    yield sql.slice(at, end)
  }
}

function endOfToken(sql: string, at: number): number {
  const upTo = (closing: string, from: number) => {
    const found = sql.indexOf(closing, from)
    return found < 0 ? sql.length : found + closing.length
  }
  const letter = sql[at] ?? ''
  if (sql.startsWith('--', at)) return upTo('\n', at)
  if (sql.startsWith('/*', at)) return upTo('*/', at + 2)
  if (letter === "'" || letter === '"') return upTo(letter, at + 1)
  // A tag is a name, and names have 63 letters at most.
  const tag = letter === '$' ? /^\$\w*\$/.exec(sql.slice(at, at + 65))?.[0] : undefined
  return tag === undefined ? at + 1 : upTo(tag, at + tag.length)
}
