import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { projectRoot } from '../../tools/project.ts'
import { runProgram } from '../../tools/run-program.ts'
import { LONGEST_LINE, lintSql } from '../../tools/sql-lint/lint.ts'

const messages = (sql: string) => lintSql('a.sql', sql).map(({ line, message }) => `${line}: ${message}`)

const GOOD = `create function provisioning.add(p_left integer, p_right numeric(10, 2) default 0, out total numeric)
language plpgsql set search_path = '' as $$
declare
  v_sum numeric := p_left;
  v_kinds constant text[] := '{A,B}';
begin
  -- NOT a keyword, nor 'FROM' in quotes.
  total := v_sum + p_right;
end
$$;
revoke execute on function provisioning.add(integer, numeric) from public, anon, authenticated, service_role;
`

describe('the lint of SQL', () => {
  it('finds nothing in a function that keeps to the habits', () => {
    expect(messages(GOOD)).toEqual([])
  })

  it.each([
    [
      'a long line',
      `-- ${'x'.repeat(LONGEST_LINE)}`,
      `1: the line has ${LONGEST_LINE + 3} characters, more than ${LONGEST_LINE}`,
    ],
    ['blanks at the end', 'select 1; ', '1: there are blanks at the end of the line'],
    ['a tab', 'select\t1;', '1: there is a tab; indent with blanks'],
    ['upper-case keywords', "select 'FROM';\nselect 1 FROM pg_class;", '2: write FROM in lower case'],
    [
      'no search_path',
      GOOD.replace(" set search_path = ''", ''),
      "1: provisioning.add does not set search_path = ''",
    ],
    [
      'no revoke',
      GOOD.replace(/revoke.*\n/, ''),
      '1: provisioning.add is not revoked from public, anon, authenticated, service_role in its migration',
    ],
    [
      'a role of the API that may have the right by default',
      GOOD.replace(', service_role;', ';'),
      '1: provisioning.add is not revoked from public, anon, authenticated, service_role in its migration',
    ],
    [
      'a parameter without p_',
      GOOD.replaceAll('p_left', 'left'),
      '1: provisioning.add: the parameter left does not begin with p_',
    ],
    [
      'a variable without v_',
      GOOD.replaceAll('v_kinds', 'kinds'),
      '1: provisioning.add: the variable kinds does not begin with v_',
    ],
  ])('finds %s', (_, sql, message) => {
    expect(messages(sql)).toEqual([message])
  })

  it('leaves the names of functions that callers write to them', () => {
    expect(
      messages(GOOD.replaceAll('provisioning.add', 'public.add').replaceAll('p_left', 'subject')),
    ).toEqual([])
  })
})

describe('the lint of the tenant schema’s files', () => {
  const file = (text: string) => lintSql('tenant-schema/0002_more.sql', text).map(({ message }) => message)

  it('wants no function revoked, because a tenant’s database has none of these roles', () => {
    const own = GOOD.replaceAll('provisioning.add', 'tenant.add').replace(/^revoke.*$/m, '')
    expect(file(own)).toEqual([])
  })

  it('lets a function that policies call leave its search_path alone, when it says so', () => {
    const bare = GOOD.replaceAll('provisioning.add', 'tenant.add').replace(" set search_path = ''", '')
    expect(file(bare)).toEqual(["tenant.add does not set search_path = ''"])
    const said = bare.replace('-- NOT a keyword', '-- It sets no search_path')
    expect(file(said)).toEqual([])
    expect(messages(said)).toContain("1: tenant.add does not set search_path = ''")
  })

  it.each([
    ['adding-required-field', 'alter table public.contacts add column vat text not null;'],
    ['changing-column-type', 'alter table public.contacts alter column lead_score type text;'],
    ['renaming-column', 'alter table public.contacts rename column notes to remarks;'],
    ['ban-drop-column', 'alter table public.contacts drop column notes;'],
  ])('finds what a database in use does not bear: %s', async (rule, statement) => {
    const folder = await mkdtemp(path.join(tmpdir(), 'squawk-'))
    try {
      const sql = path.join(folder, '0002_more.sql')
      await writeFile(sql, statement)
      const args = ['--config', path.join(projectRoot, '.squawk.toml'), '--reporter', 'gcc', sql]
      const lint = runProgram(path.join(projectRoot, 'node_modules/.bin/squawk'), args)
      await expect(lint).rejects.toThrow(rule)
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})
