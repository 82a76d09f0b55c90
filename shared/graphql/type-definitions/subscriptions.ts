/** What can be followed. */
export const SUBSCRIPTIONS = /* GraphQL */ `
  type Subscription {
    """
    How an organization's provisioning stands: at once, and whenever something changes, over server-sent events. Completes
    when it is ready, failed or cancelled, and before the function's time is up; whoever subscribes again is told the current
    state first. For members, operators and the service role.
    """
    provisioningProgress(organizationId: ID!): ProvisioningStatus!
  }
`
