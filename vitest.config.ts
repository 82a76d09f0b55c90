import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import { LongestFirst } from './tests/support/sequencer.ts'

// Every worker, and every command that a test starts, loads the same packages; what the first has compiled the others read.
process.env.NODE_COMPILE_CACHE ??= fileURLToPath(new URL('node_modules/.vite/compiled', import.meta.url))

/**
 * Files that leave nothing behind in their process: what they make is in a database of their own, which they drop, and in
 * servers, which they stop.
 */
const STATELESS = [
  ...['cli', 'database', 'end-to-end', 'functions', 'hostile', 'structure'].map(
    (folder) => `tests/${folder}/**/*.test.ts`,
  ),
  'tests/local/*.test.ts',
]

export default defineConfig({
  // As Node resolves it for the packages that are not bundled: a schema and what runs it must be of one copy.
  resolve: { alias: [{ find: /^graphql$/, replacement: 'graphql/index.js' }] },
  test: {
    projects: [
      {
        extends: true,
        test: {
          name: 'others',
          // tests/long/run.ts asks for what is in its folder; it takes too long for npm test.
          include:
            process.env.LONG_TESTS === undefined
              ? ['tests/!(long)/**/*.test.ts', 'shared/**/*.test.ts']
              : ['tests/long/**/*.test.ts'],
          exclude: STATELESS,
        },
      },
      // One after the other in the same processes: to start one and to load the same modules takes more than a second of
      // processor time. A module that they share must keep nothing from one file to the next.
      {
        extends: true,
        test: {
          name: 'stateless',
          include: process.env.LONG_TESTS === undefined ? STATELESS : [],
          isolate: false,
        },
      },
    ],
    globalSetup: ['tests/support/global-setup.ts'],
    // One Postgres serves every file. Files wait for servers much of their time: two cores are busy for 55 % with two,
    // 80 % with three.
    pool: 'forks',
    maxWorkers: 4,
    sequence: { sequencer: LongestFirst },
    // A few seconds each, on a machine that does nothing else. Longer than what a test waits for, so that it can say what that was.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // Of one thing that is waited for, likewise: a second, the default, is little on a machine that does much else.
    expect: { poll: { timeout: 15_000 } },
  },
})
