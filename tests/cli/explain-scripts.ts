/**
 * Runs the scripts that are named as arguments with --help, one after the other in this process, each as if it had one of its own:
 * to start a process takes longer than anything that they do. Prints a line of JSON for each; this process then ends by itself, unless
 * one of them has begun something.
 */
import path from 'node:path'
import { projectRoot } from '../../tools/project.ts'

const [node = '', , ...scripts] = process.argv
const print = process.stdout.write.bind(process.stdout)
for (const script of scripts) {
  const written = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const)
    process[name].write = (text: string | Uint8Array) => {
      written[name] += String(text)
      return true
    }
  process.argv = [node, path.join(projectRoot, script), '--help']
  process.exitCode = undefined
  await import(path.join(projectRoot, script))
  print(`${JSON.stringify({ script, code: process.exitCode ?? 0, ...written })}\n`)
}
process.exitCode = 0
