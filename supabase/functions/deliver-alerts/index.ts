import { createAlertsFunction } from '../../../shared/alerts/alerts-function.ts'
import { readEnvironment } from '../../../shared/kernel/environment.ts'

Deno.serve(createAlertsFunction(readEnvironment(Deno.env.toObject())))
