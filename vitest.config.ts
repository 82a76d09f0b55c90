import { defineConfig } from 'vitest/config'

export default defineConfig({
  // As Node resolves it for the packages that are not bundled: a schema and what runs it must be of one copy.
  resolve: { alias: [{ find: /^graphql$/, replacement: 'graphql/index.js' }] },
  test: {
    include: ['tests/**/*.test.ts', 'shared/**/*.test.ts'],
    globalSetup: ['tests/support/global-setup.ts'],
    // One Postgres serves every file. Files wait for servers much of their time: two cores are busy for 55 % with two, 80 % with three.
    pool: 'forks',
    maxWorkers: 3,
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
})
