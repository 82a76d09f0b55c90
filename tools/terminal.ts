import stringWidth from 'string-width'
import { bold, dim, green, onTerminal, red, yellow } from './command.ts'

/** Columns that may be used; without a terminal nobody's screen is too narrow, and lines stay whole for grep. */
export function screenWidth(): number {
  return onTerminal ? Math.max(40, process.stdout.columns || 80) : Number.POSITIVE_INFINITY
}

/** Progress and questions go to standard error, so that a pipe gets the result alone. */
export const watched = Boolean(process.stderr.isTTY) && process.env.TERM !== 'dumb' && !process.env.CI

const SIGNS: Readonly<Record<string, string>> = {
  ok: green('✓'),
  succeeded: green('✓'),
  ready: green('✓'),
  healthy: green('✓'),
  sleeping: green('✓'),
  warning: yellow('!'),
  degraded: yellow('!'),
  retrying: yellow('↻'),
  running: yellow('…'),
  provisioning: yellow('…'),
  waiting: yellow('…'),
  queued: yellow('…'),
  pending: dim('·'),
  skipped: dim('·'),
  unknown: dim('·'),
  cancelled: dim('–'),
  failed: red('✗'),
  critical: red('✗'),
  unhealthy: red('✗'),
}

export function sign(status: string): string {
  return SIGNS[status] ?? ' '
}

export function coloured(status: string): string {
  if (['ok', 'succeeded', 'ready', 'healthy', 'sleeping'].includes(status)) return green(status)
  if (['failed', 'critical', 'unhealthy'].includes(status)) return red(status)
  if (['unknown', 'pending', 'cancelled', 'skipped'].includes(status)) return dim(status)
  return yellow(status)
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what an escape sequence begins with
const COLOUR = /(\u001b\[\d+m)/

/** Columns that a text takes: a Chinese character or an emoji takes two, an accent of its own none, a colour none. */
const visibleLength = (text: string) => stringWidth(text)

/** What is seen as one character, which may be several. */
const characters = new Intl.Segmenter(undefined, { granularity: 'grapheme' })

export function padded(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - visibleLength(text)))
}

/** One line of at most so many columns; what is cut off is shown as an ellipsis. */
export function clipped(text: string, width: number): string {
  if (visibleLength(text) <= width) return text
  let left = width - 1
  // The odd parts are the escape sequences of colours, which take no room and are all kept.
  const parts = text.split(COLOUR).map((part, index) => {
    if (index % 2 === 1 || left < 0) return index % 2 === 1 ? part : ''
    const kept = beginningOf(part, left)
    left = kept.length < part.length ? -1 : left - visibleLength(kept)
    return left < 0 ? `${kept}…` : kept
  })
  return parts.join('')
}

/** As many whole characters as fit into so many columns. */
function beginningOf(text: string, columns: number): string {
  let kept = ''
  let left = columns
  for (const { segment } of characters.segment(text)) {
    left -= visibleLength(segment)
    if (left < 0) break
    kept += segment
  }
  return kept
}

/** The text behind a label, broken between words where the screen ends and continued below its beginning. */
export function labelled(label: string, text: string, indent: number): string {
  const width = screenWidth() - indent
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const last = lines.at(-1)
    if (last !== undefined && visibleLength(last) + visibleLength(word) + 1 <= width)
      lines[lines.length - 1] = `${last} ${word}`
    else lines.push(word)
  }
  return padded(label, indent) + lines.join(`\n${' '.repeat(indent)}`)
}

/** Columns as wide as their widest cell; the last one is cut where the screen ends. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = header.map((title, column) =>
    Math.max(...[title, ...rows.map((row) => row[column] ?? '')].map(visibleLength)),
  )
  const line = (cells: readonly string[], style: (text: string) => string = (text) => text) =>
    clipped(
      cells
        .map((cell, column) => style(padded(cell, widths[column] ?? 0)))
        .join('  ')
        .trimEnd(),
      screenWidth(),
    )
  return [line(header, dim), ...rows.map((row) => line(row))].join('\n')
}

export function heading(text: string): string {
  return `\n${bold(text)}`
}

/** A time of the database as people read it, in UTC: 2026-01-31 09:05:00. */
export function time(iso: string | null | undefined): string {
  return iso ? new Date(iso).toISOString().replace('T', ' ').slice(0, 19) : '–'
}

/** 12 ms, 3.4 s, 5 min, 7 h, 3 d. */
export function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`
  if (ms < 3_600_000) return `${Math.round(ms / 60_000)} min`
  if (ms < 172_800_000) return `${Math.round(ms / 3_600_000)} h`
  return `${Math.round(ms / 86_400_000)} d`
}

export function ago(iso: string, now = Date.now()): string {
  return `${duration(Math.max(0, now - Date.parse(iso)))} ago`
}
