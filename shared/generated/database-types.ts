// Written by `npm run types` from supabase/migrations; edit those.

export type Json = string | number | boolean | null | { [key: string]: Json | undefined } | Json[]

export type Database = {
  
  "public": {
          Tables: {
            "audit_logs": {
                  Row: {
                    "action": string,"actor_id": string | null,"actor_type": string,"created_at": string,"id": string,"metadata": NonNullable<Json>,"organization_id": string,"resource_id": string | null,"resource_type": string
                  }
                  ComputedFields: never
                  Insert: {
                    "action": string,"actor_id"?: string | null,"actor_type": string,"created_at"?: string,"id"?: string,"metadata"?: NonNullable<Json>,"organization_id": string,"resource_id"?: string | null,"resource_type": string
                  }
                  Update: {
                    "action"?: string,"actor_id"?: string | null,"actor_type"?: string,"created_at"?: string,"id"?: string,"metadata"?: NonNullable<Json>,"organization_id"?: string,"resource_id"?: string | null,"resource_type"?: string
                  }
                  Relationships: [
                    
                  ]
                },"organization_databases": {
                  Row: {
                    "created_at": string,"credentials_secret_id": string | null,"database_name": string | null,"graphql_enabled": boolean,"graphql_endpoint": string | null,"health_status": string,"host": string | null,"hosted_as": string | null,"neon_branch_id": string | null,"neon_endpoint_id": string | null,"neon_project_id": string | null,"organization_id": string,"own_passwords_changed_at": string | null,"password_changed_at": string | null,"pooled_host": string | null,"pooled_port": number | null,"pooler_tenant": string | null,"port": number | null,"region": string,"role_name": string | null,"rotation_look_at": string | null,"schema_drift_at": string | null,"schema_version": number | null,"size": string,"ssl_mode": string,"ssl_verified_at": string | null,"status": string,"supabase_project_ref": string | null,"updated_at": string
                  }
                  ComputedFields: never
                  Insert: {
                    "created_at"?: string,"credentials_secret_id"?: string | null,"database_name"?: string | null,"graphql_enabled"?: boolean,"graphql_endpoint"?: string | null,"health_status"?: string,"host"?: string | null,"hosted_as"?: never,"neon_branch_id"?: string | null,"neon_endpoint_id"?: string | null,"neon_project_id"?: string | null,"organization_id": string,"own_passwords_changed_at"?: string | null,"password_changed_at"?: string | null,"pooled_host"?: string | null,"pooled_port"?: number | null,"pooler_tenant"?: string | null,"port"?: number | null,"region": string,"role_name"?: string | null,"rotation_look_at"?: string | null,"schema_drift_at"?: string | null,"schema_version"?: number | null,"size": string,"ssl_mode"?: string,"ssl_verified_at"?: string | null,"status"?: string,"supabase_project_ref"?: string | null,"updated_at"?: string
                  }
                  Update: {
                    "created_at"?: string,"credentials_secret_id"?: string | null,"database_name"?: string | null,"graphql_enabled"?: boolean,"graphql_endpoint"?: string | null,"health_status"?: string,"host"?: string | null,"hosted_as"?: never,"neon_branch_id"?: string | null,"neon_endpoint_id"?: string | null,"neon_project_id"?: string | null,"organization_id"?: string,"own_passwords_changed_at"?: string | null,"password_changed_at"?: string | null,"pooled_host"?: string | null,"pooled_port"?: number | null,"pooler_tenant"?: string | null,"port"?: number | null,"region"?: string,"role_name"?: string | null,"rotation_look_at"?: string | null,"schema_drift_at"?: string | null,"schema_version"?: number | null,"size"?: string,"ssl_mode"?: string,"ssl_verified_at"?: string | null,"status"?: string,"supabase_project_ref"?: string | null,"updated_at"?: string
                  }
                  Relationships: [
                    {
      foreignKeyName: "organization_databases_organization_id_fkey"
      columns: ["organization_id"]
isOneToOne: true
      referencedRelation: "organizations"
      referencedColumns: ["id"]
    }
                  ]
                },"organization_members": {
                  Row: {
                    "created_at": string,"organization_id": string,"role": string,"user_id": string
                  }
                  ComputedFields: never
                  Insert: {
                    "created_at"?: string,"organization_id": string,"role"?: string,"user_id": string
                  }
                  Update: {
                    "created_at"?: string,"organization_id"?: string,"role"?: string,"user_id"?: string
                  }
                  Relationships: [
                    {
      foreignKeyName: "organization_members_organization_id_fkey"
      columns: ["organization_id"]
isOneToOne: false
      referencedRelation: "organizations"
      referencedColumns: ["id"]
    }
                  ]
                },"organizations": {
                  Row: {
                    "billing_email": string | null,"created_at": string,"data_region": string,"hosting_region": string,"id": string,"name": string,"owner_id": string,"plan": string,"provisioned_at": string | null,"provisioning_status": NonNullable<Json>,"slug": string,"stripe_customer_id": string | null,"stripe_subscription_id": string | null,"stripe_subscription_status": string | null,"updated_at": string
                  }
                  ComputedFields: never
                  Insert: {
                    "billing_email"?: string | null,"created_at"?: string,"data_region": string,"hosting_region": string,"id"?: string,"name": string,"owner_id": string,"plan"?: string,"provisioned_at"?: string | null,"provisioning_status": NonNullable<Json>,"slug": string,"stripe_customer_id"?: string | null,"stripe_subscription_id"?: string | null,"stripe_subscription_status"?: string | null,"updated_at"?: string
                  }
                  Update: {
                    "billing_email"?: string | null,"created_at"?: string,"data_region"?: string,"hosting_region"?: string,"id"?: string,"name"?: string,"owner_id"?: string,"plan"?: string,"provisioned_at"?: string | null,"provisioning_status"?: NonNullable<Json>,"slug"?: string,"stripe_customer_id"?: string | null,"stripe_subscription_id"?: string | null,"stripe_subscription_status"?: string | null,"updated_at"?: string
                  }
                  Relationships: [
                    
                  ]
                },"profiles": {
                  Row: {
                    "avatar_url": string | null,"created_at": string,"discoverable": boolean,"email": string | null,"full_name": string | null,"id": string,"in_search_index": boolean,"organization_id": string | null,"updated_at": string
                  }
                  ComputedFields: never
                  Insert: {
                    "avatar_url"?: string | null,"created_at"?: string,"discoverable"?: boolean,"email"?: string | null,"full_name"?: string | null,"id": string,"in_search_index"?: boolean,"organization_id"?: string | null,"updated_at"?: string
                  }
                  Update: {
                    "avatar_url"?: string | null,"created_at"?: string,"discoverable"?: boolean,"email"?: string | null,"full_name"?: string | null,"id"?: string,"in_search_index"?: boolean,"organization_id"?: string | null,"updated_at"?: string
                  }
                  Relationships: [
                    {
      foreignKeyName: "profiles_organization_id_fkey"
      columns: ["organization_id"]
isOneToOne: false
      referencedRelation: "organizations"
      referencedColumns: ["id"]
    }
                  ]
                },"provisioning_events": {
                  Row: {
                    "completed_at": string | null,"error_message": string | null,"event_type": string,"id": string,"job_id": string | null,"metadata": NonNullable<Json>,"organization_id": string,"resource_id": string | null,"resource_type": string,"started_at": string,"status": string
                  }
                  ComputedFields: never
                  Insert: {
                    "completed_at"?: string | null,"error_message"?: string | null,"event_type": string,"id"?: string,"job_id"?: string | null,"metadata"?: NonNullable<Json>,"organization_id": string,"resource_id"?: string | null,"resource_type": string,"started_at"?: string,"status": string
                  }
                  Update: {
                    "completed_at"?: string | null,"error_message"?: string | null,"event_type"?: string,"id"?: string,"job_id"?: string | null,"metadata"?: NonNullable<Json>,"organization_id"?: string,"resource_id"?: string | null,"resource_type"?: string,"started_at"?: string,"status"?: string
                  }
                  Relationships: [
                    
                  ]
                },"provisioning_jobs": {
                  Row: {
                    "attempts": number,"created_at": string,"finished_at": string | null,"id": string,"kind": string,"lane": string,"last_error": Json | null,"next_attempt_at": string,"organization_id": string,"request": NonNullable<Json>,"requested_by": string | null,"rerun_services": (string)[] | null,"started_at": string | null,"status": string,"tier": string,"updated_at": string
                  }
                  ComputedFields: never
                  Insert: {
                    "attempts"?: number,"created_at"?: string,"finished_at"?: string | null,"id"?: string,"kind": string,"lane"?: string,"last_error"?: Json | null,"next_attempt_at"?: string,"organization_id": string,"request"?: NonNullable<Json>,"requested_by"?: string | null,"rerun_services"?: (string)[] | null,"started_at"?: string | null,"status"?: string,"tier"?: string,"updated_at"?: string
                  }
                  Update: {
                    "attempts"?: number,"created_at"?: string,"finished_at"?: string | null,"id"?: string,"kind"?: string,"lane"?: string,"last_error"?: Json | null,"next_attempt_at"?: string,"organization_id"?: string,"request"?: NonNullable<Json>,"requested_by"?: string | null,"rerun_services"?: (string)[] | null,"started_at"?: string | null,"status"?: string,"tier"?: string,"updated_at"?: string
                  }
                  Relationships: [
                    
                  ]
                },"provisioning_steps": {
                  Row: {
                    "attempts": number,"depends_on": (string)[],"error": Json | null,"finished_at": string | null,"job_id": string,"next_attempt_at": string | null,"organization_id": string,"output": NonNullable<Json>,"position": number,"service": string,"settles_at": string | null,"started_at": string | null,"status": string,"step": string
                  }
                  ComputedFields: never
                  Insert: {
                    "attempts"?: number,"depends_on": (string)[],"error"?: Json | null,"finished_at"?: string | null,"job_id": string,"next_attempt_at"?: string | null,"organization_id": string,"output"?: NonNullable<Json>,"position": number,"service": string,"settles_at"?: string | null,"started_at"?: string | null,"status"?: string,"step": string
                  }
                  Update: {
                    "attempts"?: number,"depends_on"?: (string)[],"error"?: Json | null,"finished_at"?: string | null,"job_id"?: string,"next_attempt_at"?: string | null,"organization_id"?: string,"output"?: NonNullable<Json>,"position"?: number,"service"?: string,"settles_at"?: string | null,"started_at"?: string | null,"status"?: string,"step"?: string
                  }
                  Relationships: [
                    {
      foreignKeyName: "provisioning_steps_job_id_fkey"
      columns: ["job_id"]
isOneToOne: false
      referencedRelation: "provisioning_jobs"
      referencedColumns: ["id"]
    }
                  ]
                },"tenant_alerts": {
                  Row: {
                    "escalated_at": string | null,"id": string,"kind": string,"message": string,"metadata": NonNullable<Json>,"notified_at": string | null,"opened_at": string,"organization_id": string,"resolved_at": string | null,"severity": string
                  }
                  ComputedFields: never
                  Insert: {
                    "escalated_at"?: string | null,"id"?: string,"kind": string,"message": string,"metadata"?: NonNullable<Json>,"notified_at"?: string | null,"opened_at"?: string,"organization_id": string,"resolved_at"?: string | null,"severity": string
                  }
                  Update: {
                    "escalated_at"?: string | null,"id"?: string,"kind"?: string,"message"?: string,"metadata"?: NonNullable<Json>,"notified_at"?: string | null,"opened_at"?: string,"organization_id"?: string,"resolved_at"?: string | null,"severity"?: string
                  }
                  Relationships: [
                    
                  ]
                },"tenant_api_keys": {
                  Row: {
                    "created_at": string,"created_by": string | null,"ended_at": string | null,"expires_at": string | null,"hash": string,"id": string,"last_used_at": string | null,"name": string,"organization_id": string,"prefix": string,"replaced_by": string | null,"requests_per_minute": number | null,"revoked_at": string | null,"scope": string
                  }
                  ComputedFields: never
                  Insert: {
                    "created_at"?: string,"created_by"?: string | null,"ended_at"?: never,"expires_at"?: string | null,"hash": string,"id"?: string,"last_used_at"?: string | null,"name": string,"organization_id": string,"prefix": string,"replaced_by"?: string | null,"requests_per_minute"?: number | null,"revoked_at"?: string | null,"scope": string
                  }
                  Update: {
                    "created_at"?: string,"created_by"?: string | null,"ended_at"?: never,"expires_at"?: string | null,"hash"?: string,"id"?: string,"last_used_at"?: string | null,"name"?: string,"organization_id"?: string,"prefix"?: string,"replaced_by"?: string | null,"requests_per_minute"?: number | null,"revoked_at"?: string | null,"scope"?: string
                  }
                  Relationships: [
                    {
      foreignKeyName: "tenant_api_keys_organization_id_fkey"
      columns: ["organization_id"]
isOneToOne: false
      referencedRelation: "organizations"
      referencedColumns: ["id"]
    }
                  ]
                },"tenant_health": {
                  Row: {
                    "awake": boolean,"calm_checks": number,"checked_at": string | null,"connected_at": string,"counted_at": string | null,"in_fleet_list": boolean,"leased_until": string | null,"listed_at": string,"metrics": NonNullable<Json>,"next_check_at": string,"organization_id": string,"probed_at": string,"reasons": NonNullable<Json>,"recorded_at": string | null,"status": string,"tier": string,"troubled_checks": number,"unhealthy_checks": number,"used_at": string
                  }
                  ComputedFields: never
                  Insert: {
                    "awake"?: boolean,"calm_checks"?: number,"checked_at"?: string | null,"connected_at"?: string,"counted_at"?: string | null,"in_fleet_list"?: boolean,"leased_until"?: string | null,"listed_at"?: string,"metrics"?: NonNullable<Json>,"next_check_at"?: string,"organization_id": string,"probed_at"?: string,"reasons"?: NonNullable<Json>,"recorded_at"?: string | null,"status"?: string,"tier"?: string,"troubled_checks"?: number,"unhealthy_checks"?: number,"used_at"?: string
                  }
                  Update: {
                    "awake"?: boolean,"calm_checks"?: number,"checked_at"?: string | null,"connected_at"?: string,"counted_at"?: string | null,"in_fleet_list"?: boolean,"leased_until"?: string | null,"listed_at"?: string,"metrics"?: NonNullable<Json>,"next_check_at"?: string,"organization_id"?: string,"probed_at"?: string,"reasons"?: NonNullable<Json>,"recorded_at"?: string | null,"status"?: string,"tier"?: string,"troubled_checks"?: number,"unhealthy_checks"?: number,"used_at"?: string
                  }
                  Relationships: [
                    {
      foreignKeyName: "tenant_health_organization_id_fkey"
      columns: ["organization_id"]
isOneToOne: true
      referencedRelation: "organizations"
      referencedColumns: ["id"]
    }
                  ]
                },"tenant_health_checks": {
                  Row: {
                    "cache_hit_ratio": number | null,"checked_at": string,"connect_ms": number | null,"connections": number | null,"latency_ms": number | null,"longest_query_seconds": number | null,"max_connections": number | null,"organization_id": string,"pooled_connect_ms": number | null,"probe": string,"reasons": Json | null,"size_bytes": number | null,"status": string,"transactions_per_second": number | null
                  }
                  ComputedFields: never
                  Insert: {
                    "cache_hit_ratio"?: number | null,"checked_at": string,"connect_ms"?: number | null,"connections"?: number | null,"latency_ms"?: number | null,"longest_query_seconds"?: number | null,"max_connections"?: number | null,"organization_id": string,"pooled_connect_ms"?: number | null,"probe": string,"reasons"?: Json | null,"size_bytes"?: number | null,"status": string,"transactions_per_second"?: number | null
                  }
                  Update: {
                    "cache_hit_ratio"?: number | null,"checked_at"?: string,"connect_ms"?: number | null,"connections"?: number | null,"latency_ms"?: number | null,"longest_query_seconds"?: number | null,"max_connections"?: number | null,"organization_id"?: string,"pooled_connect_ms"?: number | null,"probe"?: string,"reasons"?: Json | null,"size_bytes"?: number | null,"status"?: string,"transactions_per_second"?: number | null
                  }
                  Relationships: [
                    
                  ]
                },"tenant_health_hourly": {
                  Row: {
                    "availability": number | null,"available": number,"cache_hit_ratio": number | null,"checks": number,"connections": number | null,"hour": string,"median_latency_ms": number | null,"min_latency_ms": number | null,"organization_id": string,"p95_latency_ms": number | null,"size_bytes": number | null
                  }
                  ComputedFields: never
                  Insert: {
                    "availability"?: number | null,"available": number,"cache_hit_ratio"?: number | null,"checks": number,"connections"?: number | null,"hour": string,"median_latency_ms"?: number | null,"min_latency_ms"?: number | null,"organization_id": string,"p95_latency_ms"?: number | null,"size_bytes"?: number | null
                  }
                  Update: {
                    "availability"?: number | null,"available"?: number,"cache_hit_ratio"?: number | null,"checks"?: number,"connections"?: number | null,"hour"?: string,"median_latency_ms"?: number | null,"min_latency_ms"?: number | null,"organization_id"?: string,"p95_latency_ms"?: number | null,"size_bytes"?: number | null
                  }
                  Relationships: [
                    
                  ]
                },"tenant_resources": {
                  Row: {
                    "created_at": string,"details": NonNullable<Json>,"external_id": string | null,"id": string,"kind": string,"name": string,"organization_id": string,"remove_at": string | null,"removed_at": string | null,"requests": number,"service": string,"state": string,"updated_at": string,"url": string | null
                  }
                  ComputedFields: never
                  Insert: {
                    "created_at"?: string,"details"?: NonNullable<Json>,"external_id"?: string | null,"id"?: string,"kind": string,"name": string,"organization_id": string,"remove_at"?: string | null,"removed_at"?: string | null,"requests"?: number,"service": string,"state"?: string,"updated_at"?: string,"url"?: string | null
                  }
                  Update: {
                    "created_at"?: string,"details"?: NonNullable<Json>,"external_id"?: string | null,"id"?: string,"kind"?: string,"name"?: string,"organization_id"?: string,"remove_at"?: string | null,"removed_at"?: string | null,"requests"?: number,"service"?: string,"state"?: string,"updated_at"?: string,"url"?: string | null
                  }
                  Relationships: [
                    
                  ]
                },"wallets": {
                  Row: {
                    "available_balance": number,"created_at": string,"currency": string,"pending_balance": number,"updated_at": string,"user_id": string
                  }
                  ComputedFields: never
                  Insert: {
                    "available_balance"?: number,"created_at"?: string,"currency": string,"pending_balance"?: number,"updated_at"?: string,"user_id": string
                  }
                  Update: {
                    "available_balance"?: number,"created_at"?: string,"currency"?: string,"pending_balance"?: number,"updated_at"?: string,"user_id"?: string
                  }
                  Relationships: [
                    
                  ]
                }
          }
          Views: {
            [_ in never]: never
          }
          Functions: {
            "accept_membership":
{ Args: { "organization_id": string }; Returns: string
                           },
"access_logins":
{ Args: { "organization_id": string }; Returns: Json
                           },
"audit_trail":
{ Args: { "before"?: string,"organization_id": string,"page_size"?: number }; Returns: {
              "action": string,"actor_id": string,"actor_type": string,"created_at": string,"details": Json,"id": string,"metadata": Json,"resource_id": string,"resource_type": string
            }[]
                           },
"backfill_tenants":
{ Args: { "after"?: string,"dry_run"?: boolean,"max_tenants"?: number }; Returns: Json
                           },
"backfill_users":
{ Args: { "after"?: string,"dry_run"?: boolean,"max_users"?: number }; Returns: Json
                           },
"cancel_move":
{ Args: { "organization_id": string }; Returns: string
                           },
"create_api_key":
{ Args: { "expires_at"?: string,"name": string,"organization_id": string,"requests_per_minute"?: number,"scope"?: string }; Returns: Json
                           },
"database_connection":
{ Args: { "organization_id": string,"reveal_password"?: boolean }; Returns: Json
                           },
"decline_membership":
{ Args: { "organization_id": string }; Returns: string
                           },
"describe_tenant":
{ Args: { "subject": string }; Returns: Json
                           },
"diagnose_provisioning":
{ Args: Record<PropertyKey, never>; Returns: Json
                           },
"end_access":
{ Args: { "login_id": string }; Returns: Json
                           },
"expect_member":
{ Args: { "email": string,"ends_at"?: string,"organization_id": string,"role"?: string }; Returns: Json
                           },
"expected_members":
{ Args: { "organization_id": string }; Returns: {
              "created_at": string,"email": string,"ends_at": string,"expected_by": string,"id": string,"role": string
            }[]
                           },
"fleet_migration_status":
{ Args: { "to_version"?: number }; Returns: Json
                           },
"lift_legal_hold":
{ Args: { "organization_id": string }; Returns: boolean
                           },
"lift_removal":
{ Args: { "user_id": string }; Returns: boolean
                           },
"list_tenants":
{ Args: { "after"?: string,"filter"?: Json,"page_size"?: number,"sort"?: string }; Returns: Json
                           },
"migrate_fleet":
{ Args: { "canary_percent"?: number,"concurrency"?: number,"max_failures_percent"?: number,"to_version": number }; Returns: Json
                           },
"move_tenant":
{ Args: { "dry_run"?: boolean,"leave_extra_tables"?: boolean,"organization_id": string,"tier"?: string,"with_data"?: boolean }; Returns: string
                           },
"my_expected_memberships":
{ Args: Record<PropertyKey, never>; Returns: {
              "ends_at": string,"organization_id": string,"organization_name": string,"role": string
            }[]
                           },
"pause_work":
{ Args: { "name"?: string,"reason": string,"scope": string }; Returns: boolean
                           },
"paused_work":
{ Args: Record<PropertyKey, never>; Returns: Json
                           },
"probe_functions":
{ Args: { "names": (string)[] }; Returns: Json
                           },
"probe_results":
{ Args: { "requests": (number)[] }; Returns: Json
                           },
"provider_states":
{ Args: Record<PropertyKey, never>; Returns: Json
                           },
"provisioning_progress":
{ Args: { "organization_id": string }; Returns: Json
                           },
"rename_api_key":
{ Args: { "key_id": string,"name": string }; Returns: Json
                           },
"repair_user":
{ Args: { "metadata"?: Json,"user_id": string }; Returns: Json
                           },
"request_access":
{ Args: { "minutes"?: number,"organization_id": string,"role"?: string }; Returns: Json
                           },
"reroll_api_key":
{ Args: { "grace_hours"?: number,"key_id": string }; Returns: Json
                           },
"resume_work":
{ Args: { "name"?: string,"scope": string }; Returns: boolean
                           },
"retry_tenants":
{ Args: { "dry_run"?: boolean,"filter"?: Json,"max_tenants"?: number }; Returns: Json
                           },
"reveal_access":
{ Args: { "login_id": string }; Returns: Json
                           },
"revoke_api_key":
{ Args: { "key_id": string }; Returns: Json
                           },
"rotate_credentials":
{ Args: { "grace_hours"?: number,"organization_id": string }; Returns: string
                           },
"rotate_keys":
{ Args: { "keys": (string)[] }; Returns: (string)[]
                           },
"schema_trials":
{ Args: { "job_ids": (string)[] }; Returns: Json
                           },
"search_profiles":
{ Args: { "query": string }; Returns: {
              "avatar_url": string | null,
"created_at": string,
"discoverable": boolean,
"email": string | null,
"full_name": string | null,
"id": string,
"in_search_index": boolean,
"organization_id": string | null,
"updated_at": string
            }[]
                          SetofOptions: {
        from: "*"
        to: "profiles"
        isOneToOne: false
        isSetofReturn: true
      } },
"set_legal_hold":
{ Args: { "organization_id": string,"reference": string }; Returns: boolean
                           },
"stop_fleet_migration":
{ Args: { "reason": string }; Returns: Json
                           },
"tenant_counts":
{ Args: Record<PropertyKey, never>; Returns: Json
                           },
"try_fleet_migration":
{ Args: { "tenants"?: number,"to_version": number }; Returns: Json
                           },
"withdraw_expected_member":
{ Args: { "email": string,"organization_id": string }; Returns: boolean
                           }
          }
          Enums: {
            [_ in never]: never
          }
          CompositeTypes: {
            [_ in never]: never
          }
        }
}

type DatabaseWithoutInternals = Omit<Database, '__InternalSupabase'>

type DefaultSchema = DatabaseWithoutInternals[Extract<keyof Database, "public">]

export type Tables<
  DefaultSchemaTableNameOrOptions extends
    | keyof (DefaultSchema["Tables"] & DefaultSchema["Views"])
    | { schema: keyof DatabaseWithoutInternals },
  TableName extends DefaultSchemaTableNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals
  }
    ? keyof (DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"] &
        DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Views"])
    : never = never
> = DefaultSchemaTableNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? (DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"] &
      DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Views"])[TableName] extends {
      Row: infer R
    }
    ? R
    : never
  : DefaultSchemaTableNameOrOptions extends keyof (DefaultSchema["Tables"] & DefaultSchema["Views"])
  ? (DefaultSchema["Tables"] & DefaultSchema["Views"])[DefaultSchemaTableNameOrOptions] extends {
      Row: infer R
    }
    ? R
    : never
  : never

export type TablesInsert<
  DefaultSchemaTableNameOrOptions extends
    | keyof DefaultSchema["Tables"]
    | { schema: keyof DatabaseWithoutInternals },
  TableName extends DefaultSchemaTableNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals
  }
    ? keyof DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"]
    : never = never
> = DefaultSchemaTableNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"][TableName] extends {
      Insert: infer I
    }
    ? I
    : never
  : DefaultSchemaTableNameOrOptions extends keyof DefaultSchema["Tables"]
  ? DefaultSchema["Tables"][DefaultSchemaTableNameOrOptions] extends {
      Insert: infer I
    }
    ? I
    : never
  : never

export type TablesUpdate<
  DefaultSchemaTableNameOrOptions extends
    | keyof DefaultSchema["Tables"]
    | { schema: keyof DatabaseWithoutInternals },
  TableName extends DefaultSchemaTableNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals
  }
    ? keyof DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"]
    : never = never
> = DefaultSchemaTableNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"][TableName] extends {
      Update: infer U
    }
    ? U
    : never
  : DefaultSchemaTableNameOrOptions extends keyof DefaultSchema["Tables"]
  ? DefaultSchema["Tables"][DefaultSchemaTableNameOrOptions] extends {
      Update: infer U
    }
    ? U
    : never
  : never

export type Enums<
  DefaultSchemaEnumNameOrOptions extends
    | keyof DefaultSchema["Enums"]
    | { schema: keyof DatabaseWithoutInternals },
  EnumName extends DefaultSchemaEnumNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals
  }
    ? keyof DatabaseWithoutInternals[DefaultSchemaEnumNameOrOptions["schema"]]["Enums"]
    : never = never
> = DefaultSchemaEnumNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[DefaultSchemaEnumNameOrOptions["schema"]]["Enums"][EnumName]
  : DefaultSchemaEnumNameOrOptions extends keyof DefaultSchema["Enums"]
  ? DefaultSchema["Enums"][DefaultSchemaEnumNameOrOptions]
  : never

export type CompositeTypes<
  PublicCompositeTypeNameOrOptions extends
    | keyof DefaultSchema["CompositeTypes"]
    | { schema: keyof DatabaseWithoutInternals },
  CompositeTypeName extends PublicCompositeTypeNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals
  }
    ? keyof DatabaseWithoutInternals[PublicCompositeTypeNameOrOptions["schema"]]["CompositeTypes"]
    : never = never
> = PublicCompositeTypeNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[PublicCompositeTypeNameOrOptions["schema"]]["CompositeTypes"][CompositeTypeName]
  : PublicCompositeTypeNameOrOptions extends keyof DefaultSchema["CompositeTypes"]
  ? DefaultSchema["CompositeTypes"][PublicCompositeTypeNameOrOptions]
  : never

export const Constants = {
  "public": {
          Enums: {
            
          }
        }
} as const
