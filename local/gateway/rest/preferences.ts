import { type Call, header } from '../exchange.ts'
import { RestError } from './errors.ts'

/** What the client asks for in `Prefer`, as far as PostgREST knows it. */
export interface Preferences {
  readonly resolution: 'merge-duplicates' | 'ignore-duplicates' | undefined
  readonly representation: 'representation' | 'minimal' | 'headers-only' | undefined
  readonly count: 'exact' | 'planned' | 'estimated' | undefined
  /** What a key that a row lacks is: the column's default, or null. */
  readonly missing: 'default' | 'null' | undefined
  readonly strict: boolean
  readonly lenient: boolean
  /** With `strict`, more rows than this are not changed. */
  readonly maxAffected: number | undefined
}

const KNOWN: Readonly<Record<string, readonly string[]>> = {
  resolution: ['merge-duplicates', 'ignore-duplicates'],
  return: ['representation', 'minimal', 'headers-only'],
  count: ['exact', 'planned', 'estimated'],
  missing: ['default', 'null'],
  handling: ['strict', 'lenient'],
  // Heard and ignored: a hosted project does not let a client roll back.
  tx: ['commit', 'rollback'],
}

/** @throws RestError (PGRST122) for an unknown preference under `handling=strict` */
export function parsePreferences(call: Call): Preferences {
  const given = (header(call, 'prefer') ?? '')
    .split(',')
    .map((each) => each.trim())
    .filter(Boolean)
  const pick = <T extends string>(name: string, values: readonly T[]): T | undefined =>
    given.flatMap((each) => values.filter((value) => each === `${name}=${value}`))[0]
  const invalid = given.filter((each) => {
    const [name = '', value = ''] = each.split('=')
    return name !== 'max-affected' && !KNOWN[name]?.includes(value)
  })
  const handling = pick('handling', ['strict', 'lenient'])
  const strict = handling === 'strict'
  if (strict && invalid.length > 0)
    throw new RestError(
      400,
      'PGRST122',
      'Invalid preferences given with handling=strict',
      `Invalid preferences: ${invalid.join(', ')}`,
    )
  const maxAffected = given.map((each) => /^max-affected=(\d+)$/.exec(each)?.[1]).find(Boolean)
  return {
    resolution: pick('resolution', ['merge-duplicates', 'ignore-duplicates']),
    representation: pick('return', ['representation', 'minimal', 'headers-only']),
    count: pick('count', ['exact', 'planned', 'estimated']),
    missing: pick('missing', ['default', 'null']),
    strict,
    lenient: handling === 'lenient',
    maxAffected: maxAffected === undefined ? undefined : Number(maxAffected),
  }
}

/** The header that says which preferences were heeded. */
export function appliedPreferences(
  preferences: Preferences,
  heeded: readonly (keyof Preferences)[],
): Record<string, string> {
  const texts: Partial<Record<keyof Preferences, string>> = {
    ...(preferences.resolution ? { resolution: `resolution=${preferences.resolution}` } : {}),
    ...(preferences.missing ? { missing: `missing=${preferences.missing}` } : {}),
    ...(preferences.representation ? { representation: `return=${preferences.representation}` } : {}),
    ...(preferences.count ? { count: `count=${preferences.count}` } : {}),
    ...(preferences.strict ? { strict: 'handling=strict' } : {}),
    ...(preferences.lenient ? { strict: 'handling=lenient' } : {}),
    ...(preferences.strict && preferences.maxAffected !== undefined
      ? { maxAffected: `max-affected=${preferences.maxAffected}` }
      : {}),
  }
  const order = ['resolution', 'missing', 'representation', 'count', 'strict', 'maxAffected'] as const
  const applied = order.filter((name) => heeded.includes(name)).flatMap((name) => texts[name] ?? [])
  return applied.length === 0 ? {} : { 'preference-applied': applied.join(', ') }
}
