import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['tests/**/*.test.ts', 'shared/**/*.test.ts'],
    globalSetup: ['tests/support/global-setup.ts'],
    // One Postgres serves every file; two workers keep two cores busy without making timings erratic.
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
})
