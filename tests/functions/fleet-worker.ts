/** A worker for fleet migrations in a process of its own, so that it can be killed. Reads what it needs from its environment. */
import { createWorker } from '../../shared/engine/worker.ts'
import { connect } from '../../shared/kernel/database/client.ts'
import { databaseSteps } from '../../shared/services/database/index.ts'
import { createMigrateSchema } from '../../shared/services/database/migrate-schema.ts'
import { knowAwake } from '../../shared/services/neon/awake.ts'
import { createNeonProvider } from '../../shared/services/neon/client.ts'
import { neonHost } from '../../shared/services/neon/host.ts'

const { DATABASE = '', NEON = '', FILES = '[]', AHEAD_MS = '0' } = process.env
const sql = connect({ SUPABASE_DB_URL: DATABASE, DATABASE_POOLER_URL: undefined })
const neon = createNeonProvider({ NEON_API_KEY: 'napi_localemulator', NEON_API_URL: NEON }, sql)
const isAwake = knowAwake(neon, () => Date.now() + Number(AHEAD_MS))
const steps = databaseSteps([neonHost(neon, isAwake)], createMigrateSchema(JSON.parse(FILES)))
await createWorker({ sql, steps }, 'fleet').ring()
await sql.end()
