import { access, readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { expect, it } from 'vitest'
import { projectRoot } from '../../tools/project.ts'

/** At 240 words a minute, which is what people read of a text like this. */
const WORDS_IN_TEN_MINUTES = 2_400

const read = (file: string) => readFile(path.join(projectRoot, file), 'utf8')

async function pages(): Promise<string[]> {
  const docs = (await readdir(path.join(projectRoot, 'docs'))).filter((name) => name.endsWith('.md'))
  return ['README.md', 'tenant-schema/README.md', ...docs.map((name) => `docs/${name}`)]
}

const withoutCode = (text: string) => text.replace(/^```[\s\S]*?^```/gm, '')

/** The anchors of the headings, as GitHub makes them. */
function anchorsOf(text: string): Set<string> {
  return new Set(
    [...withoutCode(text).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
      heading
        .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
        .toLowerCase()
        .replace(/[^\p{Letter}\p{Number}_ -]/gu, '')
        .trim()
        .replaceAll(' ', '-'),
    ),
  )
}

async function problemWith(page: string, target: string): Promise<string | undefined> {
  const [place = '', anchor] = target.split('#')
  const file = place === '' ? page : path.posix.join(path.posix.dirname(page), place)
  try {
    await access(path.join(projectRoot, file))
  } catch {
    return `${page}: there is no ${target}`
  }
  if (anchor === undefined || !file.endsWith('.md')) return undefined
  return anchorsOf(await read(file)).has(anchor) ? undefined : `${page}: ${target} is no heading`
}

it('every link of the docs leads to a file, and to a heading in it', async () => {
  const links = await Promise.all(
    (await pages()).map(async (page) =>
      [...withoutCode(await read(page)).matchAll(/\]\((?!https?:)([^)\s]+)\)/g)].map(
        ([, target = '']) => [page, target] as const,
      ),
    ),
  )
  expect(links.flat().length).toBeGreaterThan(200)
  const problems = await Promise.all(links.flat().map(([page, target]) => problemWith(page, target)))
  expect(problems.filter((problem) => problem !== undefined)).toEqual([])
})

it('a link that leads nowhere would be found', async () => {
  expect(await problemWith('docs/states.md', 'nothing.md')).toBe('docs/states.md: there is no nothing.md')
  expect(await problemWith('docs/states.md', '#nothing')).toBe('docs/states.md: #nothing is no heading')
})

it('architecture.md is read in ten minutes', async () => {
  const words = (await read('docs/architecture.md')).split(/\s+/).length
  expect(words).toBeLessThan(WORDS_IN_TEN_MINUTES)
})

it('every setting is explained', async () => {
  const sql = await read('supabase/migrations/20260101000100_reference_data.sql')
  const [, table = ''] = /create table provisioning\.settings \(([\s\S]*?)\n {2}constraint /.exec(sql) ?? []
  const settings = [...table.matchAll(/^ {2}([a-z]\w*) /gm)].map(([, name = '']) => name)
  expect(settings.length).toBeGreaterThan(70)
  const texts = (await Promise.all((await pages()).map(read))).join('\n')
  const unexplained = settings.filter((name) => !texts.includes(`\`${name}\``))
  // When the row was changed.
  expect(unexplained).toEqual(['updated_at'])
})
