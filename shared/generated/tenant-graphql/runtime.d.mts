// What is used of runtime.mjs, which `npm run tenant-graphql` writes without types of its own.
import type { ExecutionArgs, ExecutionResult } from 'graphql'

export declare const grafast: {
  execute(
    args: ExecutionArgs & { readonly resolvedPreset: object; readonly outputDataAsString: boolean },
  ): Promise<ExecutionResult> | ExecutionResult
}
