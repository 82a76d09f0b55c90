import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { projectRoot } from '../../tools/project.ts'
import { bundleTenantSchema } from '../../tools/tenant-schema/bundle.ts'
import { withDirectory } from './servers.ts'

/** Called like one of the repository's, because the step of the GraphQL endpoint asks how many rows that one has. */
const ONE_TABLE = `create table public.platform_metrics (
  id uuid primary key default gen_random_uuid(),
  recorded_at timestamptz not null default now()
);
alter table public.platform_metrics enable row level security;
create policy everything on public.platform_metrics using (true) with check (true);
`

/** Gives the work an import map with which functions take a tenant schema of one table for the repository's. */
export function withOneTable<T>(work: (importMap: string) => Promise<T>): Promise<T> {
  return withDirectory(async (directory) => {
    await writeFile(path.join(directory, '0001_one_table.sql'), ONE_TABLE)
    const bundle = path.join(directory, 'tenant-schema-files.ts')
    await writeFile(bundle, await bundleTenantSchema(directory))
    const { imports } = JSON.parse(
      await readFile(path.join(projectRoot, 'supabase/functions/import_map.json'), 'utf8'),
    )
    const replaced = pathToFileURL(path.join(projectRoot, 'shared/generated/tenant-schema-files.ts')).href
    const importMap = path.join(directory, 'import_map.json')
    await writeFile(
      importMap,
      JSON.stringify({ imports: { ...imports, [replaced]: pathToFileURL(bundle).href } }),
    )
    return work(importMap)
  })
}
