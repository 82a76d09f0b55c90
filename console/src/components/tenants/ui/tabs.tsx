import { Tabs as Base } from '@base-ui/react/tabs'
import type { ReactNode } from 'react'

interface TabsProps<Name extends string> {
  readonly label: string
  readonly tabs: readonly { readonly name: Name; readonly title: string }[]
  readonly value: Name
  onChange(name: Name): void
  readonly children: ReactNode
}

/** A choice of views of one thing, of which one is shown. */
export function Tabs<Name extends string>({ label, tabs, value, onChange, children }: TabsProps<Name>) {
  return (
    <Base.Root value={value} onValueChange={(name: Name) => onChange(name)}>
      <Base.List aria-label={label} className="flex w-fit flex-wrap gap-1 rounded-lg bg-muted p-1">
        {tabs.map(({ name, title }) => (
          <Base.Tab
            key={name}
            value={name}
            className="rounded-md px-3 py-1 text-sm text-muted-foreground hover:text-foreground aria-selected:bg-card aria-selected:font-medium aria-selected:text-foreground aria-selected:shadow-sm"
          >
            {title}
          </Base.Tab>
        ))}
      </Base.List>
      <Base.Panel value={value} className="mt-4">
        {children}
      </Base.Panel>
    </Base.Root>
  )
}
