import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { templateProblems } from '../../shared/services/n8n/template.ts'

/**
 * Source text of shared/generated/n8n-templates.ts for a folder of JSON files.
 * @throws Error with everything that is wrong in the first file that cannot be used
 */
export async function bundleN8nTemplates(folder: string): Promise<string> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.json')).sort()
  const entries = await Promise.all(
    names.map(async (name) => entryOf(name, await readFile(path.join(folder, name), 'utf8'))),
  )
  return [
    '// Written by `npm run n8n-templates` from n8n-templates/*.json; edit those.\n',
    '/** Each a workflow with placeholders, as JSON; shared/services/n8n/template.ts has its form. */\n',
    'export const n8nTemplates: readonly string[] = [\n',
    ...entries.map((entry) => `  ${entry},\n`),
    ']\n',
  ].join('')
}

function entryOf(file: string, text: string): string {
  const template = parsed(file, text)
  const problems = templateProblems(template)
  const name = path.basename(file, '.json')
  if (problems.length === 0 && Object(template).name !== name)
    problems.push(`name: must be ${name}, as the file's`)
  if (problems.length > 0) throw new Error(`n8n-templates/${file} cannot be used. ${problems.join('. ')}.`)
  return literal(JSON.stringify(template))
}

function parsed(file: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new Error(`n8n-templates/${file} is no JSON: ${error instanceof Error ? error.message : error}`)
  }
}

/** In single quotes, on one line. */
function literal(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'").replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029')}'`
}
