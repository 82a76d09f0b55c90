import path from 'node:path'
import { projectRoot } from './project.ts'

/** Everything that the local stack writes; `npm run reset` removes it. */
export const stackDirectory = path.join(projectRoot, '.local/stack')

/** Where a running stack says how to reach it: {url, secretKey}. */
export const stackFile = path.join(stackDirectory, 'running.json')
