import { readEnvironment } from '../../../shared/environment.ts'
import { deprovisionFunction } from '../../../shared/provisioning/deprovision-function.ts'
import { createJobFunction } from '../../../shared/provisioning/job-function.ts'

Deno.serve(createJobFunction(readEnvironment(Deno.env.toObject()), deprovisionFunction))
