import { Moon, Sun } from 'lucide-react'
import { useState } from 'react'
import { Button } from '../components/tenants/ui/button.tsx'

const isDarkNow = () =>
  document.documentElement.dataset.theme
    ? document.documentElement.dataset.theme === 'dark'
    : matchMedia('(prefers-color-scheme: dark)').matches

export function ThemeButton() {
  const [isDark, setDark] = useState(isDarkNow)
  const toggle = () => {
    const theme = isDarkNow() ? 'light' : 'dark'
    document.documentElement.dataset.theme = theme
    setDark(theme === 'dark')
    try {
      localStorage.setItem('console-theme', theme)
    } catch {
      // Without storage it holds until the page is left.
    }
  }
  const label = isDark ? 'Use the light theme' : 'Use the dark theme'
  return (
    <Button variant="ghost" size="icon" onClick={toggle} aria-label={label} title={label}>
      {isDark ? <Sun /> : <Moon />}
    </Button>
  )
}
