import postgres from 'postgres'
import { expect, it } from 'vitest'
import { planInstallation } from '../../cli/install/plan.ts'
import { writeChanges } from '../../cli/install/write-changes.ts'
import { SUPERUSER } from '../../local/postgres/server.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { actsIn, outcomes, tablesOf } from './acts.ts'
import { applyFiles } from './apply-files.ts'
import { MORE_SHAPES } from './more-shapes.ts'
import { makeProject, SHAPES, type Shape } from './project-shapes.ts'

/** Of all kinds: triggers of theirs before and after ours, refused deletions, tables of theirs instead of ours. */
const HANDFUL = [
  'of the quick start',
  'with roles of users',
  'with an audit log and triggers on every act',
  'that keeps users who are deleted',
  'with organizations that are read instead of ours',
]
/** Our tables can be in `public`, or in a schema of their own, which some shapes ask for. */
const SCHEMAS = ['public', 'tenancy']
/** SHAPES=all, as npm run test:long -- shapes has it, tries every shape, in each of the schemas that it leaves to us. */
const INSTALLATIONS = [...SHAPES, ...MORE_SHAPES].flatMap((shape) => {
  if (process.env.SHAPES !== 'all')
    return HANDFUL.includes(shape.name) ? [{ name: shape.name, schema: shape.schema, shape }] : []
  const schemas = SCHEMAS.slice(SCHEMAS.indexOf(shape.schema))
  return schemas.map((schema) => ({ name: shape.name, schema, shape }))
})

it('the handful are shapes that there are', () => {
  expect(INSTALLATIONS.length).toBeGreaterThanOrEqual(HANDFUL.length)
})

const asOption = (shape: Shape, name: string) => {
  const at = shape.options?.indexOf(name) ?? -1
  return at < 0 ? {} : { [name.slice(2)]: shape.options?.[at + 1] }
}

it.each(INSTALLATIONS)(
  'a project $name takes us into the schema $schema, and every act of theirs has the outcome that it had',
  { timeout: 60_000 },
  async ({ schema, shape }) => {
    await using without = await createTestDatabase('platform')
    await using withUs = await createTestDatabase('platform')
    const { directory, remove } = await makeProject(shape)
    try {
      await applyFiles(without, directory)
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
      await applyFiles(withUs, directory)
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
