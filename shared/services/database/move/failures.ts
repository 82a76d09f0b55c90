import { type FailureCatalogue, failuresOf } from '../../../kernel/failures.ts'

/** What can go wrong when a tenant moves to another database. Until the switch, the tenant is where it was, and works. */
export const moveFailures = {
  move_schema_behind: {
    retryable: false,
    sentence: 'The tenant database is not at the newest version of the tenant schema.',
    docs: 'The rows are copied between databases of one version. The message has both.',
    remedy: {
      text: 'Bring it up to date with a fleet migration, then ask for the move again.',
      commands: [],
    },
  },
  move_tables_differ: {
    retryable: false,
    sentence: 'Tables of the tenant database are not as the tenant schema makes them.',
    docs: 'The message names tables and columns that are missing, have another type, or are views in the place of tables.',
    remedy: {
      text: 'Make them as the files in tenant-schema/ do, then ask for the move again.',
      commands: [],
    },
  },
  move_extra_tables: {
    retryable: false,
    sentence:
      'The tenant database has tables or columns that the tenant schema does not make, and they would be left behind.',
    docs: 'The message names the first of them. People have made them, and nobody but them knows what they need.',
    remedy: {
      text: 'Save what is needed, then ask for the move again with `--leave-extra-tables`.',
      commands: [],
    },
  },
  move_copying: {
    retryable: true,
    sentence: 'The rows are being copied.',
    continuation: 'It goes on by itself.',
    docs: 'A large copy is made in parts, and each part goes on where the one before has ended.',
  },
  move_row_too_large: {
    retryable: false,
    sentence: 'A row of the tenant database is too large to be copied.',
    docs: 'More than 8 MB. The message names its table.',
    remedy: { text: 'Make it smaller, then ask for the move again.', commands: [] },
  },
  move_row_refused: {
    retryable: false,
    sentence: 'The new database does not take a row of the old one.',
    docs: 'The message has the table, and the constraint that somebody has taken off in the old database.',
    remedy: { text: 'Correct the rows, then ask for the move again.', commands: [] },
  },
  move_rows_differ: {
    retryable: false,
    sentence: 'The new database does not have the same rows as the old one after they were copied.',
    docs: 'The message has the tables with the numbers of their rows. Counts and checksums are compared while nobody can write.',
    remedy: {
      text: 'Ask for the move again, which copies what differs. If that does not help, look whether something writes into the new database.',
      commands: [],
    },
  },
  move_not_closed: {
    retryable: true,
    sentence: 'The tenant database could not be closed to everybody for the last rows.',
    docs: 'A session did not end when it was told to.',
  },
  move_too_slow: {
    retryable: true,
    sentence: 'The last rows could not be copied in the time for which the tenant database may be closed.',
    continuation: 'It is open again, and this will be tried again.',
    docs: 'More than `settings.move_closed_seconds`.',
  },
  move_never_closed_in_time: {
    retryable: false,
    sentence:
      'The last rows could not be copied in the time for which the tenant database may be closed, however often that was tried.',
    docs: 'As often as `settings.move_closings` says. The database is open.',
    remedy: {
      text: 'Allow more time with `settings.move_closed_seconds`, or choose an hour in which less is written, then ask for the move again.',
      commands: [],
    },
  },
} as const satisfies FailureCatalogue

export const failure = failuresOf(moveFailures)
