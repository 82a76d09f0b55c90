import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { bundleTenantSchema } from '../shared/tenant-schema/bundle.ts'
import { projectRoot } from './project.ts'

await writeFile(
  path.join(projectRoot, 'shared/tenant-schema/files.ts'),
  await bundleTenantSchema(path.join(projectRoot, 'tenant-schema')),
)
