import { readEnvironment } from '../../../shared/environment.ts'
import { createHealthFunction } from '../../../shared/health/health-function.ts'

Deno.serve(createHealthFunction(readEnvironment(Deno.env.toObject())))
