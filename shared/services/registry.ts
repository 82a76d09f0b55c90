import type { StepSource } from '../engine/step.ts'
import { databaseServices, tenantDatabases } from './database/index.ts'
import type { DatabaseWatch } from './database/watch.ts'
import { github } from './github/index.ts'
import { n8n } from './n8n/index.ts'
import { neon } from './neon/index.ts'
import type { ConnectOptions, Service } from './service.ts'
import { stripe } from './stripe/index.ts'
import { supabase } from './supabase/index.ts'
import { vercel } from './vercel/index.ts'

/** Every service that this deployment knows. Engine, reconciler, doctor, docs and tests iterate over it. */
export const services: readonly Service[] = [stripe, neon, supabase, github, vercel, n8n]

/** Who does the work of the steps: the services, and what works inside the databases that they host. */
export const stepSources: readonly StepSource[] = [...services, tenantDatabases(services)]

/** How the databases are that services host: for health, which wakes none. */
export function databaseWatches(options: ConnectOptions): readonly DatabaseWatch[] {
  return services.flatMap((service) => service.databaseWatch?.(options) ?? [])
}

/** All that can be named when a tenant is provisioned again. */
export const serviceNames: readonly string[] = [...services.map(({ name }) => name), ...databaseServices]
