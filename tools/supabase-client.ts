import { createClient, type SupabaseClient } from '@supabase/supabase-js'
import type { Database } from '../shared/generated/database-types.ts'

/** supabase-js looks for a WebSocket at once, which Node 20 does not have; nothing here uses realtime. */
class NoRealtime extends EventTarget {
  constructor() {
    super()
    throw new Error('realtime is not available here')
  }
}

/** A supabase-js client as an application would make it, without a stored session. */
export function supabaseClient(url: string, key: string): SupabaseClient<Database> {
  return createClient<Database>(url, key, {
    auth: { persistSession: false, autoRefreshToken: false },
    // biome-ignore lint/suspicious/noExplicitAny: the option wants the whole WebSocket interface of the browser
    realtime: { transport: NoRealtime as any },
  })
}
