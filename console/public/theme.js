// Before anything is painted, so that nobody sees the other theme flash. A file, because the policy allows no inline script.
try {
  const theme = localStorage.getItem('console-theme')
  if (theme === 'dark' || theme === 'light') document.documentElement.dataset.theme = theme
} catch {
  // Without storage the system's theme is shown.
}
