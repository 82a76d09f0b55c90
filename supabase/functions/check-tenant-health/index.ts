import { createHealthFunction } from '../../../shared/health/health-function.ts'
import { readEnvironment } from '../../../shared/kernel/environment.ts'

Deno.serve(createHealthFunction(readEnvironment(Deno.env.toObject())))
