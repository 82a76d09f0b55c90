import { readEnvironment } from '../../../shared/environment.ts'
import { createJobFunction } from '../../../shared/provisioning/job-function.ts'
import { provisionFunction } from '../../../shared/provisioning/provision-function.ts'

Deno.serve(createJobFunction(readEnvironment(Deno.env.toObject()), provisionFunction))
