import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { type AddressInfo, connect, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import postgres from 'postgres'
import { afterEach, beforeEach, expect, inject, test } from 'vitest'
import { startNeonEmulator } from '../../local/emulators/neon/emulator.ts'
import { emulators } from '../../local/emulators/registry.ts'
import { startStripeEmulator } from '../../local/emulators/stripe/emulator.ts'
import { databaseUrl, SUPERUSER } from '../../local/postgres/server.ts'
import { services } from '../../shared/services/registry.ts'
import { readConfiguration } from '../../tools/configuration.ts'
import { emulatorPortSetting } from '../../tools/emulators.ts'
import { assertPortFree, freePort, PORT_USES } from '../../tools/ports.ts'

// The stack looks for free ports before it starts Postgres; these are taken in the seconds after that.
let other: Server
let taken: number
let directory: string
beforeEach(async () => {
  other = createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  taken = (other.address() as AddressInfo).port
  directory = await mkdtemp(path.join(tmpdir(), 'ports-'))
})
afterEach(async () => {
  other.close()
  await rm(directory, { recursive: true })
})

const refusal = (use: { purpose: string; setting: string }) =>
  `Port ${taken} (${use.purpose}) is already in use. Stop the program that uses it, or choose another port: ` +
  `set ${use.setting}=NUMBER in .env or in front of the command.`

const startNeon = (ports: { apiPort: number; postgresPort: number }) =>
  startNeonEmulator({
    adminUrl: databaseUrl(inject('postgresPort'), 'template1', SUPERUSER),
    apiKey: 'napi_ports',
    stateFile: path.join(directory, 'neon.jsonl'),
    ...ports,
  })

test('the emulators say by which setting another port can be chosen when theirs was taken meanwhile', async () => {
  await expect(startStripeEmulator({ apiKey: 'sk_test_ports', port: taken })).rejects.toThrow(
    refusal(PORT_USES.stripe),
  )
  await expect(startNeon({ apiPort: taken, postgresPort: 0 })).rejects.toThrow(refusal(PORT_USES.neon))
  await expect(startNeon({ apiPort: 0, postgresPort: taken })).rejects.toThrow(refusal(PORT_USES.tenants))
})

test('an emulator that cannot start leaves nothing listening', async () => {
  const postgresPort = await freePort()
  await expect(startNeon({ apiPort: taken, postgresPort })).rejects.toThrow(refusal(PORT_USES.neon))
  await assertPortFree(postgresPort, PORT_USES.tenants)
})

test('each service has an emulator whose hook and port setting are known, and there is none of another', async () => {
  const configuration: Readonly<Record<string, unknown>> = await readConfiguration()
  const hooked = services.filter(({ emulator }) => emulator)
  expect(hooked.map(({ name }) => name).sort()).toEqual(Object.keys(emulators).sort())
  for (const service of hooked)
    expect(configuration[emulatorPortSetting(service)], service.name).toBeTypeOf('number')
})

test('a client that stops in the middle of its login holds up no new database for long', async () => {
  const port = inject('postgresPort')
  const client = connect(port, '127.0.0.1')
  const name = `half_login_${process.pid}`
  const sql = postgres(databaseUrl(port, 'postgres', SUPERUSER), { max: 1, onnotice: () => undefined })
  try {
    const startup = Buffer.from(`\0\x03\0\0user\0${SUPERUSER}\0database\0postgres\0\0`, 'latin1')
    const length = Buffer.alloc(4)
    length.writeInt32BE(startup.length + 4)
    client.write(Buffer.concat([length, startup]))
    // Postgres asks for the password, and gets none.
    await once(client, 'data')
    await sql.unsafe(`create database ${name} template template0`)
    await sql.unsafe(`drop database ${name}`)
  } finally {
    client.destroy()
    await sql.end({ timeout: 1 })
  }
}, 30_000)
