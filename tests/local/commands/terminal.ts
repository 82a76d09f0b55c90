import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { projectRoot } from '../../../tools/project.ts'
import { TYPESCRIPT } from '../../support/typescript.ts'

/** Whether there is util-linux' `script`, which gives a program a terminal. The one of macOS has other options. */
export const terminalAvailable = process.platform === 'linux' && found('script')

function found(program: string): boolean {
  try {
    execFileSync(program, ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** Runs a command in a terminal of its own and types an answer when it asks. */
export async function answerInTerminal(
  script: string,
  question: string,
  answer: string,
  environment: NodeJS.ProcessEnv,
): Promise<{ code: number | null; output: string }> {
  const command = `'${process.execPath}' ${[...TYPESCRIPT, script].join(' ')}`
  const terminal = spawn('script', ['--quiet', '--return', '--command', command, '/dev/null'], {
    cwd: projectRoot,
    env: environment,
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  let output = ''
  let answered = false
  terminal.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
    if (answered || !output.includes(question)) return
    answered = true
    terminal.stdin.write(answer)
  })
  await once(terminal, 'close')
  return { code: terminal.exitCode, output }
}
