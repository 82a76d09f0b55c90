import path from 'node:path'
import type { Configuration } from './configuration.ts'
import { projectRoot } from './project.ts'

/** Everything that the local stack keeps; `npm run reset` removes it, and nothing else in LOCAL_DIRECTORY. */
export function stackDirectory(configuration: Configuration): string {
  return path.resolve(projectRoot, configuration.LOCAL_DIRECTORY, 'stack')
}

/** Where a running stack says how to reach it: {url, secretKey}. */
export function stackFile(configuration: Configuration): string {
  return path.join(stackDirectory(configuration), 'running.json')
}
