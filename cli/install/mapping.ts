import { isDeepStrictEqual } from 'node:util'
import { z } from 'zod'
import type { Migration } from './migrations.ts'

const profilesSchema = z.object({
  table: z.string(),
  user: z.string(),
  /** Joined by blanks, as first and last name are. */
  name: z.array(z.string()).min(1),
  email: z.string().optional(),
  avatar: z.string().optional(),
})

const tenantsSchema = z.object({
  table: z.string(),
  id: z.string(),
  name: z.string(),
  owner: z.string().optional(),
})

const membersSchema = z.object({
  table: z.string(),
  organization: z.string(),
  user: z.string(),
  role: z.string().optional(),
  /** Of theirs, in small letters, which of ours it is. */
  roles: z.record(z.string(), z.enum(['owner', 'admin', 'member'])).optional(),
})

/** Tables of the project that are read instead of ours, and the columns that are. provisioning.map_tables takes the same. */
export const mappingSchema = z.object({
  profiles: profilesSchema.optional(),
  /** Together with their members. */
  tenants: tenantsSchema.optional(),
  members: membersSchema.optional(),
})

export type Mapping = z.infer<typeof mappingSchema>
export type ProfilesMapping = z.infer<typeof profilesSchema>
export type TenantsMapping = z.infer<typeof tenantsSchema>
export type MembersMapping = z.infer<typeof membersSchema>

/** What holds after all of them, the later ones over the earlier. */
export const effectiveMapping = (mappings: readonly Mapping[]): Mapping => Object.assign({}, ...mappings)

/** With what is wanted and does not hold yet; the same list when there is nothing of that. */
export function withWantedMapping(mappings: readonly Mapping[], wanted: Mapping): readonly Mapping[] {
  const current = effectiveMapping(mappings)
  const holds = isDeepStrictEqual({ ...current, ...wanted }, { ...current })
  return holds ? mappings : [...mappings, wanted]
}

/** One for each time that somebody chose: databases have applied the earlier ones. */
export function mappingMigrations(mappings: readonly Mapping[]): Migration[] {
  return mappings.map((mapping, index) => ({
    name: `mapping_${index + 1}.sql`,
    text: `-- Tables of this project that tenant provisioning reads instead of its own, and the columns that it reads of them.

select provisioning.map_tables($mapping$
${JSON.stringify(mapping, null, 2)}
$mapping$);
`,
  }))
}
