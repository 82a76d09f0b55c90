import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { TYPESCRIPT } from '../support/typescript.ts'

const program = fileURLToPath(new URL('run.ts', import.meta.url))

/** `npm run bench -- …` to its end. @throws what execFile does when it does not end with 0 */
export const bench = (...args: string[]) =>
  promisify(execFile)(process.execPath, [...TYPESCRIPT, program, ...args])
