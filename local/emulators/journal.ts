import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import path from 'node:path'

/** The new value of one object, or null when it is gone. */
export interface JournalEntry {
  readonly type: string
  readonly id: string
  readonly value: unknown
}

/** Below this many superseded entries, rewriting the file at the start is not worth it. */
const COMPACT_ABOVE_SUPERSEDED = 1000

/**
 * An append-only file that survives a kill at any moment. Each line is one atomic change (a JSON array of
 * entries); on reading, the last entry of an object wins and a torn last line counts as never written.
 * Writes are synchronous: a reply that a client has seen is in the file. Without a file it keeps nothing.
 */
export class Journal {
  #descriptor: number | undefined

  private constructor(descriptor: number | undefined) {
    this.#descriptor = descriptor
  }

  /** Opens (or creates) the file and hands back the surviving entries in the order of their first appearance. */
  static open(file: string | undefined): { journal: Journal; entries: JournalEntry[] } {
    if (file === undefined) return { journal: new Journal(undefined), entries: [] }
    mkdirSync(path.dirname(file), { recursive: true })
    const { entries, superseded } = readEntries(file)
    if (superseded > COMPACT_ABOVE_SUPERSEDED) rewrite(file, entries)
    return { journal: new Journal(openSync(file, 'a')), entries }
  }

  append(entries: readonly JournalEntry[]): void {
    if (this.#descriptor === undefined || entries.length === 0) return
    writeSync(this.#descriptor, `${JSON.stringify(entries)}\n`)
  }

  /** What comes after it is not kept, as after a kill. */
  close(): void {
    const descriptor = this.#descriptor
    // Forgotten first: the system hands the number to the next file that is opened.
    this.#descriptor = undefined
    if (descriptor !== undefined) closeSync(descriptor)
  }
}

function readEntries(file: string): { entries: JournalEntry[]; superseded: number } {
  if (!existsSync(file)) return { entries: [], superseded: 0 }
  const content = readFileSync(file)
  const end = content.lastIndexOf(0x0a) + 1
  // Otherwise the next line would be glued to the torn one and be lost with it.
  if (end < content.length) truncateSync(file, end)
  const latest = new Map<string, JournalEntry>()
  let read = 0
  for (const line of content.subarray(0, end).toString('utf8').split('\n')) {
    for (const entry of parseLine(line)) {
      read++
      latest.set(`${entry.type}\0${entry.id}`, entry)
    }
  }
  const entries = [...latest.values()].filter((entry) => entry.value !== null)
  return { entries, superseded: read - entries.length }
}

function parseLine(line: string): JournalEntry[] {
  return line === '' ? [] : JSON.parse(line)
}

function rewrite(file: string, entries: readonly JournalEntry[]): void {
  const building = `${file}.compacting`
  writeFileSync(building, entries.map((entry) => `${JSON.stringify([entry])}\n`).join(''))
  renameSync(building, file)
}
