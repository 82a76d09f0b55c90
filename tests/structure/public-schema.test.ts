import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { expect, it } from 'vitest'
import { projectRoot } from '../../tools/project.ts'

/** Where the name of the public schema stands for TypeScript. */
const HOME = 'shared/kernel/database/schema.ts'

/** Other uses of the word, each with what it names. */
const ANOTHER_PUBLIC: Readonly<Record<string, readonly string[]>> = {
  // What the templates say, to be replaced.
  'cli/install/render-schema.ts': [
    "TEMPLATE_SCHEMA = 'public'",
    "/'public'/g",
    'schema (if not exists )?public',
    '/`public`/g',
  ],
  // The schema of a tenant's own database, which is none of the project's.
  'shared/tenant-database/apply-schema.ts': ["'public'::regnamespace"],
  'shared/tenant-database/as-owner.ts': ['set local search_path = public, pg_temp;'],
  'cli/commands/seed.ts': ['set local search_path = public;', 'from public.'],
  'shared/tenant-database/roles.ts': ['from public', 'on schema public'],
  'local/tenant-graphql/make-schema.ts': ["schemas: ['public']"],
  'local/demo/run.ts': ["where table_schema = 'public'"],
  'local/demo/project-tier.ts': ["'public'::regnamespace"],
  // What the Supabase CLI and PostgREST take where nothing is configured.
  'cli/install/config-toml.ts': ["EXPOSED = ['public', 'graphql_public']"],
  'local/gateway/config.ts': ["default(['public'])", "default(['public', 'extensions'])"],
  'local/gateway/rest/request.ts': ["exposed[0] ?? 'public'"],
  // Who may see a repository.
  'local/emulators/github/repository.ts': ["'private' : 'public'"],
  // The role PUBLIC.
  'local/emulators/postgres/databases.ts': ['from public'],
  'cli/install/remove-from-database.ts': ['from public'],
  // What Supabase grants in a new project.
  'local/emulators/supabase/owner-role.ts': ['on schema public', 'in schema public'],
}

const NAME = /\bpublic\.[a-z_]|(['"`])public\1|\b(?:from|schema|search_path =) public\b/

async function filesBelow(folder: string, extension: string): Promise<string[]> {
  const names = await readdir(path.join(projectRoot, folder), { recursive: true })
  return names.filter((name) => name.endsWith(extension)).map((name) => path.posix.join(folder, name))
}

/** Lines of code that name the schema, without comments and without what is known to mean something else. */
function namesIn(file: string, text: string): string[] {
  return text.split('\n').flatMap((line, index) => {
    if (/^\s*(\/\/|\/?\*)/.test(line)) return []
    const rest = (ANOTHER_PUBLIC[file] ?? []).reduce((left, known) => left.replaceAll(known, ''), line)
    return NAME.test(rest) ? [`${file}:${index + 1}: ${line.trim()}`] : []
  })
}

/**
 * Literals in the bodies of functions that contain the schema's name. `'public.organizations'::regclass` is no text but the
 * table: who renders the migrations for another schema replaces it as in any static statement.
 */
function assembledIn(file: string, sql: string): string[] {
  return [...sql.matchAll(/\bas \$(\w*)\$([\s\S]*?)\$\1\$/g)].flatMap((body) => {
    const from = body.index + body[0].indexOf(body[2] ?? '')
    const text = (body[2] ?? '').replace(/--[^\n]*/g, (comment) => ' '.repeat(comment.length))
    return [...text.matchAll(/\$(\w+)\$[\s\S]*?\$\1\$|'(?:[^']|'')*'(?:::\w+)?/g)]
      .filter(([literal]) => /\bpublic\b/.test(literal) && !/^'public\.\w+'::regclass$/.test(literal))
      .map(
        (literal) => `${file}:${sql.slice(0, from + literal.index).split('\n').length}: ${literal[0].trim()}`,
      )
  })
}

it('the name of the public schema stands in one place of the TypeScript', async () => {
  const folders = ['shared', 'cli', 'tools', 'local', 'supabase/functions']
  const files = (await Promise.all(folders.map((folder) => filesBelow(folder, '.ts')))).flat()
  const code = files.filter((file) => file !== HOME && !file.startsWith('shared/generated/'))
  expect(code.length).toBeGreaterThan(100)
  const found = await Promise.all(
    code.map(async (file) => namesIn(file, await readFile(path.join(projectRoot, file), 'utf8'))),
  )
  expect(found.flat()).toEqual([])
})

it('no migration assembles a statement with the name of the public schema', async () => {
  const files = await filesBelow('supabase/migrations', '.sql')
  const found = await Promise.all(
    files.map(async (file) => assembledIn(file, await readFile(path.join(projectRoot, file), 'utf8'))),
  )
  expect(found.flat()).toEqual([])
})

it('the test sees the name where it stands', () => {
  const code = [
    'select 1 from public.profiles',
    "{ schema: 'public' }",
    '// in public.profiles',
    'from public_key',
  ]
  expect(namesIn('a.ts', code.join('\n'))).toEqual([`a.ts:1: ${code[0]}`, `a.ts:2: ${code[1]}`])
  const body = [
    'create function provisioning.a() returns void language plpgsql as $$',
    'begin',
    '  -- public.a is described here',
    "  perform from public.a where c = 'public.a'::regclass;",
    "  execute format('select public.%I', v_name);",
    '  execute $sql$ select 1 from public.a $sql$;',
    'end $$;',
    "comment on function provisioning.a() is 'reads public.a';",
  ]
  expect(assembledIn('a.sql', body.join('\n'))).toEqual([
    "a.sql:5: 'select public.%I'",
    'a.sql:6: $sql$ select 1 from public.a $sql$',
  ])
})
