import path from 'node:path'
import { type Command, InvalidArgumentError } from 'commander'
import { bold, dim, green, red } from '../../tools/command.ts'
import { printable } from '../../tools/printable.ts'
import { sign } from '../../tools/terminal.ts'
import { hostedProject } from '../deploy/hosted-project.ts'
import { runSteps, type StepResult } from '../deploy/step.ts'
import { deploySteps, HOSTED_API } from '../deploy/steps.ts'
import { openTheirDatabase, type TheirDatabase } from '../install/their-database.ts'
import { startProgress } from '../progress.ts'
import { type Define, exit, type Session } from '../session.ts'

interface Options {
  readonly projectRef: string
  readonly dryRun?: true
  readonly yes?: true
}

export function registerDeploy(program: Command, define: Define): void {
  define(
    program
      .command('deploy')
      .argument('[directory]', 'the directory with supabase/config.toml', '.')
      .description('bring what is installed to a hosted project: migrations, secrets, functions, settings')
      .requiredOption('--project-ref <ref>', 'of the project, as in its address in the dashboard', projectRef)
      .option('--dry-run', 'look at everything and print each change, but make none')
      .option('--yes', 'do it without asking')
      .addHelpText(
        'after',
        `
Needs SUPABASE_ACCESS_TOKEN and SUPABASE_DB_URL. The secrets of the functions are those of them that this environment has; values
are never printed. Everything is looked at before anything is changed. It stops at the first failure and says what to do; run
again, it goes on where it stopped. What is as it should be is left alone.`,
      ),
    async (session, directory: string, options: Options) => {
      const { SUPABASE_ACCESS_TOKEN: token, SUPABASE_DB_URL: databaseUrl } = session.environment
      if (!token)
        throw new Error(
          'Set SUPABASE_ACCESS_TOKEN (supabase.com/dashboard/account/tokens), for the Management API.',
        )
      if (!databaseUrl)
        throw new Error('Set SUPABASE_DB_URL (Dashboard, Connect), for what is in the database.')
      const apiUrl = session.environment.MANAGEMENT_API_URL || HOSTED_API
      const { projectRef: ref } = options
      let opened: Promise<TheirDatabase> | undefined
      const database = () => {
        opened ??= openTheirDatabase(databaseUrl)
        return opened
      }
      const steps = deploySteps({
        ref,
        directory: path.resolve(directory),
        environment: session.environment,
        apiUrl,
        token,
        databaseUrl,
        hosted: hostedProject(apiUrl, token, ref, session.stop),
        database,
        stop: session.stop,
      })
      try {
        const plan = await watchSteps(session, (told) => runSteps(steps, true, session.stop, told))
        const isReady = plan.every(({ state }) => state !== 'failed')
        const isDone = plan.every(({ state }) => state === 'ok')
        if (!isReady || isDone || options.dryRun) return report(session, ref, plan, options.dryRun ?? false)
        if (!options.yes) session.note(screen(plan))
        await session.confirm(`Make these changes in the project ${ref}?`, options.yes ?? false)
        session.standing = 'Run the same command again: it goes on where this one stopped.'
        return report(
          session,
          ref,
          await watchSteps(session, (told) => runSteps(steps, false, session.stop, told)),
          false,
        )
      } finally {
        await opened?.then(
          (each) => each[Symbol.asyncDispose](),
          () => undefined,
        )
      }
    },
  )
}

/** @throws InvalidArgumentError */
function projectRef(text: string): string {
  if (!/^[a-z]{20}$/.test(text)) throw new InvalidArgumentError('It is twenty small letters.')
  return text
}

type Told = Parameters<typeof runSteps>[3]

async function watchSteps(
  session: Session,
  run: (told: Told) => Promise<StepResult[]>,
): Promise<StepResult[]> {
  const progress = startProgress()
  try {
    return await run({
      begins: ({ title }) => progress.show(`${title} …`),
      ended: (result) => {
        progress.clear()
        if (result.state === 'done') session.note(lines(result).join('\n'))
      },
    })
  } finally {
    progress.clear()
  }
}

function report(session: Session, ref: string, results: readonly StepResult[], dryRun: boolean): number {
  const isFine = results.every(({ state }) => state !== 'failed')
  session.print({ projectRef: ref, ok: isFine, dryRun, steps: results }, () =>
    [screen(results), '', summary(results, dryRun)].join('\n'),
  )
  return isFine ? exit.fine : exit.refused
}

const screen = (results: readonly StepResult[]) => results.flatMap(lines).join('\n')

const SIGNS = { ok: 'ok', done: 'ok', 'to do': 'pending', failed: 'failed' } as const

function lines({ title, state, found, effects, problem }: StepResult): string[] {
  return [
    `${sign(SIGNS[state])} ${title}${found ? dim(`: ${printable(found)}`) : ''}`,
    ...effects.map((effect) => `    ${printable(effect)}`),
    ...(problem
      ? [`    ${red(problem.code)}: ${printable(problem.message)}`, `    → ${printable(problem.remedy)}`]
      : []),
  ]
}

function summary(results: readonly StepResult[], dryRun: boolean): string {
  const count = (wanted: StepResult['state']) => results.filter(({ state }) => state === wanted).length
  if (count('failed') > 0) return red('Stopped. Run the same command again when this is mended.')
  if (dryRun && count('to do') > 0) return bold('Nothing was changed: this was a dry run.')
  if (count('done') === 0) return green('There is nothing to do.')
  return `${green('Deployed.')} Next, with SUPABASE_URL and SUPABASE_SECRET_KEY of the project: npm run tenants -- doctor`
}
