import { Link } from '@tanstack/react-router'
import { PageTitle } from '../app/page-title.tsx'
import { buttonClass } from '../components/tenants/ui/button.tsx'

export function NotFound() {
  return (
    <main className="mx-auto max-w-lg px-4 py-16">
      <PageTitle title="There is no such page">
        The address may have changed, or it is of an organization that you are not in.
      </PageTitle>
      <Link to="/" className={buttonClass()}>
        To the start
      </Link>
    </main>
  )
}
