import { createHash } from 'node:crypto'
import { z } from 'zod'
import { mappingSchema } from './mapping.ts'
import { textOf } from './their-files.ts'

/** Where an installation remembers what it has written, in the project that it was put into. */
export const MANIFEST_FILE = 'supabase/tenant-provisioning.json'

const manifestSchema = z.object({
  /** Of the package that wrote it. */
  version: z.string(),
  /** Where our tables are. */
  schema: z.string(),
  /** By the name of our file: the name that it has in the project, and the checksum of our text for the schema. */
  migrations: z.record(z.string(), z.object({ file: z.string(), template: z.string() })),
  /** Tables of the project that are read instead of ours: what was chosen, each time that something was. */
  mappings: z.array(mappingSchema).default([]),
  /** By path in the project: the checksum of what was written. */
  files: z.record(z.string(), z.string()),
})

export type Manifest = z.infer<typeof manifestSchema>

/** What an earlier installation has written; undefined when there was none. @throws Error when the file cannot be read */
export async function readManifest(project: string): Promise<Manifest | undefined> {
  const text = await textOf(project, MANIFEST_FILE)
  if (text === undefined) return undefined
  try {
    return manifestSchema.parse(JSON.parse(text))
  } catch {
    throw new Error(`${MANIFEST_FILE} cannot be read. Bring it back from the version control of the project.`)
  }
}

export const checksum = (text: string): string => createHash('sha256').update(text).digest('hex')
