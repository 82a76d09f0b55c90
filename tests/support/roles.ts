import type postgres from 'postgres'

/** Who a request of the Data API comes from. */
export type Caller =
  | { readonly role: 'anon' | 'service_role' }
  | { readonly role: 'authenticated'; readonly userId: string }

/**
 * Runs work the way PostgREST runs a request: the login role `authenticator` opens a transaction, becomes the role of
 * the JWT and puts its claims where auth.uid() and auth.role() look. `api` is a connection of `authenticator`.
 */
export async function runAs<T>(
  api: postgres.Sql,
  caller: Caller,
  work: (tx: postgres.TransactionSql) => Promise<T>,
): Promise<T> {
  const results = await api.begin(async (tx) => {
    await enterRole(tx, caller)
    return [await work(tx)] as const
  })
  return results[0]
}

/** Makes the rest of a transaction the caller's. */
export async function enterRole(tx: postgres.TransactionSql, caller: Caller): Promise<void> {
  const claims = caller.role === 'authenticated' ? { role: caller.role, sub: caller.userId } : caller
  await tx`select set_config('role', ${caller.role}, true),
    set_config('request.jwt.claims', ${JSON.stringify(claims)}, true)`
}
