/** PgBouncer's, also where it passes on why the server refused a login. Before 1.20 it had no other one at all. */
const PROTOCOL_VIOLATION = '08P01'

const REFUSALS: readonly (readonly [said: RegExp, sqlState: string])[] = [
  [/not permitted to log in/i, '28000'],
  [/password authentication failed|SASL authentication failed|no such user/i, '28P01'],
  [/database "[^"]{1,63}" does not exist|no such database/i, '3D000'],
  [/too many (connections|clients)|connection slots are reserved|no more connections allowed/i, '53300'],
]

/** The SQLSTATE with which Postgres itself would have refused: a pooler says that in words only. */
export function sqlStateBehind(code: string, said: string): string {
  if (code !== PROTOCOL_VIOLATION) return code
  return REFUSALS.find(([pattern]) => pattern.test(said))?.[1] ?? code
}
