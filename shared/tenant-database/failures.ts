import { type FailureCatalogue, failuresOf } from '../kernel/failures.ts'

/** What can go wrong with a tenant's own database, whoever hosts it. */
export const tenantDatabaseFailures = {
  tenant_database_unreachable: {
    retryable: true,
    sentence: 'The tenant database cannot be reached.',
    docs: 'The network, or the compute did not wake within 15 s.',
  },
  tenant_database_login_refused: {
    retryable: true,
    sentence: 'The tenant database refused the login.',
    continuation: 'A retry of the service makes the login anew, with another password.',
    docs: 'Its password or its settings were changed, or it was dropped or may not log in. A password that people were shown is good no more then.',
    remedy: {
      text: 'Retry the service, which makes the login anew, with another password.',
      commands: [{ command: 'retry' }],
    },
  },
  tenant_database_not_encrypted: {
    retryable: false,
    sentence:
      'The tenant database accepts no verified TLS connection, which is required for a host that is not local.',
    docs: 'The message has the reason that TLS gives.',
    remedy: { text: 'Look at the certificate of the host, then retry.', commands: [{ command: 'retry' }] },
  },
  tenant_schema_not_tried: {
    retryable: false,
    sentence: 'The host of this tenant database makes no copies on which the tenant schema could be tried.',
    docs: 'A trial is possible where the databases are Neon projects.',
    remedy: {
      text: 'Try it on other tenants, or migrate: a small share of the tenants comes first.',
      commands: [],
    },
  },
  tenant_schema_failed: {
    retryable: false,
    sentence: 'A file of the tenant schema failed.',
    docs: 'The message quotes Postgres.',
    remedy: {
      text: 'Correct it in tenant-schema/, deploy, then retry.',
      commands: [{ command: 'bundle_tenant_schema' }, { command: 'deploy_functions' }, { command: 'retry' }],
    },
  },
  tenant_schema_unprotected: {
    retryable: false,
    sentence: 'Tables in the tenant database are without row level security, or have it and no policy.',
    docs: 'The message names them. Nothing of the file that made them was kept; or the owner of the database has made them.',
    remedy: {
      text: 'Give them row level security and a policy in tenant-schema/, deploy, then retry. What the owner has made, the owner protects.',
      commands: [{ command: 'bundle_tenant_schema' }, { command: 'deploy_functions' }, { command: 'retry' }],
    },
  },
  tenant_people_refused: {
    retryable: false,
    sentence: 'The tenant database does not take the rows of the organization and its members.',
    docs: 'The message quotes Postgres. The owner of the database, or a file of the tenant schema, has changed the tables organizations, users or subscription_history, or put a trigger on them.',
    remedy: {
      text: 'Make these tables take the columns that tenant-schema/README.md names, then retry the service.',
      commands: [{ command: 'retry' }],
    },
  },
  tenant_schema_changed: {
    retryable: false,
    sentence: 'A file of the tenant schema was changed after this tenant received it.',
    docs: 'Files that a tenant has received are never edited.',
    remedy: {
      text: 'Restore the file, put the change into a new one, deploy, then retry.',
      commands: [{ command: 'bundle_tenant_schema' }, { command: 'deploy_functions' }, { command: 'retry' }],
    },
  },
  tenant_schema_not_deployed: {
    retryable: false,
    sentence: 'The functions that are deployed do not have the files of this version of the tenant schema.',
    docs: 'A fleet migration asks for a version whose files were not deployed with the functions.',
    remedy: {
      text: 'Bundle the files, deploy, then migrate again.',
      commands: [{ command: 'bundle_tenant_schema' }, { command: 'deploy_functions' }],
    },
  },
  tenant_schema_unreadable: {
    retryable: false,
    sentence: 'The record of the applied schema files in the tenant database is not one of ours.',
    docs: 'Somebody with more rights than a tenant has replaced or changed `provisioning.schema_migrations` there.',
    remedy: {
      text: 'Restore that table in the tenant database, then retry the service.',
      commands: [{ command: 'retry' }],
    },
  },
  tenant_database_answer_too_large: {
    retryable: false,
    sentence: 'The tenant database answered with far more than was asked for, so the connection was cut.',
    docs: 'Something in it, such as a view, stands in the place of `provisioning.schema_migrations`, or a trigger is talkative.',
    remedy: {
      text: 'Restore what stands in the place of that table in the tenant database, then retry the service.',
      commands: [{ command: 'retry' }],
    },
  },
  tenant_database_locked: {
    retryable: true,
    sentence: 'Somebody holds a lock in the tenant database that its schema cannot be changed without.',
    docs: 'A table in use for more than 3 s, or the advisory lock 7221 for more than 5 s.',
  },
  tenant_database_too_slow: {
    retryable: true,
    sentence: 'The tenant database did not finish in time.',
    docs: 'What is asked of it may take 5 s, a statement of a schema file 60 s, and a step in the tenant database 90 s.',
  },
  graphql_schema_drift: {
    retryable: false,
    sentence: 'The tenant database lacks something that its GraphQL schema needs.',
    docs: 'The owner of the database has dropped or changed a table, or taken away rights, after the tenant schema was applied.',
    remedy: {
      text: 'Restore what was changed in the tenant database, then retry the service graphql.',
      commands: [{ command: 'retry', service: 'graphql' }],
    },
  },
  graphql_endpoint_failed: {
    retryable: true,
    sentence: 'The GraphQL endpoint did not answer its first query.',
    docs: 'The message has the code that the endpoint gives, of the list in `http/problem.ts`; the log of the function has more.',
  },
  credentials_missing: {
    retryable: false,
    sentence: 'The password of the tenant database is not in Vault.',
    docs: 'Somebody deleted it there, or no project is recorded.',
    remedy: {
      text: 'Retry the service, which sets a new one.',
      commands: [{ command: 'retry' }],
    },
  },
} as const satisfies FailureCatalogue

export const failure = failuresOf(tenantDatabaseFailures)
