import { readFile } from 'node:fs/promises'
import { parse } from 'smol-toml'
import { z } from 'zod'

const configSchema = z.object({
  api: z
    .object({
      schemas: z.array(z.string()).default(['public']),
      extra_search_path: z.array(z.string()).default(['public', 'extensions']),
      max_rows: z.number().int().positive().default(1000),
    })
    .prefault({}),
  functions: z
    .record(
      z.string(),
      z.object({ enabled: z.boolean().default(true), verify_jwt: z.boolean().default(true) }),
    )
    .default({}),
})

/** The parts of supabase/config.toml that the gateway obeys, with the Supabase CLI's defaults. */
export type ProjectConfig = z.infer<typeof configSchema>

/** @throws Error that names the file and what is wrong in it. */
export async function readProjectConfig(file: string): Promise<ProjectConfig> {
  const parsed = configSchema.safeParse(parse(await readFile(file, 'utf8')))
  if (parsed.success) return parsed.data
  throw new Error(`${file} cannot be used: ${z.prettifyError(parsed.error)}`)
}
