import { neon } from './neon/index.ts'
import type { Service } from './service.ts'
import { stripe } from './stripe/index.ts'

/** Every service that this deployment knows. Engine, reconciler, doctor, docs and tests iterate over it. */
export const services: readonly Service[] = [stripe, neon]
