import type { DatabaseFunction } from './catalog.ts'
import { RestError } from './errors.ts'
import { type Parameters, quoted } from './statement.ts'

/** The overload that takes exactly these arguments, or all but ones with defaults. @throws RestError */
export function resolveFunction(
  overloads: readonly DatabaseFunction[],
  schema: string,
  name: string,
  given: readonly string[],
): DatabaseFunction {
  const candidates = overloads.filter((candidate) => accepts(candidate, given))
  const [only] = candidates
  if (only && candidates.length === 1) return only
  const signature = (names: readonly string[]) => `${schema}.${name}(${names.join(', ')})`
  if (candidates.length > 1) {
    const list = candidates
      .map((each) => signature(each.arguments.map((a) => `${a.name} => ${a.type}`)))
      .join(', ')
    throw new RestError(300, 'PGRST203', `Could not choose the best candidate function between: ${list}`)
  }
  const described = given.length === 0 ? 'without parameters' : `with parameters ${given.join(', ')}`
  const wanted = given.length === 0 ? `${schema}.${name} without parameters` : signature(given)
  const [near] = overloads
  throw new RestError(
    404,
    'PGRST202',
    `Could not find the function ${wanted} in the schema cache`,
    `Searched for the function ${schema}.${name} ${described}, but no matches were found in the schema cache.`,
    near ? `Perhaps you meant to call the function ${signature(near.arguments.map((a) => a.name))}` : null,
  )
}

/**
 * The call, ready for a FROM clause. Its arguments travel as one JSON document that Postgres itself turns into
 * typed values, so that their text is never part of the statement.
 */
export function callExpression(
  target: DatabaseFunction,
  given: readonly string[],
  argumentsJson: string,
  parameters: Parameters,
): string {
  const name = `${quoted(target.schema)}.${quoted(target.name)}`
  const used = target.arguments.filter((argument) => given.includes(argument.name))
  if (used.length === 0) return `${name}()`
  const record = used.map((argument) => `${quoted(argument.name)} ${argument.type}`).join(', ')
  const json = `${parameters.bind(argumentsJson)}::json`
  const passed = used
    .map((argument) => `${quoted(argument.name)} := _arguments.${quoted(argument.name)}`)
    .join(', ')
  return `json_to_record(${json}) as _arguments(${record}), lateral ${name}(${passed})`
}

function accepts(candidate: DatabaseFunction, given: readonly string[]): boolean {
  const names = candidate.arguments.map(({ name }) => name)
  return (
    given.every((name) => names.includes(name)) &&
    candidate.arguments.every(({ name, optional }) => optional || given.includes(name))
  )
}
