import type { Command } from 'commander'
import type { Output } from '../tools/command.ts'
import { findProject } from '../tools/project-address.ts'
import { padded, watched } from '../tools/terminal.ts'
import { type Api, connectApi } from './api.ts'
import { shellWord } from './shell-word.ts'

/** The exit codes, as --help lists them. */
export const exit = { fine: 0, refused: 1, usage: 2, notReady: 3, problems: 4, interrupted: 130 } as const

/** Somebody was asked, and did not say yes. */
export class Declined extends Error {
  readonly code: 'declined' | 'interrupted'
  readonly exitCode: number
  constructor(message: string, code: Declined['code'] = 'declined') {
    super(message)
    this.code = code
    this.exitCode = code === 'declined' ? exit.refused : exit.interrupted
  }
}

const PROGRAM = 'npm run tenants --'

export interface SessionOptions {
  readonly json: boolean
  readonly stop: AbortSignal
  readonly environment: NodeJS.ProcessEnv
  readonly output: Output
  /** The words of the command line. */
  readonly args: readonly string[]
}

/** What every command has: the project, the wish for JSON, and the signal of Ctrl-C. */
export class Session {
  readonly json: boolean
  readonly stop: AbortSignal
  readonly environment: NodeJS.ProcessEnv
  readonly output: Output
  private readonly args: readonly string[]
  /** Said when the command is interrupted: what has been done, what goes on, and how to look. */
  standing = 'Nothing was changed.'
  /** The result is on standard output; with --json nothing may follow it. */
  printed = false

  constructor({ json, stop, environment, output, args }: SessionOptions) {
    this.json = json
    this.stop = stop
    this.environment = environment
    this.output = output
    this.args = args
  }

  /** @throws Error when there is no project to work on */
  async connect(): Promise<Api> {
    return connectApi(await findProject(this.environment), this.stop)
  }

  /** Before a request that changes something: whoever interrupts it cannot know whether it arrived. */
  requesting(tenant: string): void {
    this.standing = `The request was on its way. Whether it arrived: npm run tenants -- status ${tenant}`
  }

  /** The result: the document with --json, else the screen. */
  print(document: unknown, screen: () => string): void {
    this.output.result(this.json ? JSON.stringify(document, null, 2) : screen())
    this.printed = true
  }

  /** One line of several: an object with --json (NDJSON), else text. */
  printLine(document: unknown, text: () => string): void {
    this.output.result(this.json ? JSON.stringify(document) : text())
  }

  /** Beside the result: to standard error. */
  note(text: string): void {
    this.output.note(text)
  }

  /** How the command that is running is given once more with an option of another value; it can be pasted into a shell. */
  sameCommand(option: string, value: string | null): string {
    const at = this.args.indexOf(option)
    const others = this.args.filter(
      (word, index) => !word.startsWith(`${option}=`) && (at < 0 || (index !== at && index !== at + 1)),
    )
    return [PROGRAM, ...[...others, option, value ?? ''].map(shellWord)].join(' ')
  }

  /**
   * Asks before something is done that cannot be taken back. `--yes` is the answer for scripts, which have no terminal.
   * @throws Declined
   */
  async confirm(question: string, yes: boolean): Promise<void> {
    if (yes) return
    const { confirm, isCancel } = await this.#prompts(question)
    const answer = await confirm({ message: question, initialValue: false, ...this.#terminal() })
    if (isCancel(answer)) throw new Declined('Nothing was changed.', 'interrupted')
    if (!answer) throw new Declined('Nothing was changed.')
  }

  /**
   * The same for what is gone for good afterwards: the answer is its exact name.
   * @throws Declined
   */
  async confirmByName(question: string, name: string, yes: boolean): Promise<void> {
    if (yes) return
    const { text, isCancel } = await this.#prompts(question)
    const answer = await text({ message: `${question} Type ${name}:`, ...this.#terminal() })
    if (isCancel(answer)) throw new Declined('Nothing was changed.', 'interrupted')
    if (answer !== name) throw new Declined(`That is not ${name}. Nothing was changed.`)
  }

  async #prompts(question: string) {
    if (!watched || !process.stdin.isTTY)
      throw new Declined(
        `${question} Say so with --yes; there is no terminal to ask on. Nothing was changed.`,
      )
    // Read only now: the other commands start faster without it.
    return import('@clack/prompts')
  }

  #terminal() {
    return { output: process.stderr, signal: this.stop }
  }
}

type Action<A extends readonly unknown[]> = (session: Session, ...args: A) => Promise<number>

/** Gives a command --json and an action; what that returns becomes the exit code of the process. */
export type Define = <A extends readonly unknown[]>(command: Command, action: Action<A>) => Command

/** `name  meaning` lines below a command's help. */
export function listed(title: string, entries: readonly (readonly [string, string])[]): string {
  const width = Math.max(...entries.map(([name]) => name.length)) + 2
  return `\n${title}:\n${entries.map(([name, meaning]) => `  ${padded(name, width)}${meaning}`).join('\n')}`
}
