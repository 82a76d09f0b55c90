/**
 * What does something to a terminal, or to the order in which a text is read, instead of being seen in it: C0 (with them
 * the escape that begins OSC and all sequences), DEL, C1, separators of lines, marks of direction, and tags that nobody sees.
 */
const UNSEEN =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  /[\u0000-\u001f\u007f-\u009f\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\p{Cs}\u{e0000}-\u{e007f}]/gu

/**
 * The text of others as it may be printed: on one line, and with every character seen that would otherwise clear the screen, copy
 * to the clipboard, paint a tick in green or turn the reading direction.
 */
export function printable(text: string): string {
  return text.replace(UNSEEN, (character) =>
    '\n\r\t'.includes(character) ? ' ' : `\\u{${character.codePointAt(0)?.toString(16)}}`,
  )
}

/** The same for all texts in a JSON value, names of fields included. */
export function printableJson<T>(value: T): T {
  return JSON.parse(JSON.stringify(value), (_key, part) => {
    if (typeof part === 'string') return printable(part)
    if (typeof part !== 'object' || part === null || Array.isArray(part)) return part
    return Object.fromEntries(Object.entries(part).map(([name, each]) => [printable(name), each]))
  })
}
