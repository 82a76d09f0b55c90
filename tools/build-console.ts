import { runCommand, withoutArguments } from './command.ts'
import { buildConsole } from './console/build.ts'

const HELP = `npm run build

Writes the static files of the console to console/dist, for any host.
VITE_SUPABASE_URL and VITE_SUPABASE_ANON_KEY (the publishable key) go into its config.json and its policy. Without them, write
config.json yourself, and the project's origin into connect-src of the policy (_headers, nginx.conf).`

await runCommand(
  withoutArguments(HELP, async () => {
    const { VITE_SUPABASE_URL: url, VITE_SUPABASE_ANON_KEY: publishableKey } = process.env
    await buildConsole(url && publishableKey ? { url, publishableKey } : null)
    console.log(
      `The console is in console/dist${url ? `, for ${url}` : '. config.json there is to name its project'}.`,
    )
    return 0
  }),
)
