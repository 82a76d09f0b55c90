export * from './version.d.mts'
