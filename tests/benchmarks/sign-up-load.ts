import { readFile } from 'node:fs/promises'
import type postgres from 'postgres'

/** Installs the load into a database. `superuser` is a connection that may create a schema. */
export async function installSignUpLoad(superuser: postgres.Sql): Promise<void> {
  await superuser.unsafe(await readFile(new URL('sign-up-load.sql', import.meta.url), 'utf8'))
}

/**
 * Makes `count` sign-ups, one transaction each, on every one of the `clients` connections of `auth` at once.
 * @returns milliseconds from the first to the last
 */
export async function signUpOnEach(auth: postgres.Sql, clients: number, count: number): Promise<number> {
  const label = crypto.randomUUID().slice(0, 8)
  const startedAt = performance.now()
  await Promise.all(
    // Sent as text: a procedure that commits needs to be the whole message.
    Array.from({ length: clients }, (_, client) =>
      auth.unsafe(`call benchmark.sign_up(${count}, '${label}-${client}')`).simple(),
    ),
  )
  return performance.now() - startedAt
}
