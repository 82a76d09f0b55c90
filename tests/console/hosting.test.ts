import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, it } from 'vitest'
import { filesForHosts, projectOf } from '../../tools/console/build.ts'
import { FIXED_HEADERS } from '../../tools/console/headers.ts'
import { projectRoot } from '../../tools/project.ts'
import { runProgram } from '../../tools/run-program.ts'

const PROJECT = { url: 'https://abc.supabase.co', publishableKey: 'sb_publishable_1' }
const files = filesForHosts(PROJECT)

it('takes the project from the names that Vite gives to applications, and none from half of them', () => {
  const names = { VITE_SUPABASE_URL: PROJECT.url, VITE_SUPABASE_ANON_KEY: PROJECT.publishableKey }
  expect(projectOf(names)).toEqual(PROJECT)
  expect(projectOf({ ...names, VITE_SUPABASE_ANON_KEY: '' })).toBeNull()
  expect(JSON.parse(files['config.json'] ?? '')).toEqual(PROJECT)
})

it('leaves the project to a config.json that comes later, and its origin to whoever writes it in', () => {
  const open = filesForHosts(projectOf({}))
  expect(JSON.parse(open['config.json'] ?? '')).toEqual({ url: '', publishableKey: '' })
  expect(open._headers).toContain("connect-src 'self' https:;")
})

it.each(['_headers', 'nginx.conf'])(
  '%s has a strict policy that lets the pages ask their project alone',
  (name) => {
    const [policy = ''] = /default-src [^\n"]+/.exec(files[name] ?? '') ?? []
    const directives = new Map(
      policy.split('; ').map((text) => [text.split(' ', 1)[0] ?? '', text.slice(text.indexOf(' ') + 1)]),
    )
    expect(Object.fromEntries(directives)).toEqual({
      'default-src': "'none'",
      'script-src': "'self'",
      'style-src': "'self'",
      'font-src': "'self'",
      'img-src': "'self'",
      'connect-src': `'self' ${PROJECT.url}`,
      'base-uri': "'none'",
      'form-action': "'none'",
      'frame-ancestors': "'none'",
      'require-trusted-types-for': "'script'",
      'trusted-types': "'none'",
    })
    for (const [header, value] of Object.entries(FIXED_HEADERS)) {
      expect(files[name]).toContain(header)
      expect(files[name]).toContain(value)
    }
  },
)

it('leads addresses of pages to index.html, keeps the assets for a year, and serves no file that is for hosts', () => {
  expect(files._redirects).toBe('/* /index.html 200\n')
  expect(files._headers).toMatch(/\/assets\/\*\n {2}Cache-Control: public, max-age=31536000, immutable/)
  expect(files['nginx.conf']).toContain('location / { try_files $uri /index.html; }')
  expect(files['nginx.conf']).toContain('location /assets/ { expires 1y; }')
  expect(files['nginx.conf']).toMatch(/_headers\|_redirects.*return 404/)
})

it('is built for a project by one command, into files that stand for themselves and a folder that is one’s own', async () => {
  const parent = await mkdtemp(path.join(tmpdir(), 'hosting-'))
  const build = (output: string) =>
    runProgram(
      process.execPath,
      ['--import', 'tsx', path.join(projectRoot, 'tools/build-console.ts'), '--output', output],
      {
        cwd: projectRoot,
        env: {
          PATH: process.env.PATH,
          VITE_SUPABASE_URL: PROJECT.url,
          VITE_SUPABASE_ANON_KEY: PROJECT.publishableKey,
        },
      },
    )
  try {
    const folder = path.join(parent, 'site')
    await build(folder)
    const page = await readFile(path.join(folder, 'index.html'), 'utf8')
    // The policy allows no inline script and no inline style.
    expect(page.match(/<script\b[^>]*>/g)).toEqual(
      expect.arrayContaining([expect.stringMatching(/ src="\/assets\//)]),
    )
    for (const tag of page.match(/<script\b[^>]*>/g) ?? []) expect(tag).toContain(' src="/')
    expect(page).not.toMatch(/<style|style="/)
    for (const [name, text] of Object.entries(files))
      expect(await readFile(path.join(folder, name), 'utf8')).toBe(text)
    expect(
      (await readdir(path.join(folder, 'assets'))).filter((name) => name.endsWith('.woff2')),
    ).not.toEqual([])
    expect(await readdir(parent)).toEqual(['site'])

    await writeFile(path.join(parent, 'mine.txt'), 'mine')
    await expect(build(parent)).rejects.toThrow('holds something else than the console')
    expect(await readdir(parent)).toEqual(['mine.txt', 'site'])
  } finally {
    await rm(parent, { recursive: true, force: true })
  }
}, 120_000)
