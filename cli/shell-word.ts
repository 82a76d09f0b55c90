/** A word as it has to stand in a command that people paste into a shell, whoever has chosen it. */
export function shellWord(word: string): string {
  // A word that begins with = is a path to zsh.
  return /^[\w.@-][\w.,:/=@-]*$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}
