import type { UseQueryOptions } from '@tanstack/react-query'
import { PROVISIONING_OPTIONS, type ProvisioningOptionsQuery } from '../generated/operations'
import { type ApiError, type ProjectAccess, request } from './api'

/** The regions, sizes, tiers and plans of a project, which an operator changes seldom. */
export function provisioningOptions(
  access: ProjectAccess,
): UseQueryOptions<ProvisioningOptionsQuery, ApiError> {
  return {
    queryKey: ['provisioning-options'],
    queryFn: ({ signal }) => request(access, PROVISIONING_OPTIONS, {}, signal),
    staleTime: 300_000,
  }
}
