/** Running programs where they may make and break network devices without touching the machine's own. */

import { capture, findProgram } from './process.mjs';

const forms = [
  { rootOnly: true, command: ['unshare', '--net', '--mount'] },
  { rootOnly: false, command: ['unshare', '--user', '--map-root-user', '--net', '--mount'] },
];

/**
 * Inside: `lo` is up; /sys shows the interfaces of the new namespace, which `ip tuntap` reads; /run is
 * private, so that what `ip netns add` leaves in /run/netns goes with the namespace.
 */
const prepare = [
  'mount -t sysfs sysfs /sys',
  'mount -t tmpfs tmpfs /run',
  'mkdir /run/netns /run/lock',
  'ip link set lo up',
  'exec "$@"',
].join(' && ');

/**
 * Turns a command into one that runs as root of its own network and mount namespace.
 * @returns undefined, with the reason, where this user may not make namespaces.
 */
export function inNamespaces(command) {
  if (findProgram('unshare') === undefined) return { reason: 'unshare (Debian package util-linux) is not installed' };
  const reasons = [];
  for (const form of forms.filter((one) => !one.rootOnly || process.getuid() === 0)) {
    const wrap = (inner) => [...form.command, '--', 'sh', '-c', prepare, 'sh', ...inner];
    const trial = capture(wrap(['true']));
    if (trial.ok) return { command: wrap(command) };
    reasons.push(`${form.command.join(' ')}: ${trial.output.trim()}`);
  }
  return { reason: reasons.join('; ') };
}

/** What to try where namespaces are forbidden. */
export const namespaceHint =
  'run it as root, or allow user namespaces: sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone, ' +
  'kernel.apparmor_restrict_unprivileged_userns';
