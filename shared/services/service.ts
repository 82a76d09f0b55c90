import type { z } from 'zod'
import type { Step } from '../engine/step.ts'
import type { Database } from '../kernel/database/client.ts'
import { readVariables, type Variables } from '../kernel/environment.ts'
import type { FailureCatalogue } from '../kernel/failures.ts'
import type { DatabaseHost } from './database/host.ts'
import type { DatabaseWatch } from './database/watch.ts'
import type { Inventory } from './inventory.ts'

/** A service outside of which each tenant gets something, as the rest of the product knows it. */
export interface Service {
  /** As in provisioning.services. */
  readonly name: string
  readonly label: string
  /** Its environment variables, all of them. */
  readonly variables: readonly string[]
  /** The environment variable with its key. */
  readonly secret: string
  /** The environment variable that leads it to another address, such as an emulator's. */
  readonly address: string
  readonly failures: FailureCatalogue
  /** For the local stack, which emulates it unless its key is set. A service without one is there only for real. */
  readonly emulator?: EmulatorHook
  /** @throws Error that lists its variables that are wrong */
  connect(options: ConnectOptions): ConnectedService
  /** Of a service in which tenants' databases are. @throws Error as connect does */
  databaseHost?(options: ConnectOptions): DatabaseHost
  /** The same for those who look how the databases are, and take no place from provisioning. @throws Error as connect does */
  databaseWatch?(options: ConnectOptions): DatabaseWatch
  /** A harmless call with the key, for `doctor`: whether the service accepts it. @throws Error as connect does */
  keyCheck(variables: Variables): KeyCheck
}

export interface EmulatorHook {
  /** The only key that the emulator accepts. Everybody may know it. */
  readonly key: string
  /** What its address has behind the port. */
  readonly path: string
  /** The values that the service's other variables have with it. */
  readonly variables?: Readonly<Record<string, string>>
}

export interface ConnectOptions {
  readonly variables: Variables
  readonly sql: Database
}

export interface ConnectedService {
  /** What does the work of its steps in provisioning.step_definitions, by name. */
  readonly steps: Readonly<Record<string, Step>>
  /** What the account holds, by kind in provisioning.resource_kinds. */
  readonly inventories: Readonly<Record<string, Inventory>>
}

export interface KeyCheck {
  /** Answers 401 or 403 to a key that is wrong. */
  readonly url: string
  /** Undefined when the variable is not set. */
  readonly key: string | undefined
  /** Which carries the key; without it, the key is a bearer token. */
  readonly header?: string
  /** The variable that a refusal asks for, if it asks for one. @param message what the service says in words */
  readonly wanted?: (message: string) => string | undefined
}

/** A service whose environment is described by a schema. */
export interface ServiceDefinition<Shape extends z.ZodRawShape>
  extends Omit<Service, 'variables' | 'connect' | 'databaseHost' | 'databaseWatch' | 'keyCheck'> {
  readonly environment: z.ZodObject<Shape>
  connect(environment: z.infer<z.ZodObject<Shape>>, sql: Database): ConnectedService
  databaseHost?(environment: z.infer<z.ZodObject<Shape>>, sql: Database): DatabaseHost
  databaseWatch?(environment: z.infer<z.ZodObject<Shape>>, sql: Database): DatabaseWatch
  keyCheck(environment: z.infer<z.ZodObject<Shape>>): KeyCheck
}

export function defineService<Shape extends z.ZodRawShape>({
  environment,
  databaseHost,
  databaseWatch,
  ...definition
}: ServiceDefinition<Shape>): Service {
  return {
    ...definition,
    variables: Object.keys(environment.shape),
    connect: ({ variables, sql }) => definition.connect(readVariables(environment, variables), sql),
    ...(databaseHost && {
      databaseHost: ({ variables, sql }: ConnectOptions) =>
        databaseHost(readVariables(environment, variables), sql),
    }),
    ...(databaseWatch && {
      databaseWatch: ({ variables, sql }: ConnectOptions) =>
        databaseWatch(readVariables(environment, variables), sql),
    }),
    keyCheck: (variables) => definition.keyCheck(readVariables(environment, variables)),
  }
}
