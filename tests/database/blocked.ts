import { until } from '../support/project.ts'
import type { Project } from './project.ts'

/** Waits until so many sessions of the project's database wait for a lock that another one holds. */
export async function blocked(project: Project, sessions: number): Promise<void> {
  await until(`${sessions} blocked sessions`, async () => {
    const [row] = await project.superuser<{ count: number }[]>`
      select count(*)::int as count from pg_stat_activity
      where datname = ${project.name} and cardinality(pg_blocking_pids(pid)) > 0`
    return (row?.count ?? 0) >= sessions || undefined
  })
}
