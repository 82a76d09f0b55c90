import { readEnvironment } from '../../../shared/environment.ts'
import { createProvisioningHandler } from '../../../shared/provisioning/handler.ts'

Deno.serve(createProvisioningHandler(readEnvironment(Deno.env.toObject())))
