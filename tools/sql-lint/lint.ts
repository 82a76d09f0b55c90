import { PUBLIC_SCHEMA } from '../../shared/kernel/database/schema.ts'

/** One broken rule, at a line of a file. */
export interface Finding {
  readonly file: string
  /** Counted from 1. */
  readonly line: number
  readonly message: string
}

export const LONGEST_LINE = 130

const KEYWORDS =
  /\b(SELECT|INSERT|UPDATE|DELETE|FROM|WHERE|CREATE|ALTER|DROP|GRANT|REVOKE|FUNCTION|TABLE|RETURNS|BEGIN|END|DECLARE|AND|OR|NOT|NULL)\b/

/**
 * Checks one SQL file for the habits of this project: short lines, no blanks at their ends, lower-case keywords, parameters
 * that begin with p_ and variables that begin with v_, and functions that set their search_path and are revoked from
 * PUBLIC and from the API's roles by name, because a project's default privileges may give them what is new. The files of a
 * tenant's own database name no role: nobody but the tenant comes in there.
 * The database's own conventions are tested against its catalogue (tests/database/conventions.test.ts).
 */
export function lintSql(file: string, text: string): Finding[] {
  return [...lintLines(file, text), ...functionsOf(text).flatMap((fn) => lintFunction(file, text, fn))]
}

function lintLines(file: string, text: string): Finding[] {
  const bare = withoutTexts(text).split('\n')
  return text.split('\n').flatMap((line, index) => {
    const found: string[] = []
    if ([...line].length > LONGEST_LINE)
      found.push(`the line has ${[...line].length} characters, more than ${LONGEST_LINE}`)
    if (/[ \t]$/.test(line)) found.push('there are blanks at the end of the line')
    if (line.includes('\t')) found.push('there is a tab; indent with blanks')
    const keyword = KEYWORDS.exec(bare[index] ?? '')
    if (keyword) found.push(`write ${keyword[1]} in lower case`)
    return found.map((message) => ({ file, line: index + 1, message }))
  })
}

interface SqlFunction {
  /** With its schema. */
  readonly name: string
  readonly line: number
  /** Between the parentheses. */
  readonly parameters: string
  /** Between the parameters and the body: returns, language, settings. */
  readonly header: string
  readonly body: string
}

function functionsOf(text: string): SqlFunction[] {
  const functions: SqlFunction[] = []
  for (const match of text.matchAll(/^create (?:or replace )?function ([\w.]+)\s*\(/gm)) {
    const from = match.index + match[0].length
    const to = closingParenthesis(text, from)
    const quote = /as \$(\w*)\$/.exec(text.slice(to))
    if (!quote) continue
    const bodyFrom = to + quote.index + quote[0].length
    functions.push({
      name: match[1] ?? '',
      line: text.slice(0, match.index).split('\n').length,
      parameters: text.slice(from, to),
      header: text.slice(to, to + quote.index),
      body: text.slice(bodyFrom, text.indexOf(`$${quote[1]}$`, bodyFrom)),
    })
  }
  return functions
}

function lintFunction(file: string, text: string, fn: SqlFunction): Finding[] {
  const found: string[] = []
  // Where policies call it, setting one costs each query more than the function: then a comment in it says so.
  const isExempt = file.startsWith('tenant-schema/') && fn.body.includes('sets no search_path')
  if (!isExempt && !/set search_path = ''/.test(fn.header))
    found.push(`${fn.name} does not set search_path = ''`)
  const isExposed = fn.name.startsWith(`${PUBLIC_SCHEMA}.`)
  const roles = isExposed ? 'public, anon' : 'public, anon, authenticated, service_role'
  const revoked = new RegExp(`revoke execute on function\\s+${fn.name}\\([^;]+\\sfrom ${roles}\\b`)
  if (!file.startsWith('tenant-schema/') && !revoked.test(text))
    found.push(`${fn.name} is not revoked from ${roles} in its migration`)
  // What the Data API exposes has the names that callers write.
  if (!isExposed)
    for (const parameter of inputsOf(fn.parameters))
      if (!parameter.startsWith('p_'))
        found.push(`${fn.name}: the parameter ${parameter} does not begin with p_`)
  for (const variable of variablesOf(fn.body))
    if (!variable.startsWith('v_')) found.push(`${fn.name}: the variable ${variable} does not begin with v_`)
  return found.map((message) => ({ file, line: fn.line, message }))
}

function inputsOf(parameters: string): string[] {
  return splitTopLevel(withoutTexts(parameters))
    .map((parameter) => parameter.trim())
    .filter((parameter) => parameter !== '' && !parameter.startsWith('out '))
    .map((parameter) => parameter.replace(/^(in|inout|variadic) /, '').split(/\s+/)[0] ?? '')
}

/** The names that a plpgsql body declares. */
function variablesOf(body: string): string[] {
  const declarations = /(?:^|\n)declare\n([\s\S]*?)\nbegin\n/.exec(withoutTexts(body))?.[1] ?? ''
  return [...declarations.matchAll(/(?:^|;)\s*([a-z_]\w*)\s+(?:constant\s+)?[a-z]/g)].map(
    ([, name = '']) => name,
  )
}

function splitTopLevel(text: string): string[] {
  const parts: string[] = ['']
  let depth = 0
  for (const character of text) {
    if (character === '(') depth++
    if (character === ')') depth--
    if (character === ',' && depth === 0) parts.push('')
    else parts[parts.length - 1] += character
  }
  return parts
}

function closingParenthesis(text: string, from: number): number {
  let depth = 1
  for (let at = from; at < text.length; at++) {
    if (text[at] === '(') depth++
    if (text[at] === ')' && --depth === 0) return at
  }
  return text.length
}

/** The text with blanks in place of comments and of what stands in quotes, so that places stay as they are. */
function withoutTexts(text: string): string {
  return text.replace(/--[^\n]*|\/\*[\s\S]*?\*\/|'(?:[^']|'')*'|"[^"\n]*"/g, (found) =>
    found.replace(/[^\n]/g, ' '),
  )
}
