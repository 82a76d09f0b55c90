import { createJobFunction } from '../../../shared/engine/job-function.ts'
import { readEnvironment } from '../../../shared/kernel/environment.ts'
import { stepSources } from '../../../shared/services/registry.ts'
import { deprovisionFunction } from '../../../shared/tenants/deprovision-function.ts'

Deno.serve(createJobFunction(readEnvironment(Deno.env.toObject()), deprovisionFunction, stepSources))
