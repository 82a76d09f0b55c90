import { readdir, readFile } from 'node:fs/promises'
import { runProgram } from '../../../tools/run-program.ts'

export interface ProcessInfo {
  readonly pid: number
  readonly parent: number
  readonly command: string
}

/** With arguments and environment, which nobody wants to see in the message of a failed test. */
interface WholeProcess extends ProcessInfo {
  readonly text: string
}

/** The processes that have one of the texts among their arguments or in their environment. */
export async function processesWith(texts: readonly string[]): Promise<ProcessInfo[]> {
  const all = await listProcesses()
  return all.filter(({ text }) => texts.some((each) => text.includes(each))).map(withoutText)
}

/** A process's children, their children, and so on. */
export async function descendants(pid: number): Promise<ProcessInfo[]> {
  const all = await listProcesses()
  const below = (parent: number): ProcessInfo[] =>
    all.filter((each) => each.parent === parent).flatMap((each) => [withoutText(each), ...below(each.pid)])
  return below(pid)
}

/** Those that have not ended. One that has but whose parent does not ask for it has no command line any more. */
export async function stillRunning(pids: readonly number[]): Promise<ProcessInfo[]> {
  const all = await listProcesses()
  return all.filter(({ pid, command }) => pids.includes(pid) && command !== '').map(withoutText)
}

const withoutText = ({ pid, parent, command }: WholeProcess): ProcessInfo => ({ pid, parent, command })

async function listProcesses(): Promise<WholeProcess[]> {
  if (process.platform !== 'linux') return listWithPs()
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const found = await Promise.all(pids.map((pid) => readProcess(pid).catch(() => undefined)))
  return found.filter((each) => each !== undefined)
}

async function readProcess(pid: string): Promise<WholeProcess> {
  const read = (name: string) => readFile(`/proc/${pid}/${name}`, 'utf8')
  const [status, line, environment] = await Promise.all([read('status'), read('cmdline'), read('environ')])
  const command = line.replaceAll('\0', ' ').trim()
  const parent = Number(/^PPid:\s+(\d+)$/m.exec(status)?.[1])
  return { pid: Number(pid), parent, command, text: `${command} ${environment}` }
}

async function listWithPs(): Promise<WholeProcess[]> {
  const output = await runProgram('ps', ['-axEww', '-o', 'pid=,ppid=,command='])
  return output.split('\n').flatMap((line) => {
    const [, pid, parent, text = ''] = /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line) ?? []
    return pid && parent ? [{ pid: Number(pid), parent: Number(parent), command: text, text }] : []
  })
}
