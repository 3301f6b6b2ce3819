/** The service: a file kept in force while a process runs, what it tells its manager, and how it is installed. */

export { ControlClient, connectControl } from './control-client.ts';
export {
  type ControlHandlers,
  type ControlLimits,
  type ControlSocket,
  controlPath,
  openControlSocket,
} from './control-socket.ts';
export { FileWatch } from './file-watch.ts';
export { INIT_LOCK_FILE, INIT_LOG_FILE, INIT_PID_FILE, initScript } from './init-script.ts';
export {
  detectManager,
  type InstalledService,
  type InstallOptions,
  installedService,
  installService,
  SERVICE_NAME,
  type ServiceManager,
  uninstallService,
} from './install.ts';
export type { LinkDetail, LinkWayStatus } from './link-runnable.ts';
export {
  formatLog,
  isJournalStream,
  type Log,
  type LogFormat,
  type LogLevel,
  type LogRecord,
  logLevels,
} from './log.ts';
export { askManager, isEnabled, logCommand, reloadManager, type ServiceAction } from './manager.ts';
export { monotonicUsec, type Notification, Notifier, openNotifier } from './notify.ts';
export { RepairBackoff } from './repair-backoff.ts';
export { isRestart } from './restart-job.ts';
export { type FoundRun, findRun, openRunFile, RunFile, type RunInfo } from './run-file.ts';
export type {
  Runnable,
  RunnerState,
  RunnerStatus,
  RunnerSummary,
  Running,
  RunningEvent,
  RunningStatus,
} from './runnable.ts';
export { Runner, type RunnerOptions } from './runner.ts';
export { RunnerSet } from './runner-set.ts';
export { type ServiceFileOptions, type ServiceNeeds, serviceNeeds } from './service-files.ts';
export { Supervisor, type SupervisorOptions, type SupervisorState, type SupervisorStatus } from './supervisor.ts';
export {
  connectSwitch,
  type NumberedNote,
  openSwitchControl,
  type SwitchControl,
  switchControlPath,
  switchNames,
} from './switch-control.ts';
export { ownSwitchMac, querierOf, vlansOfPorts } from './switch-mac.ts';
export {
  type SwitchBinding,
  type SwitchGroup,
  type SwitchNote,
  SwitchOfEnds,
  type SwitchOfEndsOptions,
  type SwitchPortSpec,
  type SwitchPortStatus,
  type SwitchStation,
  type SwitchStatus,
} from './switch-of-ends.ts';
export type { SwitchDetail } from './switch-runnable.ts';
export { systemdUnit } from './systemd-unit.ts';
export type { TunnelClientDetail, TunnelDetail } from './tunnel-runnable.ts';
