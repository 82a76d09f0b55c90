import postgres from 'postgres'
import { projectName, tenantRoleName } from '../../shared/services/neon/tenant.ts'
import type { SignedUp, TestProject } from './project.ts'

export interface MadeProject {
  readonly projectId: string
  /** What its database, and the role that owns it, are called on the server, which has those of other tests as well. */
  readonly physicalName: string
}

/** Makes the Neon project that the steps would make, so that a test can get at its database before they find it. */
export async function makeNeonProject(
  { neon }: TestProject,
  { organizationId }: Pick<SignedUp, 'organizationId'>,
): Promise<MadeProject> {
  const role = tenantRoleName(organizationId)
  const { data } = await neon.createProject({
    project: { name: projectName(organizationId), branch: { role_name: role, database_name: role } },
  })
  const sql = postgres(data.connection_uris?.[0]?.connection_uri ?? '', { max: 1, onnotice: () => undefined })
  try {
    const [row] = await sql<{ name: string }[]>`select current_database() as name`
    if (!row) throw new Error('the database has no name')
    return { projectId: data.project.id, physicalName: row.name }
  } finally {
    await sql.end({ timeout: 1 })
  }
}
