import { readEnvironment } from '../../../shared/environment.ts'
import { createHandleNewUserFunction } from '../../../shared/sign-up/handle-new-user-function.ts'

Deno.serve(createHandleNewUserFunction(readEnvironment(Deno.env.toObject())))
