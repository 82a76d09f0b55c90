import type postgres from 'postgres'

export interface QueuedDoorbell {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: { readonly ringId: string; readonly expiresAt: number; readonly signature: string }
}

/** Doorbells in pg_net's queue, oldest first. Nothing takes them out: no worker runs. */
export async function queuedDoorbells(sql: postgres.Sql): Promise<QueuedDoorbell[]> {
  return sql<QueuedDoorbell[]>`
    select url, headers, convert_from(body, 'utf8')::jsonb as body from net.http_request_queue order by id`
}

/** Makes the next sign-up ring, however short ago the last one was. */
export async function forgetLastRing(sql: postgres.Sql): Promise<void> {
  await sql`select setval('provisioning.rung_until_of_provisioning', 1, false)`
}
