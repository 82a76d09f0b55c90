import { createClient, type SupabaseClient } from '@supabase/supabase-js'
import type { Database } from '../shared/generated/database-types.ts'
import { PUBLIC_SCHEMA } from '../shared/kernel/database/schema.ts'

/** A supabase-js client as an application would make it, without a stored session. */
export function supabaseClient(url: string, key: string): SupabaseClient<Database> {
  return createClient<Database>(url, key, {
    db: { schema: PUBLIC_SCHEMA },
    auth: { persistSession: false, autoRefreshToken: false },
  })
}
