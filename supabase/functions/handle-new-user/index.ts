import { readEnvironment } from '../../../shared/kernel/environment.ts'
import { createHandleNewUserFunction } from '../../../shared/tenants/handle-new-user-function.ts'

Deno.serve(createHandleNewUserFunction(readEnvironment(Deno.env.toObject())))
