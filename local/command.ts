/** Runs a command to its end: errors become one line on standard error and exit code 1, never a stack trace. */
export async function runCommand(command: () => Promise<number | undefined>): Promise<void> {
  try {
    process.exitCode = (await command()) ?? 0
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error))
    if (process.env.DEBUG) console.error(error)
    process.exitCode = 1
  }
}

/** True when somebody looks: colours and progress are for terminals only. */
export const onTerminal = Boolean(process.stdout.isTTY) && !process.env.NO_COLOR

const style = (code: number) => (text: string) => (onTerminal ? `\u001b[${code}m${text}\u001b[0m` : text)
export const bold = style(1)
export const dim = style(2)
export const green = style(32)
export const red = style(31)
export const yellow = style(33)
