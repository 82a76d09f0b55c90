import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, it } from 'vitest'
import { projectRoot } from '../../tools/project.ts'
import { runProgram } from '../../tools/run-program.ts'

const letters = (count: number) => 'Zq7Rk2Xv9Lm4Tc8Wb3Hd6Ng5Pj1Fs0Yu'.repeat(2).slice(0, count)
const hexadecimal = (count: number) => '7f3a91c04be25d86'.repeat(4).slice(0, count)

/** Put together here, so that this file has none of them. */
const SECRETS: Readonly<Record<string, string>> = {
  'stripe.ts': `const key = 'sk_${'live'}_${letters(24)}'`,
  'stripe-webhook.ts': `const secret = 'whsec_${letters(32)}'`,
  'neon.md': `NEON_API_KEY=napi_${letters(48).toLowerCase()}`,
  'neon-password.sql': `-- npg_${letters(12)}`,
  'supabase.env': `SUPABASE_ACCESS_TOKEN=sbp_${hexadecimal(40)}`,
  'project.env': `SECRET=sb_secret_${letters(22)}_${letters(8)}`,
  'token.json': JSON.stringify({ token: `eyJ${letters(20)}.eyJ${letters(40)}.${letters(43)}` }),
  'database.txt': `postgresql://postgres.abc:${letters(16)}@aws-0-eu-central-1.pooler.supabase.com:6543/postgres`,
  'github.yml': `token: ghp_${letters(36)}`,
}

it('the lint of secrets finds a key of every kind that is used here, and tells none of them', async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'secret-lint-'))
  try {
    for (const [name, text] of Object.entries(SECRETS))
      await writeFile(path.join(directory, name), `${text}\n`)
    await writeFile(path.join(directory, 'clean.ts'), `const key = 'sk_test_localemulator'\n`)
    const lint = runProgram(
      path.join(projectRoot, 'node_modules/.bin/secretlint'),
      ['--secretlintrc', path.join(projectRoot, '.secretlintrc.json'), '--format', 'unix', '**/*'],
      { cwd: directory },
    )
    const output = await lint.catch(String)
    const found = [...output.matchAll(/([\w-]+\.\w+):\d+:\d+:/g)].map(([, name]) => name)
    expect(found.toSorted()).toEqual(Object.keys(SECRETS).toSorted())
    expect(output).not.toContain(letters(12))
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
})
