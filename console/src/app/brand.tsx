export function Brand({ className = 'size-8' }: { className?: string }) {
  return (
    <svg viewBox="0 0 32 32" aria-hidden="true" className={className}>
      <rect width="32" height="32" rx="8" className="fill-primary" />
      <path
        d="M8 11.5 16 7l8 4.5-8 4.5zM8 16l8 4.5 8-4.5M8 20.5 16 25l8-4.5"
        fill="none"
        strokeWidth="2"
        strokeLinejoin="round"
        className="stroke-primary-foreground"
      />
    </svg>
  )
}
