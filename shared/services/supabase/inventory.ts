import { success } from '../../kernel/result.ts'
import { type Inventory, ORGANIZATION_ID } from '../inventory.ts'
import type { SupabaseProvider } from './client.ts'
import { projectName } from './step.ts'

const OUR_NAME = new RegExp(`^${projectName(`(${ORGANIZATION_ID})`)}$`)

/** The projects of the Supabase organization. One call has them all. */
export function supabaseInventory(supabase: SupabaseProvider): Inventory {
  return {
    async page() {
      const projects = await supabase.allProjects()
      if (!projects.ok) return projects
      return success({
        resources: projects.value.map(({ ref, name, created_at: createdAt }) => ({
          resourceId: ref,
          organizationId: OUR_NAME.exec(name)?.[1] ?? null,
          createdAt,
        })),
        nextCursor: null,
        gap: null,
      })
    },
    async remove(ref, before) {
      const project = await supabase.project(ref)
      if (!project.ok || !project.value) return project.ok ? success(undefined) : project
      const organizationId = OUR_NAME.exec(project.value.name)?.[1]
      // Renamed since it was listed: it is nobody's any more whom we know.
      return supabase.deleteProject(ref, projectName(organizationId ?? ''), before)
    },
  }
}
