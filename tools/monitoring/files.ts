import { printDashboard } from './dashboard.ts'
import { printAlertRules, printRunbook } from './print-alerts.ts'

/** What `npm run monitoring` writes. */
export const MONITORING_FILES = {
  'docs/monitoring/alert-rules.yml': printAlertRules,
  'docs/monitoring/grafana-dashboard.json': printDashboard,
  'docs/alerts.md': printRunbook,
} as const satisfies Record<string, () => string>
