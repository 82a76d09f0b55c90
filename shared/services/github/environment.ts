import { z } from 'zod'

const FULL_NAME = /^[A-Za-z0-9-]+\/[A-Za-z0-9._-]+$/

export const githubEnvironment = z.object({
  /** Of a machine user or fine-grained. Without it, and without an App, each call fails with github_key_missing. */
  GITHUB_TOKEN: z.string().min(1).optional(),
  /** A GitHub App that is installed in the organization takes the place of a token. */
  GITHUB_APP_ID: z.string().regex(/^\d+$/, 'is not the number of a GitHub App').optional(),
  /** In PEM, as GitHub hands it out; line ends may be written as \n. */
  GITHUB_APP_PRIVATE_KEY: z
    .string()
    .transform((text) => text.replaceAll('\\n', '\n'))
    .optional(),
  /** Whose the repositories are. */
  GITHUB_ORG: z.string().min(1).optional(),
  /** OWNER/NAME of what each repository begins with. */
  GITHUB_TEMPLATE_REPOSITORY: z.string().regex(FULL_NAME, 'is not OWNER/NAME').optional(),
  GITHUB_API_URL: z.url().default('https://api.github.com'),
})

export type GithubEnvironment = z.infer<typeof githubEnvironment>
