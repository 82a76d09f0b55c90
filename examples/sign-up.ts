// A sign-up, and the wait until the tenant is ready: what the browser does. It runs in Node 22.12 or newer, too:
//   SUPABASE_URL=… SUPABASE_ANON_KEY=… npx tsx examples/sign-up.ts ann@example.com
import { createClient } from '@supabase/supabase-js'
import type { Database } from '../shared/generated/database-types.ts'

const { SUPABASE_URL, SUPABASE_ANON_KEY, VITE_SUPABASE_URL, VITE_SUPABASE_ANON_KEY } = process.env
// With the type every table, column and function is known to the editor; without it the client works, too.
const supabase = createClient<Database>(
  SUPABASE_URL ?? VITE_SUPABASE_URL ?? '',
  SUPABASE_ANON_KEY ?? VITE_SUPABASE_ANON_KEY ?? '',
)

const { data, error } = await supabase.auth.signUp({
  email: process.argv[2] ?? 'ann@example.com',
  password: crypto.randomUUID(),
  options: { data: { full_name: 'Ann Archer', organization_name: 'Archer Ltd', data_region: 'eu' } },
})
if (error) throw error
if (!data.user || !data.session) throw new Error('Open the link in the mail and sign in; then go on below.')

// The rows are there when signUp returns. A person may belong to several organizations: the profile names their own.
const { data: profile } = await supabase
  .from('profiles')
  .select('organization_id')
  .eq('id', data.user.id)
  .single()
  .throwOnError()

// What is outside (the Stripe customer, the database) follows within seconds.
for (let overall = ''; overall !== 'ready'; await new Promise((resolve) => setTimeout(resolve, 500))) {
  const { data: organization } = await supabase
    .from('organizations')
    .select('provisioning_status')
    .eq('id', profile.organization_id ?? '')
    .single()
    .throwOnError()
  console.log(organization.provisioning_status)
  overall = Object(organization.provisioning_status).overall
  if (overall === 'failed' || overall === 'cancelled') throw new Error(`The tenant is not made: ${overall}`)
}
console.log('ready')
