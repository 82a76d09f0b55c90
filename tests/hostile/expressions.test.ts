import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { parseSync } from 'vite'
import { describe, expect, it } from 'vitest'
import { maskSecrets } from '../../shared/kernel/masking.ts'
import { projectRoot } from '../../tools/project.ts'

const FOLDERS = ['shared', 'cli', 'tools']
const MEGABYTE = 2 ** 20
const LIMIT_MS = 50

/** They see nothing that others have written. */
const OWN_TEXTS = [
  // The migrations of the project, as cli/doctor/migrations.ts reads them from the disk.
  String.raw`cron\.schedule\('([\w-]+)',\s*'([^']+)',\s*'((?:[^']|'')+)'\)`,
  String.raw`^create trigger ([^;]+ execute function provisioning\.(\w+)\(\);)`,
  // The files of tenant-schema/, and lists of ids and of words of ours. Linear, but a megabyte of matches takes longer.
  '[\\\\`]|\\$\\{',
  '["\\\\]',
]

interface Expression {
  readonly file: string
  readonly source: string
  readonly flags: string
}

/** Every regular expression that is written in the source. */
async function expressions(): Promise<Expression[]> {
  const found: Expression[] = []
  for (const folder of FOLDERS) {
    const names = await readdir(path.join(projectRoot, folder), { recursive: true })
    for (const name of names.filter((each) => each.endsWith('.ts') && !each.includes('generated'))) {
      const file = path.join(folder, name)
      const { program, errors } = parseSync(file, await readFile(path.join(projectRoot, file), 'utf8'))
      expect(errors).toEqual([])
      JSON.stringify(program, (_key, node) => {
        if (node?.type === 'Literal' && node.regex)
          found.push({ file, source: node.regex.pattern, flags: node.regex.flags })
        return node instanceof RegExp || typeof node === 'bigint' ? String(node) : node
      })
    }
  }
  return found
}

/** Repeated, what makes an expression begin again and again, or go back step by step. */
function unitsOf(source: string): string[] {
  const words = source
    .replaceAll(/\\[nrt]/g, ' ')
    .replaceAll(/\\u001b/g, '\u001b')
    .replaceAll(/\\[bBdDsSwW]/g, ' ')
    .replaceAll('\\', '')
    .split(/[[\](){}|^$*+?.\s]+/)
    .filter(Boolean)
  const characters = [
    'a',
    'A',
    '0',
    ' ',
    '\n',
    '/',
    ':',
    '@',
    '=',
    '-',
    '_',
    '.',
    "'",
    ';',
    '"',
    '\u001b',
    'é',
    '😀',
  ]
  return [
    ...new Set([
      ...characters,
      ...words,
      ...words.map((word) => `${word} `),
      ...words.map((word) => `${word}a`),
      '://a:',
      'a=',
      'Bearer ',
      '\u001b[',
    ]),
  ]
}

function* attacksOn(source: string): Generator<(length: number) => string> {
  for (const unit of unitsOf(source))
    for (const behind of ['', '!\n'])
      yield (length) => unit.repeat(Math.ceil(length / unit.length)).slice(0, length) + behind
}

/** Of the processor, so that nothing but the work itself counts. */
function millisecondsOf(work: () => unknown): number {
  const before = process.cpuUsage()
  work()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000
}

/** The best of three, without what the first one has to compile. */
function quickest(work: () => unknown): number {
  let best = Number.POSITIVE_INFINITY
  for (let round = 0; round < 3 && best > LIMIT_MS; round += 1) best = Math.min(best, millisecondsOf(work))
  return best
}

/**
 * Sizes grow, so that a bad expression is found before it takes hours. Eight times the text costs at most 64 times as much where
 * the work grows with the square, and what grows faster is over the limit at an eighth of a megabyte already: an attack that
 * takes less than a 64th of the limit there cannot break it with the whole megabyte, and is not tried.
 * @returns the attack that takes too long
 */
function slowAttack({ source, flags }: Expression): string | undefined {
  const expression = new RegExp(source, flags)
  let attacks = [...attacksOn(source)]
  for (const length of [MEGABYTE / 64, MEGABYTE / 8, MEGABYTE]) {
    const worthMore: typeof attacks = []
    for (const attack of attacks) {
      const text = attack(length)
      const ms = quickest(() => text.replace(expression, ''))
      if (ms > LIMIT_MS) return `${Math.round(ms)} ms for ${length} of ${JSON.stringify(text.slice(0, 40))}`
      if (length < MEGABYTE / 8 || ms > LIMIT_MS / 64) worthMore.push(attack)
    }
    attacks = worthMore
  }
  return undefined
}

describe('every regular expression that may see the text of others', () => {
  it('takes less than 50 ms for the worst megabyte', { timeout: 600_000 }, async () => {
    const all = await expressions()
    expect(all.length).toBeGreaterThan(40)
    expect(all.map(({ source }) => source)).toEqual(expect.arrayContaining(OWN_TEXTS))
    const slow = all
      .filter(({ source }) => !OWN_TEXTS.includes(source))
      .map((expression) => ({ ...expression, attack: slowAttack(expression) }))
      .filter(({ attack }) => attack !== undefined)
    expect(slow).toEqual([])
  })

  it('would be found out if it went back again and again', () => {
    const bad = { file: '', source: String.raw`(\w+:\/\/[^:/\s@]*:)\S+@`, flags: 'g' }
    expect(slowAttack(bad)).toBeDefined()
  })
})

describe('masking a text of others', () => {
  it.each([
    'a',
    '://a:',
    'password',
    'password =',
    'sk_',
    'Bearer ',
    'Bearer',
    'eyJ',
    'eyJ ',
    '-eyJ',
    ' ',
    'a://',
    '@',
    ':',
  ])('takes less than 50 ms for a megabyte of %j', (unit) => {
    const text = unit.repeat(MEGABYTE / unit.length)
    expect(quickest(() => maskSecrets(text))).toBeLessThan(LIMIT_MS)
  })

  it('shows no password that the cut goes through', () => {
    for (const before of [3_980, 3_985, 3_990, 3_995]) {
      const filler = 'password=x '.repeat(400).slice(0, before)
      const masked = maskSecrets(`${filler} postgres://role:hunter2hunter2hunter2@host/db`)
      expect(masked).not.toContain('hunter')
    }
    expect(maskSecrets(`postgres://role:${'hunter2'.repeat(1_000)}@host/db`)).toBe('postgres://role:***')
  })
})
