import { SUPABASE_NAMES_ELSEWHERE } from '../shared/services/supabase/environment.ts'

type Environment = Readonly<Record<string, string | undefined>>

/**
 * The environment with the names that the functions know. Secrets of functions may not begin with SUPABASE_, so that some variables are
 * called otherwise there than everywhere else; where both are set, the functions' own name counts. What is empty is not set.
 */
export function withFunctionNames(environment: Environment): Readonly<Record<string, string>> {
  const given = Object.entries(environment).flatMap(([name, value]) =>
    value ? [[name, value] as const] : [],
  )
  const translated = given.flatMap(([name, value]) => {
    const known = Object.entries(SUPABASE_NAMES_ELSEWHERE).find(([elsewhere]) => elsewhere === name)?.[1]
    return known ? [[known, value] as const] : []
  })
  return Object.fromEntries([...translated, ...given])
}

/** What a variable of the functions is called elsewhere; undefined for one that has the same name everywhere. */
export function nameElsewhere(variable: string): string | undefined {
  return Object.entries(SUPABASE_NAMES_ELSEWHERE).find(([, known]) => known === variable)?.[0]
}
