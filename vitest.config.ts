import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import { LongestFirst } from './tests/support/sequencer.ts'

// Every worker, and every command that a test starts, loads the same packages; what the first has compiled the others read.
process.env.NODE_COMPILE_CACHE ??= fileURLToPath(new URL('node_modules/.vite/compiled', import.meta.url))

export default defineConfig({
  // As Node resolves it for the packages that are not bundled: a schema and what runs it must be of one copy.
  resolve: { alias: [{ find: /^graphql$/, replacement: 'graphql/index.js' }] },
  test: {
    // tests/long/run.ts asks for what is in its folder; it takes too long for npm test.
    include:
      process.env.LONG_TESTS === undefined
        ? ['tests/!(long)/**/*.test.ts', 'shared/**/*.test.ts']
        : ['tests/long/**/*.test.ts'],
    globalSetup: ['tests/support/global-setup.ts'],
    // One Postgres serves every file. Files wait for servers much of their time: two cores are busy for 55 % with two,
    // 80 % with three.
    pool: 'forks',
    maxWorkers: 4,
    sequence: { sequencer: LongestFirst },
    // A few seconds each, on a machine that does nothing else.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Of one thing that is waited for, likewise: a second, the default, is little on a machine that does much else.
    expect: { poll: { timeout: 15_000 } },
  },
})
