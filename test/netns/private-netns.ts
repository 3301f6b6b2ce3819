/** Keeps kernel tests out of the machine's own network namespace. */

import { readFileSync, readlinkSync } from 'node:fs';

/** Names that drivers of real hardware, containers and virtual machines give. */
const machineInterface = /^(eth|en[opsx]|wl|ww|ib)/;

/**
 * Throws unless the process is in a network namespace of its own. Run such tests as
 * `unshare --user --map-root-user --net --mount -- npx vitest run test/netns`, or as root without `--user`.
 *
 * `/sys/class/net` would not do: it shows the namespace in which `/sys` was mounted.
 */
export function requirePrivateNetns(): void {
  const own = readlinkSync('/proc/self/ns/net');
  if (own === initialNetns()) refuse('this is the network namespace of process 1');
  const names = interfaceNames();
  const real = names.find((name) => machineInterface.test(name));
  if (real !== undefined) refuse(`this namespace has the interface ${real}`);
}

/** Undefined where the kernel does not let us look. */
function initialNetns(): string | undefined {
  try {
    return readlinkSync('/proc/1/ns/net');
  } catch {
    return undefined;
  }
}

function interfaceNames(): string[] {
  const lines = readFileSync('/proc/self/net/dev', 'utf8').split('\n').slice(2);
  return lines.map((line) => line.split(':')[0]?.trim() ?? '').filter((name) => name !== '');
}

function refuse(reason: string): never {
  throw new Error(
    `kernel tests configure interfaces and must not run here: ${reason}. ` +
      'Run them with: unshare --user --map-root-user --net --mount -- npx vitest run test/netns',
  );
}
