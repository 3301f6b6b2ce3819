/** What is asked of the service manager, by its own programs. */

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';

import { VnicError } from '../base/index.ts';
import { SERVICE_NAME, type ServiceManager } from './install.ts';

/** What can be asked for. */
export type ServiceAction = 'start' | 'stop' | 'restart' | 'reload' | 'enable' | 'disable';

const UNIT = `${SERVICE_NAME}.service`;
const SCRIPT = `/etc/init.d/${SERVICE_NAME}`;
/** LSB: started in 2 to 5, stopped in 0, 1 and 6. */
const runlevelLinks: readonly string[] = [
  ...['0', '1', '6'].map((level) => `rc${level}.d/K09${SERVICE_NAME}`),
  ...['2', '3', '4', '5'].map((level) => `rc${level}.d/S09${SERVICE_NAME}`),
];

/**
 * Has the manager do it, and waits until it is done.
 * @param root of an image that is not running: only `enable` and `disable`
 * @throws VNIC_SERVICE_MANAGER with what the manager said, VNIC_PROGRAM_MISSING
 */
export function askManager(manager: ServiceManager, action: ServiceAction, root = '/'): void {
  if (manager === 'systemd') {
    ask(['systemctl', ...(root === '/' ? [] : [`--root=${root}`]), action, UNIT], action);
  } else if (action === 'enable' || action === 'disable') {
    switchInitScript(action, root);
  } else {
    ask([SCRIPT, action], action);
  }
}

/** Has systemd read its files again; of an image nothing is to be done. */
export function reloadManager(manager: ServiceManager, root = '/'): void {
  if (manager === 'systemd' && root === '/' && existsSync('/run/systemd/system')) {
    ask(['systemctl', 'daemon-reload'], 'read units again');
  }
}

/** Whether it is started at boot; undefined where that cannot be told. */
export function isEnabled(manager: ServiceManager): boolean | undefined {
  if (manager === 'init') return runlevelLinks.some((link) => link.includes('/S') && existsSync(join('/etc', link)));
  const { stdout, error } = spawnSync('systemctl', ['is-enabled', UNIT], { encoding: 'utf8' });
  return error === undefined ? stdout.trim() === 'enabled' : undefined;
}

/** Program and arguments that show the log. */
export function logCommand(
  manager: ServiceManager,
  logFile: string,
  options: { readonly lines: number; readonly follow: boolean },
): string[] {
  const { lines, follow } = options;
  const more = follow ? ['-f'] : [];
  if (manager === 'init') return ['tail', '-n', String(lines), ...more, logFile];
  return ['journalctl', '--unit', UNIT, '--lines', String(lines), ...(follow ? more : ['--no-pager'])];
}

/** By update-rc.d(8) or chkconfig(8), which know the order; else by the links themselves. */
function switchInitScript(action: 'enable' | 'disable', root: string): void {
  const enable = action === 'enable';
  if (root === '/' && existsSync('/usr/sbin/update-rc.d')) {
    if (enable) ask(['/usr/sbin/update-rc.d', SERVICE_NAME, 'defaults'], action);
    else ask(['/usr/sbin/update-rc.d', '-f', SERVICE_NAME, 'remove'], action);
    return;
  }
  for (const link of runlevelLinks) {
    const path = join(root, 'etc', link);
    rmSync(path, { force: true });
    if (!enable) continue;
    mkdirSync(join(path, '..'), { recursive: true });
    symlinkSync(`../init.d/${SERVICE_NAME}`, path);
  }
}

function ask([program = '', ...args]: readonly string[], verb: string): void {
  const { status, stderr, stdout, error } = spawnSync(program, args, { encoding: 'utf8' });
  if (status === 0) return;
  const attempted = `${verb} ${SERVICE_NAME} by \`${[program, ...args].join(' ')}\``;
  if (error !== undefined) {
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    const hint = isMissing ? 'Install it first: `sudo vnic service install`.' : 'Try the command by hand.';
    throw new VnicError(isMissing ? 'VNIC_PROGRAM_MISSING' : 'VNIC_SERVICE_MANAGER', {
      attempted,
      reason: isMissing ? `there is no ${program}` : error.message,
      hint,
      cause: error,
    });
  }
  const said = `${stderr}\n${stdout}`.split('\n').find((line) => line.trim() !== '');
  throw new VnicError('VNIC_SERVICE_MANAGER', {
    attempted,
    reason: said?.trim() ?? `it ended with ${status}`,
    hint: 'See `vnic service logs`, and `vnic plan` for what the file asks for.',
  });
}
