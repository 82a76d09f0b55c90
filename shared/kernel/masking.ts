import { storable } from './database/storable.ts'

/** A status row keeps so many characters. */
const KEPT = 500
/** What is looked at for secrets. Others decide how long a text is, and its end is cut off in any case. */
const LOOKED_AT = 4_000

/**
 * Replaces passwords in URLs and connection strings, keys and bearer tokens, and makes the text one that a status row can keep.
 * The text is cut before it is looked at, and each expression looks at a character a few times at most.
 */
export function maskSecrets(text: string): string {
  const beginning = text.slice(0, LOOKED_AT)
  const isCut = text.length > LOOKED_AT
  const masked = beginning
    .replace(/\bsbp_\w+/g, 'sbp_***')
    .replace(/:\/\/\S+/g, (rest, offset: number) =>
      maskPassword(rest, isCut && offset + rest.length === LOOKED_AT),
    )
    .replace(/\b(password|passwd|pwd)(\s*=\s*)[^\s&;]+/gi, '$1$2***')
    .replace(
      /\b(sk|rk|pk|sb_secret|sb_publishable|napi|npg|whsec|tdk|gh[oprsu]|github_pat|vc[airp]|n8n_api)_[\w+/=-]+/g,
      '$1_***',
    )
    .replace(/\bBearer\s+[\w.~+/-]+=*/gi, 'Bearer ***')
    // A JWT: an access token, a legacy key of Supabase, a key of n8n.
    .replace(/\beyJ[\w.-]+/g, 'eyJ***')
  return storable(masked.slice(0, KEPT))
}

/**
 * @param rest a URL from its `://` on
 * @param goesOn it was cut, so the `@` behind its password may be missing
 */
function maskPassword(rest: string, goesOn: boolean): string {
  const [, user] = /^:\/\/([^:/@]*):/.exec(rest) ?? []
  const at = rest.lastIndexOf('@')
  if (user === undefined || (at < 0 && !goesOn)) return rest
  return `://${user}:***${at < 0 ? '' : rest.slice(at)}`
}
