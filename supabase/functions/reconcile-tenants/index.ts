import { readEnvironment } from '../../../shared/kernel/environment.ts'
import { createReconcileFunction } from '../../../shared/reconciliation/reconcile-function.ts'
import { services } from '../../../shared/services/registry.ts'

Deno.serve(createReconcileFunction(readEnvironment(Deno.env.toObject()), services))
