#!/usr/bin/env node
// The program of the package: `invoke` calls a function of the project, everything else is a command of the operators.
if (process.argv[2] === 'invoke') {
  process.argv.splice(2, 1)
  await import('./invoke.ts')
} else {
  await import('./tenants.ts')
}
