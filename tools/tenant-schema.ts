import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { projectRoot } from './project.ts'
import { bundleTenantSchema } from './tenant-schema/bundle.ts'

await writeFile(
  path.join(projectRoot, 'shared/generated/tenant-schema-files.ts'),
  await bundleTenantSchema(path.join(projectRoot, 'tenant-schema')),
)
