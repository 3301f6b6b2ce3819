/** Whether systemd stops this unit in order to start it again. */

import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';

const TIMEOUT_MS = 10_000;

/**
 * True while systemd restarts the unit of this process: both halves of `systemctl restart` are one job of that type. False
 * where there is no systemd.
 * @param onFailure told why systemd could not be asked; then the answer is false
 */
export async function isRestart(
  onFailure: (reason: string) => void,
  env: NodeJS.ProcessEnv = process.env,
): Promise<boolean> {
  const unit = ownUnit();
  if (unit === undefined || env['INVOCATION_ID'] === undefined) return false;
  try {
    return jobsOf(await listJobs(env), unit).includes('restart');
  } catch (error) {
    onFailure(error instanceof Error ? error.message : String(error));
    return false;
  }
}

function listJobs(env: NodeJS.ProcessEnv): Promise<string> {
  const args = ['list-jobs', '--no-legend', '--plain', '--full', '--no-pager'];
  const options = { timeout: TIMEOUT_MS, env: { PATH: env['PATH'] ?? '/usr/bin:/bin', LC_ALL: 'C' } };
  return new Promise((resolve, reject) => {
    execFile('systemctl', args, options, (error, stdout) => (error === null ? resolve(stdout) : reject(error)));
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
