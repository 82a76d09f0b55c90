import type { ChaosProject } from './project.ts'

/** Of the databases of earlier rounds, one in so many stays, to be opened at the end. */
const KEPT = 25
/** As many connections as the emulator has for such work; each drop waits for a checkpoint, which they share. */
const AT_ONCE = 4

interface Ready {
  readonly organizationId: string
  readonly neonProjectId: string
}

/** So that making a tenant does not wait for `create database`, which takes the one local server long. */
export async function makeDatabases(
  { neon }: ChaosProject,
  count: number,
  progress: (what: string) => void,
): Promise<void> {
  progress(`making ${count} databases ahead of time`)
  await neon.fillSpares(count)
}

/**
 * Makes room on the disk for another round: the databases of tenants that are ready are removed, but for a sample. To the
 * engine and to Neon's inventory their projects are there as before. Adds to `emptied` whose they were.
 */
export async function emptyDatabases(
  { superuser, neon }: ChaosProject,
  emptied: Set<string>,
  signal: AbortSignal,
): Promise<void> {
  const ready = await superuser<Ready[]>`
    select d.organization_id as "organizationId", d.neon_project_id as "neonProjectId"
    from public.organization_databases d join public.organizations o on o.id = d.organization_id
    where o.provisioning_status ->> 'overall' = 'ready' order by o.created_at`
  const chosen = ready.filter(({ organizationId }, index) => index % KEPT > 0 && !emptied.has(organizationId))
  while (chosen.length > 0) {
    signal.throwIfAborted()
    const batch = chosen.splice(0, AT_ONCE)
    for (const { organizationId } of batch) emptied.add(organizationId)
    await Promise.all(batch.map(({ neonProjectId }) => neon.dropDatabase(neonProjectId)))
  }
}
