// Written by `npm run tenant-graphql`.
export * from './version.d.mts'
