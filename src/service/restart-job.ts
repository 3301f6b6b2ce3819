/** Whether systemd stops this unit in order to start it again. */

import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';

const TIMEOUT_MS = 2000;

/**
 * True while systemd restarts the unit of this process: both halves of `systemctl restart` are one job of that type. False
 * also where it cannot be asked.
 */
export function isRestart(env: NodeJS.ProcessEnv = process.env): Promise<boolean> {
  const unit = ownUnit();
  if (unit === undefined || env['INVOCATION_ID'] === undefined) return Promise.resolve(false);
  return new Promise((resolve) => {
    const options = { timeout: TIMEOUT_MS, env: { PATH: env['PATH'] ?? '/usr/bin:/bin' } };
    execFile('systemctl', ['list-jobs', '--no-legend', '--plain', unit], options, (error, stdout) => {
      resolve(error === null && jobsOf(stdout, unit).includes('restart'));
    });
  });
}

/** Lines of `systemctl list-jobs`: number, unit, type, state. */
export function jobsOf(text: string, unit: string): string[] {
  const rows = text.split('\n').map((line) => line.trim().split(/\s+/));
  return rows.flatMap(([, name, type]) => (name === unit && type !== undefined ? [type] : []));
}

/** The last part of the control group that is a service. */
function ownUnit(): string | undefined {
  try {
    return /([^/\n]+\.service)(\/[^/\n]*)?$/m.exec(readFileSync('/proc/self/cgroup', 'utf8'))?.[1];
  } catch {
    return undefined;
  }
}
