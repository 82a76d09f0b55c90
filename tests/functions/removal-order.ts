import type { TestProject } from '../support/project.ts'

interface Removal {
  /** What was removed first, and what after it. */
  readonly first: string
  readonly second: string
  /** They were made the other way round. */
  readonly reversesMaking: boolean
  /** The first had ended when the second began. */
  readonly inOrder: boolean
  /** It is no accident: the plan says so. */
  readonly planned: boolean
}

/** How an organization's newest removal went, for every two things of which one had been made with the help of the other. */
export async function removalOrder(
  { sql }: TestProject,
  organizationId: string,
  kind: 'deprovision' | 'undo',
): Promise<readonly Removal[]> {
  return sql<Removal[]>`
    with recursive steps as (
      select j.kind, s.* from public.provisioning_steps s join public.provisioning_jobs j on j.id = s.job_id
      where j.id in (
        select distinct on (n.kind) n.id from public.provisioning_jobs n
        where n.organization_id = ${organizationId} and n.kind in ('provision', ${kind})
        order by n.kind, n.created_at desc)
    ), needs as (
      select step, unnest(depends_on) as needed from steps where kind = 'provision'
      union
      select n.step, unnest(s.depends_on) from needs n join steps s on s.kind = 'provision' and s.step = n.needed
    )
    select a.step as first, b.step as second, made_a.started_at > made_b.started_at as "reversesMaking",
      a.finished_at <= b.started_at as "inOrder", a.step = any (b.depends_on) as planned
    from needs
    join steps made_a on made_a.step = needs.step join steps made_b on made_b.step = needs.needed
    join steps a on a.step = 'delete_' || needs.step join steps b on b.step = 'delete_' || needs.needed
    order by first, second`
}

export const REVERSE_ORDER: readonly Removal[] = [
  {
    first: 'delete_credentials',
    second: 'delete_neon_project',
    reversesMaking: true,
    inOrder: true,
    planned: true,
  },
]
