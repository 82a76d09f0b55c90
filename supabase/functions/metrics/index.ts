import { readEnvironment } from '../../../shared/kernel/environment.ts'
import { createMetricsFunction } from '../../../shared/metrics/metrics-function.ts'

Deno.serve(createMetricsFunction(readEnvironment(Deno.env.toObject())))
