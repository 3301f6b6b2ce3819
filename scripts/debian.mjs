/** Installing Debian packages, where this process may. */

import { existsSync } from 'node:fs';

import { capture, findProgram, say } from './process.mjs';

/** The command line that a person would type for these packages. */
export const aptLine = (packages) => `sudo apt-get install --no-install-recommends ${packages.join(' ')}`;

/** True where packages can be installed without asking anybody. */
export const isRootOnDebian = () =>
  process.getuid() === 0 && existsSync('/etc/debian_version') && findProgram('apt-get') !== undefined;

/**
 * Installs packages when this is root on Debian.
 * @returns whether they are installed now; what went wrong has been told.
 */
export function installPackages(packages) {
  if (!isRootOnDebian()) return false;
  say(`installing Debian packages: ${packages.join(' ')}`);
  const apt = ['apt-get', '-q', '-y', '-o', 'DPkg::Lock::Timeout=120'];
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const update = capture([...apt, 'update'], { env });
  // A stale mirror list may still be good enough, so a failed update alone is no reason to stop.
  const install = capture([...apt, 'install', '--no-install-recommends', ...packages], { env });
  if (!install.ok) say(`${update.ok ? '' : update.output}${install.output}`.trimEnd());
  return install.ok;
}
