import { failed, success } from '../../kernel/result.ts'
import { failure } from '../../tenant-database/failures.ts'
import type { DatabaseHost } from '../database/host.ts'
import { projectSecrets } from '../project-secrets.ts'
import type { ConnectSupabase } from './client.ts'
import { recordedProject } from './step.ts'

/** At Supabase the database and the role that came with it have one name, postgres; an emulated one has another, which both have. */
export function adminRoleOf(databaseName: string | null | undefined): string {
  return databaseName ?? 'postgres'
}

/** The databases of the tier "project" are in Supabase projects. Asking how one is wakes none: a paused one is woken by its owner alone. */
export function supabaseHost(connect: ConnectSupabase): DatabaseHost {
  return {
    tier: 'project',
    hosted(facts) {
      const ref = recordedProject(facts)?.externalId
      const isActive = async () => {
        if (!ref) return success(false)
        const listed = await connect().listedProject(ref)
        return listed.ok ? success(listed.value?.status.startsWith('ACTIVE_') ?? false) : listed
      }
      return {
        adminRole: adminRoleOf(databaseNameIn(facts)),
        // One list tells it of all projects.
        isAwake: isActive,
        isListedAwake: isActive,
        async adminPassword({ sql }, refused) {
          const secrets = await projectSecrets(sql, String(facts.organizationId))
          const { databasePassword, nextDatabasePassword } = secrets
          // In the midst of a rotation the next one may be the one that is valid.
          const password = databasePassword === refused ? (nextDatabasePassword ?? refused) : databasePassword
          return password ? success(password) : failed(failure('credentials_missing'))
        },
      }
    },
  }
}

function databaseNameIn({ database }: Readonly<Record<string, unknown>>): string | undefined {
  const name =
    typeof database === 'object' && database && 'database_name' in database ? database.database_name : null
  return typeof name === 'string' ? name : undefined
}
