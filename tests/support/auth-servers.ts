/** The binary of a real Auth server, to check the stand-in against. */
export const AUTH_SERVER: string | undefined = process.env.AUTH_SERVER || undefined

/** What the tests of Auth run against. */
export const AUTH_SERVERS: readonly (readonly [name: string, executable: string | undefined])[] = [
  ['the stand-in', undefined],
  ...(AUTH_SERVER === undefined ? [] : [['a real Auth server', AUTH_SERVER] as const]),
]
