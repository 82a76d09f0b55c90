import { spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'

export interface RealServer {
  stop(): Promise<void>
}

export interface RealServerOptions {
  readonly file: string
  readonly args: readonly string[]
  readonly isReady: () => Promise<boolean>
  readonly uid?: number | undefined
}

const START_TIMEOUT_MS = 15_000

/** Starts a program that somebody has installed, to check a stand-in against. @throws Error with what it printed */
export async function startRealServer({ file, args, isReady, uid }: RealServerOptions): Promise<RealServer> {
  const child = spawn(file, [...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(uid === undefined ? {} : { uid, gid: uid, cwd: '/' }),
  })
  let said = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (text) => {
      said = (said + String(text)).slice(-2000)
    })
  const exited = new Promise<void>((resolve) => child.once('close', () => resolve()))
  child.once('error', () => undefined)
  const stop = async () => {
    child.kill('SIGINT')
    await exited
  }
  const deadline = Date.now() + START_TIMEOUT_MS
  while (!(await isReady().catch(() => false))) {
    if (child.exitCode !== null || child.pid === undefined || Date.now() > deadline) {
      await stop()
      throw new Error(`${file} did not start within ${START_TIMEOUT_MS / 1000} s: ${said}`)
    }
    await sleep(50)
  }
  return { stop }
}
