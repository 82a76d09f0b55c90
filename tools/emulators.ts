import type { Variables } from '../shared/kernel/environment.ts'
import type { Service } from '../shared/services/service.ts'
import type { Configuration } from './configuration.ts'

export interface EmulatorAddress {
  /** The only key that it accepts. */
  readonly key: string
  readonly port: Extract<keyof Configuration, `${string}_PORT`>
  /** What its address has behind the port. */
  readonly path: string
}

/** The emulators of the local stack, by service. */
export const EMULATORS = {
  stripe: { key: 'sk_test_localemulator', port: 'LOCAL_STRIPE_PORT', path: '' },
  neon: { key: 'napi_localemulator', port: 'LOCAL_NEON_PORT', path: '/api/v2' },
} as const satisfies Record<string, EmulatorAddress>

/** The service's variables that lead it to an emulator. */
export function emulatorVariables(
  { secret, address }: Pick<Service, 'secret' | 'address'>,
  key: string,
  url: string,
): Readonly<Record<string, string>> {
  return { [secret]: key, [address]: url }
}

/** The variables with which this machine reaches the services of the local stack: those with a key of their own for real. */
export function localVariables(services: readonly Service[], configuration: Configuration): Variables {
  const addresses: Readonly<Record<string, EmulatorAddress>> = EMULATORS
  const given: Readonly<Record<string, unknown>> = configuration
  const emulated = services.map((service) => {
    const emulator = addresses[service.name]
    if (!emulator || given[service.secret]) return {}
    const url = `http://127.0.0.1:${configuration[emulator.port]}${emulator.path}`
    return emulatorVariables(service, emulator.key, url)
  })
  return Object.assign({}, ...emulated)
}
