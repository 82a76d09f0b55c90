import { probeDatabase } from '../../shared/health/probe.ts'

// One probe in a process of its own, which may have been told of another certificate authority.
const [address, password] = process.argv.slice(2)
const probe = await probeDatabase(JSON.parse(address ?? ''), password ?? '', {}, 5_000)
process.stdout.write(JSON.stringify(probe))
