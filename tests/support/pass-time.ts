import type postgres from 'postgres'

/** Whatever waits for a provider may ask it now: no breaker is in the way, and no limit. */
export async function openProviders(sql: postgres.Sql): Promise<void> {
  await sql.begin(async (tx) => {
    // In the order of provisioning.begin_call: workers take several of them at the same time.
    await tx`select from provisioning.token_buckets order by provider, holder = '', holder, scope for update`
    await tx`delete from provisioning.token_buckets`
  })
  await sql`update provisioning.provider_status set next_try_at = now() where state <> 'closed'`
}

/**
 * Makes the open jobs of one organization, or of all, due with whatever of their steps waits. A worker that gives a job back has
 * read when its next step is due, and has not committed that yet: to somebody who does not wait for the job's row, it is at work,
 * and afterwards it waits for the old time, for which nobody comes in a test.
 */
export async function makeDue(sql: postgres.Sql, organizationId?: string): Promise<void> {
  const organizations = await sql<{ id: string }[]>`
    select distinct organization_id as id from public.provisioning_jobs
    where status in ('queued', 'running') and organization_id = coalesce(${organizationId ?? null}, organization_id)`
  // In the order of provisioning.remove_organization, and of one organization at a time: nobody can wait for both sides.
  for (const { id } of organizations)
    await sql.begin(async (tx) => {
      const open = await tx<{ id: string }[]>`
        select id from public.provisioning_jobs where organization_id = ${id} and status in ('queued', 'running')
        order by kind <> 'provision', created_at for update`
      const ids = open.map((job) => job.id)
      await tx`update public.provisioning_jobs set next_attempt_at = now() where id = any (${ids}) and status = 'queued'`
      await tx`update public.provisioning_steps set next_attempt_at = now()
        where job_id = any (${ids}) and status = 'retrying'`
    })
}

/** As the sweep does, without what else it repairs and makes. */
export async function ringForDueJobs(sql: postgres.Sql): Promise<void> {
  await sql`select provisioning.ring_doorbell(worker) from provisioning.due_by_worker() where jobs > 0`
}
