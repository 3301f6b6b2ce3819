/**
 * One service from start to end: the supervisor, and what surrounds it in a process.
 *
 * Theory of operation
 *
 *   starting -> running <-> reloading -> stopping -> end
 *
 *   Each state is told to the service manager and written to the run file, the pid file comes with `running`. Signals are
 *   taken from the beginning: one that comes while it starts ends the start, which takes back what it did.
 */

import { unlinkSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';

import { isVnicError } from '../base/index.ts';
import { undoAbandoned } from '../journal/index.ts';
import {
  type ControlSocket,
  controlPath,
  FileWatch,
  isRestart,
  type Log,
  monotonicUsec,
  type Notifier,
  openControlSocket,
  openNotifier,
  openRunFile,
  type RunFile,
  Supervisor,
  type SupervisorStatus,
} from '../service/index.ts';
import { journalPath } from '../state/index.ts';

/** What a service is run with. */
export interface RunServiceOptions {
  readonly file: string;
  readonly keep: boolean;
  readonly log: Log;
  readonly resyncMs: number;
  readonly pidFile?: string;
}

type Ending = 'stop' | 'hand-over';

/** Resolves when it has ended as it should. @throws what its start or its end throws */
export async function runService(options: RunServiceOptions): Promise<void> {
  const { log, keep, pidFile } = options;
  const path = journalPath(options.file);
  using runFile = openRunFile(path, { keep });
  using notifier = openNotifier();
  const supervisor = new Supervisor({
    path,
    log,
    resyncMs: options.resyncMs,
    onStatus: (status) => tell(status, notifier, runFile),
  });
  const ending = watchSignals(supervisor);
  const control = await openControl(path, supervisor, log);
  const stopWatchdog = startWatchdog(supervisor, notifier);
  let start: () => void = () => undefined;
  const ready = new Promise<void>((resolve) => {
    start = resolve;
  });
  // From before the file is read, so that no change of it goes unnoticed.
  using _watch = new FileWatch(path, () => void ready.then(() => supervisor.reload()));
  try {
    await undoAbandoned();
    if (!(await started(supervisor, ending))) return;
    if (pidFile !== undefined) writeFileSync(pidFile, `${process.pid}\n`);
    log({ level: 'info', event: 'ready', message: supervisor.status.text, fields: { pid: process.pid } });
    start();
    await end(await ending, supervisor, options);
  } finally {
    // After a start that failed it would go on listening.
    await supervisor.stop({ keep: true });
    stopWatchdog();
    await control?.close();
    if (pidFile !== undefined) remove(pidFile);
  }
}

/** Where it is asked how it is. Without it the service is none the worse. */
async function openControl(path: string, supervisor: Supervisor, log: Log): Promise<ControlSocket | undefined> {
  try {
    return await openControlSocket(controlPath(path), {
      status: () => {
        const { state, text } = supervisor.status;
        return { state, text, running: supervisor.running };
      },
    });
  } catch (error) {
    if (!isVnicError(error)) throw error;
    const { code, message, hint } = error;
    log({ level: 'warn', event: 'no-control', message, fields: { code, hint } });
    return undefined;
  }
}

/** False when it was told to stop before. */
async function started(supervisor: Supervisor, ending: Promise<Ending>): Promise<boolean> {
  const start = supervisor.start();
  // Taken here, since the start may fail while nobody waits for it.
  const early = await Promise.race([start.then(() => undefined), ending]);
  if (early === undefined) return true;
  // Ends the start, and undoes what it had completed.
  const stopped = supervisor.stop({ keep: early === 'hand-over' });
  await start.catch((error: unknown) => {
    if (!isVnicError(error, 'VNIC_ABORTED')) throw error;
  });
  await stopped;
  return false;
}

async function end(ending: Ending, supervisor: Supervisor, { keep, log, file }: RunServiceOptions): Promise<void> {
  const noteFailure = (reason: string): void => {
    log({ level: 'warn', event: 'unknown-job', message: `cannot ask systemd whether this is a restart: ${reason}` });
  };
  const isKept = keep || ending === 'hand-over' || (await isRestart(noteFailure));
  const message = isKept ? 'stopping; everything stays as it is' : `stopping; everything of ${file} is undone`;
  log({ level: 'info', event: 'stopping', message, fields: { keep: isKept } });
  await supervisor.stop({ keep: isKept });
  log({ level: 'info', event: 'stopped', message: 'stopped' });
}

/** The first signal that ends it; later ones end the process at once. */
function watchSignals(supervisor: Supervisor): Promise<Ending> {
  process.on('SIGHUP', () => void supervisor.reload());
  return new Promise((resolve) => {
    let told = false;
    for (const name of ['SIGTERM', 'SIGINT', 'SIGUSR1'] as const) {
      process.on(name, () => {
        if (told) process.exit(128 + constants.signals[name]);
        told = true;
        resolve(name === 'SIGUSR1' ? 'hand-over' : 'stop');
      });
    }
  });
}

function tell(status: SupervisorStatus, notifier: Notifier, runFile: RunFile): void {
  runFile.write(status);
  const { state, text } = status;
  const lines = {
    ...(state === 'reloading' && { RELOADING: 1, MONOTONIC_USEC: monotonicUsec() }),
    ...((state === 'running' || state === 'degraded') && { READY: 1 }),
    ...(state === 'stopping' && { STOPPING: 1 }),
    STATUS: text,
  };
  void notifier.send(lines);
}

/** Says that all is well while the event loop turns and no pass hangs. */
function startWatchdog(supervisor: Supervisor, notifier: Notifier): () => void {
  const { watchdogMs } = notifier;
  if (watchdogMs === undefined) return () => undefined;
  const timer = setInterval(() => {
    if (supervisor.busyMs < watchdogMs) void notifier.send({ WATCHDOG: 1 });
  }, watchdogMs / 2);
  return () => clearInterval(timer);
}

function remove(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // It was never written, or somebody has tidied up.
  }
}
