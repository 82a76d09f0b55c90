import type { Variables } from '../shared/kernel/environment.ts'
import type { Service } from '../shared/services/service.ts'
import type { Configuration } from './configuration.ts'

/** The setting that says on which port the local stack emulates a service. */
export function emulatorPortSetting({ name }: Pick<Service, 'name'>): string {
  return `LOCAL_${name.toUpperCase()}_PORT`
}

/** The only key that the emulator of a service accepts. @throws Error when it has none */
export function emulatorKey({ name, emulator }: Pick<Service, 'name' | 'emulator'>): string {
  if (!emulator) throw new Error(`The service ${name} has no emulator.`)
  return emulator.key
}

/** The service's variables with which it works with an emulator. */
export function emulatorVariables(service: Service, url: string): Readonly<Record<string, string>> {
  return {
    [service.secret]: emulatorKey(service),
    [service.address]: url,
    ...service.emulator?.variables,
  }
}

/** The variables with which this machine reaches the services of the local stack: those with a key of their own for real. */
export function localVariables(services: readonly Service[], configuration: Configuration): Variables {
  const given: Readonly<Record<string, unknown>> = configuration
  const emulated = services.map((service) => {
    if (!service.emulator || given[service.secret]) return {}
    const port = given[emulatorPortSetting(service)]
    return emulatorVariables(service, `http://127.0.0.1:${port}${service.emulator.path}`)
  })
  return Object.assign({}, ...emulated)
}
