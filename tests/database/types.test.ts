import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { expect, it } from 'vitest'
import { generateDatabaseTypes } from '../../local/postgres/database-types.ts'
import { projectRoot } from '../../tools/project.ts'
import { createTestDatabase } from '../support/database.ts'

it('shared/generated/database-types.ts is what the CLI makes of the migrations (npm run types)', async () => {
  await using database = await createTestDatabase('migrated')
  const stored = await readFile(path.join(projectRoot, 'shared/generated/database-types.ts'), 'utf8')
  expect((await generateDatabaseTypes(database.url())).trim()).toBe(stored.trim())
})
