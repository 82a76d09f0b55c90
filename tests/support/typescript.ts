/** With which the scripts of package.json run: it knows every Node that we support. */
export const AS_NPM: readonly string[] = ['--import', 'tsx']

/** Arguments for a script of ours in a process of its own: a newer Node reads TypeScript by itself, and starts in half the time. */
export const TYPESCRIPT: readonly string[] = process.features.typescript ? [] : AS_NPM
