import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { COMPONENTS } from '../../tools/console/registry.ts'
import { projectRoot } from '../../tools/project.ts'

const read = (file: string) => readFile(path.join(projectRoot, file), 'utf8')
const sources = 'console/src/components/tenants'

/** What may be given to a component, but for where the project is and who asks. */
async function propsOf(file: string, title: string): Promise<string[]> {
  const source = await read(`${sources}/${file}.tsx`)
  const [, others = '', own = ''] =
    new RegExp(`interface ${title}Props extends ([\\w, ]+) \\{(.*?)\\}\n\n`, 's').exec(source) ?? []
  const more = others.includes('ViewProps')
    ? (/interface ViewProps \{(.*?)\n\}/s.exec(await read(`${sources}/monitor-view.ts`))?.[1] ?? '')
    : ''
  return [...`${own}\n${more}`.matchAll(/^ {2}readonly (\w+)\??:/gm)].map(([, name = '']) => name)
}

describe.each(Object.entries(COMPONENTS))('the page of the console about %s', (file, { title }) => {
  it('says what each prop is, and shows the component with code and picture', async () => {
    const page = await read('docs/console.md')
    const [, section = ''] = new RegExp(`\n### ${title}\n(.*?)\n##`, 's').exec(page) ?? []
    const props = await propsOf(file, title)
    expect(props.length).toBeGreaterThan(0)
    for (const prop of props) expect(section).toMatch(new RegExp(`^\\|.*\`${prop}\``, 'm'))
    expect(section).toContain(`<${title} {...access}`)
    expect(section).toMatch(/!\[[^\]]+\]\(images\/console-[\w-]+\.webp\)/)
  })
})

it('every picture is there in both themes and at the width of a phone, and every one that is shown', async () => {
  const pictures = await readdir(path.join(projectRoot, 'docs/images'))
  const pages = new Set(pictures.map((name) => /^console-(.+)-(?:light|dark|phone)\.webp$/.exec(name)?.[1]))
  pages.delete(undefined)
  expect(pages.size).toBeGreaterThan(8)
  for (const page of pages)
    for (const view of ['light', 'dark', 'phone']) expect(pictures).toContain(`console-${page}-${view}.webp`)
  for (const [file, folder] of [
    ['README.md', 'docs/images/'],
    ['docs/console.md', 'images/'],
  ] as const) {
    const shown = [...(await read(file)).matchAll(new RegExp(`\\]\\(${folder}([\\w.-]+)\\)`, 'g'))]
    expect(shown.length).toBeGreaterThan(2)
    for (const [, name] of shown) expect(pictures).toContain(name)
  }
})
