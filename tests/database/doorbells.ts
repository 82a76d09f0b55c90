import type postgres from 'postgres'

export interface QueuedDoorbell {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: { readonly jobId: string; readonly expiresAt: number; readonly signature: string }
}

/** Doorbells in pg_net's queue, oldest first; of one job when it is named. Nothing takes them out: no worker runs. */
export async function queuedDoorbells(sql: postgres.Sql, jobId?: string): Promise<QueuedDoorbell[]> {
  const queued = await sql<QueuedDoorbell[]>`
    select url, headers, convert_from(body, 'utf8')::jsonb as body from net.http_request_queue order by id`
  return queued.filter(({ body }) => jobId === undefined || body.jobId === jobId)
}
