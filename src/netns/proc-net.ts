/** Tables under `/proc/net`, of any network namespace. */

import { readFileSync } from 'node:fs';

import { nativeCore } from '../native/index.ts';
import { type NetnsOptions, withNamespace } from './namespace.ts';

const O_RDONLY = 0;

/**
 * The text of `/proc/net/NAME`; undefined where there is no such table, or this user may not read it.
 * @throws VNIC_NO_SUCH_NAMESPACE, VNIC_NAMESPACE_FORBIDDEN
 */
export function readProcNet(name: string, { netns }: NetnsOptions = {}): string | undefined {
  // That of the thread that opens it, and not of the process.
  const path = `/proc/thread-self/net/${name}`;
  const fd = withNamespace(netns, (namespace) => (namespace ?? nativeCore()).open(path, O_RDONLY));
  if (fd < 0) return undefined;
  try {
    return readFileSync(fd, 'latin1');
  } catch {
    return undefined;
  } finally {
    nativeCore().close(fd);
  }
}
