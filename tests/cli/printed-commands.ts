import { execFile } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import { Command } from 'commander'
import { registerCommands } from '../../cli/commands/index.ts'
import { projectRoot } from '../../tools/project.ts'

/** What stands for a value in a text that is printed, such as `${slug}`. */
const VALUE = /\$\{[^}`]*(?:\}|(?=`)|$)/g
/** And for an id, which some options take alone. */
const ID = /\$\{(?:\w+\.)*(?:id|\w+Id)\}/g
const EXAMPLE_ID = '5f0f7c1e-8d0c-4d3b-9a55-0c7a3b0f6e11'
/** Where a command ends that stands in a text: at a comment, at whatever the shell does with it, at the next sentence, with a pattern. */
const END = /\s(?:#|>|\||&&)|\/g\b|;|\.(?:\s|$)|\\?`|\)|\\(?:n|$)/

/** The words of a command as a shell would make them of it. */
function wordsOf(text: string): string[] {
  return [...text.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map(
    ([, single, double, plain]) => single ?? double ?? plain ?? '',
  )
}

/** @returns why the command line of the operators does not take these words; undefined when it does. Nothing is done. */
async function refusalOf(words: readonly string[]): Promise<string | undefined> {
  const program = new Command()
  registerCommands(program, (command) => command.option('--json').action(() => undefined))
  for (const each of [program, ...program.commands])
    each.exitOverride().configureOutput({ writeErr: () => undefined, writeOut: () => undefined })
  try {
    await program.parseAsync(words, { from: 'user' })
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/** @returns why a command that is printed cannot work as it stands; undefined when it can */
export async function problemWith(command: string): Promise<string | undefined> {
  const [, npm, script = '', ...given] =
    /^(npm) (?:run (?:--silent )?)?([\w:-]+)(?: (.*))?$/.exec(command) ?? []
  // Of those of the Supabase CLI another test looks at the options.
  if (!npm) return command.startsWith('npx supabase ') ? undefined : 'It is no command of ours.'
  const { scripts } = JSON.parse(await readFile(path.join(projectRoot, 'package.json'), 'utf8'))
  if (script === 'ci') return undefined
  if (!(script in scripts)) return `package.json has no script ${script}.`
  const words = wordsOf(given[0] ?? '')
  if (words.length === 0) return undefined
  if (words.shift() !== '--') return 'npm keeps the arguments for itself without --.'
  if (script === 'tenants') return refusalOf(words)
  if (script !== 'functions:invoke') return undefined
  const functions = await readdir(path.join(projectRoot, 'supabase/functions'))
  return functions.includes(words[0] ?? '') ? undefined : `There is no function ${words[0]}.`
}

const PRINTED = ['*.md', '*.sql', '.env.example', 'cli', 'tools', 'shared', 'local', 'supabase', 'examples']

/** The text of every file that says commands to people. */
export async function printedTexts(): Promise<string[]> {
  const { stdout } = await promisify(execFile)('git', ['ls-files', ...PRINTED], { cwd: projectRoot })
  return Promise.all(
    stdout
      .trim()
      .split('\n')
      .map((name) => readFile(path.join(projectRoot, name), 'utf8')),
  )
}

/** Every command of this repository that a text names, with an example where a value stands. */
export function commandsIn(text: string): string[] {
  return [...text.matchAll(/\bnpm (?:start\b|run (?:(?!\bnpm )[^\n])*)/g)].map(([found]) => {
    const whole = found.replace(ID, EXAMPLE_ID).replace(VALUE, 'acme').replaceAll("\\'", "'")
    // A quotation mark that nothing closes is the end of the text.
    const quoted = /^(?:[^'"]|'[^']*'|"[^"]*")*/.exec(whole)?.[0] ?? ''
    return quoted.slice(0, END.exec(quoted)?.index).trim()
  })
}
