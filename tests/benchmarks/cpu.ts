import { readFile } from 'node:fs/promises'

/** Linux counts in hundredths of a second for programs, whatever its own clock does (proc(5), USER_HZ). */
const MS_PER_TICK = 10

interface Usage {
  /** Of the process with all its threads. */
  readonly ownMs: number
  /** Of its children that have ended. */
  readonly endedChildrenMs: number
}

/** User and system time of a process in milliseconds; undefined where the system does not tell (only Linux does). */
export async function processCpuMs(pid: number): Promise<number | undefined> {
  return (await usage(pid))?.ownMs
}

/** The same for a process together with its children, those that have ended included. */
export async function familyCpuMs(pid: number): Promise<number | undefined> {
  const parent = await usage(pid)
  if (!parent) return undefined
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '')
  const alive = await Promise.all(children.trim().split(' ').map(Number).map(usage))
  return alive.reduce((sum, child) => sum + (child?.ownMs ?? 0), parent.ownMs + parent.endedChildrenMs)
}

async function usage(pid: number): Promise<Usage | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined)
  if (text === undefined) return undefined
  // The name in parentheses may hold blanks; the fields are counted from its end. utime is field 14 of proc(5).
  const [utime = 0, stime = 0, cutime = 0, cstime = 0] = text
    .slice(text.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 15)
    .map(Number)
  return { ownMs: (utime + stime) * MS_PER_TICK, endedChildrenMs: (cutime + cstime) * MS_PER_TICK }
}
