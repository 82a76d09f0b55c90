import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { renderedMigrations } from '../../cli/install/migrations.ts'
import { renderFile } from '../../cli/install/render-schema.ts'
import { projectRoot } from '../../tools/project.ts'

const NOT_COPIED = ['.git', '.local', '.env', 'node_modules']

/** Folders whose texts are about tables of the test's own, or about a tenant's database, which has its own `public`. */
const NOT_OURS = ['tests/local/', 'tests/structure/']

/**
 * Writes the repository, as it is here and now, into a directory for another schema: with what the product's own rendering does,
 * and the statements of the tests likewise. Every command can be run in the copy.
 */
export async function writeRenderedCopy(directory: string, schema: string): Promise<void> {
  const write = async (file: string, content: string | Buffer) => {
    await mkdir(path.dirname(path.join(directory, file)), { recursive: true })
    await writeFile(path.join(directory, file), content)
  }
  const migrations = await renderedMigrations(schema)
  const ourNames = namesIn(migrations.map(({ text }) => text).join('\n'), schema)
  for (const file of await repositoryFiles()) {
    const content = await readFile(path.join(projectRoot, file))
    await write(
      file,
      file.endsWith('.ts') || file.endsWith('.sql') || file.endsWith('.toml')
        ? rendered(file, content.toString(), schema, ourNames)
        : content,
    )
  }
  for (const { name, text } of migrations) await write(`supabase/migrations/${name}`, text)
  await symlink(path.join(projectRoot, 'node_modules'), path.join(directory, 'node_modules'))
}

async function repositoryFiles(): Promise<string[]> {
  const entries = await readdir(projectRoot, { withFileTypes: true })
  const listed = entries
    .filter(({ name }) => !NOT_COPIED.includes(name))
    .map(async (entry) => {
      if (!entry.isDirectory()) return entry.isFile() ? [entry.name] : []
      const below = await readdir(path.join(projectRoot, entry.name), {
        recursive: true,
        withFileTypes: true,
      })
      return below
        .filter((file) => file.isFile())
        .map((file) => path.relative(projectRoot, path.join(file.parentPath, file.name)))
    })
  return (await Promise.all(listed)).flat()
}

/** What migrations make in a schema, by name. */
function namesIn(sql: string, schema: string): string[] {
  const made = sql.matchAll(
    new RegExp(String.raw`^create (?:unique )?(?:table|view|function|index) ${schema}\.(\w+)`, 'gm'),
  )
  return [...new Set([...made].map(([, name = '']) => name))]
}

function rendered(file: string, text: string, schema: string, ourNames: readonly string[]): string {
  if (file === 'supabase/config.toml')
    return text.replace('schemas = ["public"]', `schemas = ["public", "${schema}"]`)
  if (file.startsWith('supabase/') || file.startsWith('shared/')) return renderFile(file, text, schema)
  if (!file.startsWith('tests/')) return text
  if (NOT_OURS.some((folder) => file.startsWith(folder))) return text
  const ours = new RegExp(String.raw`\bpublic(\\*\.)(?=(?:${ourNames.join('|')})\b|\$\{)`, 'g')
  return text.replace(ours, `${schema}$1`)
}
