// Verifies one user by GraphQL alone. On a server or a terminal, never in a browser: it takes the secret key.
//   SUPABASE_URL=… SUPABASE_SERVICE_ROLE_KEY=… npx tsx examples/verify-user.ts ann@example.com
const { SUPABASE_URL, VITE_SUPABASE_URL, SUPABASE_SERVICE_ROLE_KEY, VITE_SUPABASE_ANON_KEY } = process.env
const url = SUPABASE_URL ?? VITE_SUPABASE_URL
const email = process.argv[2]
if (!url || !SUPABASE_SERVICE_ROLE_KEY || !email)
  throw new Error('Set SUPABASE_URL and SUPABASE_SERVICE_ROLE_KEY, and name an e-mail address.')

const query = `query ($email: String!) {
  tenant(email: $email) {
    slug status stripeCustomerId neonProjectId health openAlerts
    provisioning { percent steps { step status attempts error { message } } }
  }
  tenantVerification(subject: $email) { verdict { ready summary } checks { check status found remedy { text } } }
}`
const reply = await fetch(`${url}/functions/v1/graphql`, {
  method: 'POST',
  headers: {
    apikey: VITE_SUPABASE_ANON_KEY ?? SUPABASE_SERVICE_ROLE_KEY,
    authorization: `Bearer ${SUPABASE_SERVICE_ROLE_KEY}`,
    'content-type': 'application/json',
  },
  body: JSON.stringify({ query, variables: { email } }),
})
const { data, errors, detail } = await reply.json()
if (!data?.tenantVerification)
  throw new Error(errors?.[0]?.message ?? detail ?? `It answered ${reply.status}.`)
console.log(JSON.stringify(data, null, 2))
process.exitCode = data.tenantVerification.verdict.ready ? 0 : 3
