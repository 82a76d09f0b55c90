import { watched } from '../tools/terminal.ts'

const BAR_WIDTH = 24

/**
 * One line at the bottom of the terminal that is written over and over, on standard error; silent without a terminal.
 * Not clack's progress: that reads the keyboard, and ends the process with code 0 on Ctrl-C before the command can say
 * where things stand.
 */
export interface Progress {
  /** @param share of the whole, 0 to 1; without it only the text is shown */
  show(text: string, share?: number): void
  clear(): void
}

export function startProgress(): Progress {
  if (!watched) return { show: () => undefined, clear: () => undefined }
  const clear = () => void process.stderr.write('\r\u001b[K')
  return {
    show: (text, share) => {
      const line = share === undefined ? text : `${bar(share)} ${text}`
      clear()
      process.stderr.write(line.slice(0, Math.max(20, (process.stderr.columns || 80) - 1)))
    },
    clear,
  }
}

function bar(share: number): string {
  const full = Math.round(Math.min(1, Math.max(0, share)) * BAR_WIDTH)
  return `${'█'.repeat(full)}${'░'.repeat(BAR_WIDTH - full)} ${String(Math.floor(Math.min(1, share) * 100)).padStart(3)} %`
}
