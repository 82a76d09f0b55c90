import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { makeLocal } from '../../../tools/local-directory.ts'
import { runProgram } from '../../../tools/run-program.ts'
import { exists } from '../../postgres/binaries.ts'
import { denoArguments, denoEnvironment, denoExecutable, listeningPort } from './deno.ts'

export interface FunctionLogLine {
  readonly function: string
  readonly stream: 'stdout' | 'stderr'
  readonly text: string
}

export interface FunctionProcess {
  readonly name: string
  readonly pid: number
  /** 0 until it listens. */
  readonly port: number
  readonly startedAt: Date
}

export interface ProcessOptions {
  readonly functionsDir: string
  /** In the place of supabase/functions/import_map.json. */
  readonly importMap?: string
  /** Deno's cache. */
  readonly denoDir: string
  /** The whole environment that a function sees. */
  readonly environment: Readonly<Record<string, string>>
  readonly log: (line: FunctionLogLine) => void
  /** How long a function may take until it listens, in milliseconds. */
  readonly startTimeoutMs: number
  /** How long a stopping function may finish its work before it is killed, in milliseconds. */
  readonly stopGraceMs: number
}

export class FunctionNotFoundError extends Error {}

/** The function's process ended or never listened. The message holds what it printed last, without a stack. */
export class FunctionStartError extends Error {}

/** A request that a process has been chosen for. */
export interface FunctionRequest {
  readonly process: FunctionProcess
  /** To be called when the answer begins or fails to come: until then the process is not told to end. */
  answered(): void
}

/** The process that takes a function's requests, maybe still starting, and those whose answers have not begun. */
interface Slot {
  readonly process: Promise<Running>
  readonly unanswered: Set<Promise<void>>
}

interface Running extends FunctionProcess {
  port: number
  /** Resolves when it has said its port. */
  readonly listening: PromiseWithResolvers<void>
  readonly child: ChildProcess
  readonly unanswered: Slot['unanswered']
  readonly exited: Promise<unknown>
  lastError: string
}

/** One kept Deno process a function, started by the first call. */
export class FunctionProcesses {
  readonly #options: ProcessOptions
  readonly #slots = new Map<string, Slot>()
  /** Everything that was spawned and has not ended, also when its slot has a successor. */
  readonly #alive = new Set<Running>()
  #stopping = false

  constructor(options: ProcessOptions) {
    this.#options = options
  }

  /** Whether there is a folder with an index.ts of that name; one that starts with _ is shared code. */
  async exists(name: string): Promise<boolean> {
    return /^[A-Za-z][A-Za-z0-9_-]*$/.test(name) && (await exists(this.#entrypoint(name)))
  }

  /** Chooses the process for a request, and starts one if need be. @throws FunctionNotFoundError, FunctionStartError */
  async begin(name: string): Promise<FunctionRequest> {
    if (this.#stopping) throw new FunctionStartError('The local stack is stopping')
    if (!(await this.exists(name))) throw new FunctionNotFoundError(name)
    const slot = this.#slots.get(name) ?? this.#open(name)
    const { promise, resolve } = Promise.withResolvers<void>()
    slot.unanswered.add(promise)
    const answered = () => {
      slot.unanswered.delete(promise)
      resolve()
    }
    try {
      return { process: await slot.process, answered }
    } catch (error) {
      answered()
      throw error
    }
  }

  /** Resolves when the process has ended, or after `waitMs`: a broken connection is seen before the exit is. */
  async exited(target: FunctionProcess, waitMs: number): Promise<void> {
    const running = [...this.#alive].find(({ pid }) => pid === target.pid)
    if (running) await Promise.race([running.exited, sleep(waitMs, undefined, { ref: false })])
  }

  list(): FunctionProcess[] {
    return [...this.#alive].map(({ name, pid, port, startedAt }) => ({ name, pid, port, startedAt }))
  }

  /** Lets the running processes (of one function) finish their work and end; the next call starts a new one. */
  restart(name?: string): void {
    for (const [each, slot] of [...this.#slots]) {
      if (name !== undefined && name !== each) continue
      this.#slots.delete(each)
      slot.process.then((running) => this.#end(running)).catch(() => undefined)
    }
  }

  /** Sends a signal; false when no process of that name runs. */
  kill(name: string, signal: NodeJS.Signals): boolean {
    const targets = [...this.#alive].filter((running) => running.name === name)
    if (signal !== 'SIGSTOP' && signal !== 'SIGCONT') this.#slots.delete(name)
    for (const { child } of targets) child.kill(signal)
    return targets.length > 0
  }

  /** Resident memory of a function's process in MB, or undefined when none runs. */
  async memoryMb(name: string): Promise<number | undefined> {
    const running = [...this.#alive].findLast((candidate) => candidate.name === name)
    return running && residentMb(running.pid)
  }

  async stop(): Promise<void> {
    this.#stopping = true
    await Promise.allSettled([...this.#slots.values()].map(({ process }) => process))
    await Promise.all([...this.#alive].map((running) => this.#end(running)))
  }

  #entrypoint(name: string): string {
    return path.join(this.#options.functionsDir, name, 'index.ts')
  }

  #open(name: string): Slot {
    const unanswered: Slot['unanswered'] = new Set()
    const slot = { process: this.#start(name, unanswered), unanswered }
    this.#slots.set(name, slot)
    slot.process.catch(() => this.#forget(name, unanswered))
    return slot
  }

  async #start(name: string, unanswered: Slot['unanswered']): Promise<Running> {
    const { denoDir, environment, functionsDir, importMap } = this.#options
    await makeLocal(denoDir)
    const child = spawn(
      await denoExecutable(),
      denoArguments(this.#entrypoint(name), functionsDir, importMap),
      {
        env: { ...environment, ...denoEnvironment(denoDir) },
        cwd: functionsDir,
        // Standard input stays open as long as we live: its end tells the process to go.
        stdio: ['pipe', 'pipe', 'pipe'],
        // Its own group: Ctrl-C in the terminal must reach us, not cut the function's work short.
        detached: true,
      },
    )
    const running = await this.#register(name, child, unanswered)
    await this.#untilListening(running)
    return running
  }

  async #register(name: string, child: ChildProcess, unanswered: Slot['unanswered']): Promise<Running> {
    await once(child, 'spawn')
    const exited = once(child, 'exit')
    const running: Running = {
      name,
      pid: child.pid ?? 0,
      port: 0,
      listening: Promise.withResolvers(),
      startedAt: new Date(),
      child,
      unanswered,
      exited,
      lastError: '',
    }
    this.#alive.add(running)
    child.stdin?.on('error', () => undefined)
    this.#followOutput(running, 'stdout', child.stdout)
    this.#followOutput(running, 'stderr', child.stderr)
    void exited.then(() => {
      this.#alive.delete(running)
      this.#forget(name, unanswered)
      if (child.exitCode !== 0 && !this.#stopping)
        this.#log(name, `The process ended (${child.signalCode ?? `exit code ${child.exitCode}`})`)
    })
    return running
  }

  #followOutput(running: Running, stream: 'stdout' | 'stderr', output: Readable | null): void {
    if (!output) return
    createInterface({ input: output }).on('line', (text) => {
      if (stream === 'stderr' && /^error\b|Error:/.test(text)) running.lastError = text.trim()
      const port = stream === 'stderr' ? listeningPort(text) : undefined
      // It means nothing to whoever calls the function.
      if (port !== undefined && (running.port === 0 || running.port === port)) {
        running.port = port
        running.listening.resolve()
        return
      }
      this.#options.log({ function: running.name, stream, text })
    })
  }

  async #untilListening(running: Running): Promise<void> {
    const patience = new AbortController()
    const tooLate = sleep(this.#options.startTimeoutMs, 'too late', {
      signal: patience.signal,
      ref: false,
    }).catch(() => undefined)
    const end = await Promise.race([running.listening.promise, running.exited.then(() => 'exited'), tooLate])
    patience.abort()
    if (end === undefined) return
    if (end === 'too late') {
      running.child.kill('SIGKILL')
      throw this.#startError(running, `it did not listen within ${this.#options.startTimeoutMs / 1000} s`)
    }
    // Its last words may still be in the pipe.
    await Promise.race([once(running.child, 'close'), sleep(200)])
    throw this.#startError(running, running.lastError || 'it ended without calling Deno.serve')
  }

  #startError(running: Running, reason: string): FunctionStartError {
    const error = new FunctionStartError(`Function ${running.name} failed to start: ${reason}`)
    this.#log(running.name, error.message)
    return error
  }

  async #end(running: Running): Promise<void> {
    const grace = new AbortController()
    const killer = sleep(this.#options.stopGraceMs, undefined, { signal: grace.signal })
      .then(() => running.child.kill('SIGKILL'))
      .catch(() => undefined)
    // A request on its way would find a server that takes no more.
    await Promise.race([allOf(running.unanswered), running.exited])
    running.child.kill('SIGTERM')
    await running.exited
    grace.abort()
    await killer
  }

  /** Unless the slot has a successor: each has a set of its own. */
  #forget(name: string, unanswered: Slot['unanswered']): void {
    if (this.#slots.get(name)?.unanswered === unanswered) this.#slots.delete(name)
  }

  #log(name: string, text: string): void {
    this.#options.log({ function: name, stream: 'stderr', text })
  }
}

/** Also what comes while others are waited for. */
async function allOf(waiting: ReadonlySet<Promise<void>>): Promise<void> {
  while (waiting.size > 0) await Promise.all(waiting)
}

async function residentMb(pid: number): Promise<number | undefined> {
  try {
    if (process.platform !== 'linux')
      return Number(await runProgram('ps', ['-o', 'rss=', '-p', String(pid)])) / 1024
    const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1]
    return kilobytes === undefined ? undefined : Number(kilobytes) / 1024
  } catch {
    // It ended in this very moment.
    return undefined
  }
}
