import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import postgres from 'postgres'
import { expect, it } from 'vitest'
import { planInstallation } from '../../cli/install/plan.ts'
import { writeChanges } from '../../cli/install/write-changes.ts'
import { SUPERUSER } from '../../local/postgres/server.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { actsIn, outcomes, tablesOf } from './acts.ts'
import { MORE_SHAPES } from './more-shapes.ts'
import { makeProject, SHAPES, type Shape } from './project-shapes.ts'

/** Our tables can be in `public`, or in a schema of their own, which some shapes ask for. */
const SCHEMAS = ['public', 'tenancy']
/** Each shape in one of the schemas that it leaves to us, in turn; SHAPE_SCHEMAS=all, as npm run test:long has it, in each of them. */
const INSTALLATIONS = [...SHAPES, ...MORE_SHAPES].flatMap((shape, index) => {
  const schemas = SCHEMAS.slice(SCHEMAS.indexOf(shape.schema))
  const some =
    process.env.SHAPE_SCHEMAS === 'all' ? schemas : [schemas[index % schemas.length] ?? shape.schema]
  return some.map((schema) => ({ name: shape.name, schema, shape }))
})

const asOption = (shape: Shape, name: string) => {
  const at = shape.options?.indexOf(name) ?? -1
  return at < 0 ? {} : { [name.slice(2)]: shape.options?.[at + 1] }
}

/** Applies the files of a project as `supabase db push` does, each in a transaction; tests/install/init.test.ts has the CLI do it. */
async function apply(database: TestDatabase, project: string): Promise<void> {
  const sql = postgres(database.url(), { max: 1, onnotice: () => undefined })
  const folder = path.join(project, 'supabase/migrations')
  try {
    for (const file of (await readdir(folder).catch(() => [])).sort()) {
      const text = await readFile(path.join(folder, file), 'utf8')
      await sql.begin((tx) => tx.unsafe(text))
    }
  } finally {
    await sql.end({ timeout: 1 })
  }
}

it.each(INSTALLATIONS)(
  'a project $name takes us into the schema $schema, and every act of theirs has the outcome that it had',
  { timeout: 60_000 },
  async ({ schema, shape }) => {
    await using without = await createTestDatabase('platform')
    await using withUs = await createTestDatabase('platform')
    const { directory, remove } = await makeProject(shape)
    try {
      await apply(without, directory)
      const address = (of: TestDatabase) => (role?: string) => of.url(role ?? SUPERUSER)
      const tables = await tablesOf(address(without))
      const plan = await planInstallation({
        project: directory,
        now: new Date(),
        ...(schema === shape.schema ? {} : { schema }),
        mapping: {
          columns: {},
          roles: {},
          ...asOption(shape, '--profiles'),
          ...asOption(shape, '--tenants'),
          ...asOption(shape, '--members'),
        },
      })
      expect({ schema: plan.schema, problems: plan.problems }).toEqual({ schema, problems: [] })
      await writeChanges(directory, plan.changes)
      await apply(withUs, directory)
      const acts = actsIn(shape)
      const named = (found: readonly string[]) => acts.map(({ name }, act) => `${name}: ${found[act]}`)
      const expected = named(await outcomes(address(without), tables, acts))
      expect(named(await outcomes(address(withUs), tables, acts))).toEqual(expected)
      const sql = postgres(withUs.url(), { max: 1 })
      try {
        const [made] = await sql`select count(*)::int as jobs from ${sql(schema)}.provisioning_jobs`
        expect(made?.jobs).toBeGreaterThan(0)
      } finally {
        await sql.end({ timeout: 1 })
      }
    } finally {
      await remove()
    }
  },
)
