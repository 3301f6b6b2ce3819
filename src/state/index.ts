/** Desired state: what the configuration asks for against what the kernel has, and the way from one to the other. */

export { type Config, type ConfigMistake, formatConfig, parseConfig, readConfig } from '../config/index.ts';
export {
  type ApplyOptions,
  type ApplyProgress,
  type ApplyResult,
  applyConfig,
  type TakeDownOptions,
  takeDown,
} from './apply.ts';
export { type ExportNote, type ExportOptions, type ExportResult, exportConfig } from './export.ts';
export { importInterfaces } from './import-interfaces.ts';
export { importNetworkd } from './import-networkd.ts';
export type { ImportedConfig, ImportNote, SourceFile } from './imported.ts';
export { type InForceOptions, isInForce } from './in-force.ts';
export { journalPath } from './journal-path.ts';
export { namespaceNames } from './places.ts';
export { type Plan, type PlanOptions, planChanges } from './plan.ts';
export type { Conflict } from './planned.ts';
