/**
 * Kernel settings under `/proc/sys`, of any network namespace.
 *
 * `/proc/sys/net` shows the namespace of the thread that looks up the name, so files of another one are opened
 * inside of it; an open file keeps its namespace.
 */

import { readSync, writeSync } from 'node:fs';

import { invalidArgument, VnicError } from '../base/index.ts';
import { errno, errnoName, nativeCore, systemError } from '../native/index.ts';
import { type NetnsOptions, withNamespace } from './namespace.ts';

const O_RDONLY = 0;
const O_WRONLY = 1;
/** No setting of the network is longer. */
const MAX_VALUE_LEN = 4096;

/**
 * The value of a setting without the final newline; undefined when the kernel does not have it, or hides it.
 * @param key as `sysctl` writes it: `net.ipv4.ip_forward`; in the name of an interface `/` stands for a dot, or all is
 *   separated by slashes: `net/ipv4/conf/eth0.1/forwarding`.
 * @throws VNIC_NO_SUCH_NAMESPACE, VNIC_NAMESPACE_FORBIDDEN, VNIC_INVALID_ARGUMENT
 */
export function readSysctl(key: string, options: NetnsOptions = {}): string | undefined {
  const fd = openSysctl(key, O_RDONLY, options, `read the setting ${key}`);
  if (fd < 0) return undefined;
  try {
    const value = Buffer.alloc(MAX_VALUE_LEN);
    return value.toString('latin1', 0, readSync(fd, value)).replace(/\n$/, '');
  } catch {
    return undefined;
  } finally {
    nativeCore().close(fd);
  }
}

/**
 * Changes a setting of the network.
 * @param key below `net`, as for `readSysctl`.
 * @throws VNIC_NO_SUCH_SYSCTL, VNIC_NO_PRIVILEGE (CAP_NET_ADMIN in the namespace; `/proc/sys` mounted read-only),
 *   VNIC_INVALID_ARGUMENT, VNIC_NO_SUCH_NAMESPACE, VNIC_NAMESPACE_FORBIDDEN
 */
export function writeSysctl(key: string, value: string | number, options: NetnsOptions = {}): void {
  const attempted = `set ${key} to ${value}`;
  if (!/^net[./]/.test(key)) throw invalidArgument(attempted, 'a setting below net', key);
  const fd = openSysctl(key, O_WRONLY, options, attempted);
  if (fd < 0) throw writeError(attempted, key, -fd);
  try {
    writeSync(fd, `${value}\n`);
  } catch (error) {
    throw writeError(attempted, key, -((error as NodeJS.ErrnoException).errno ?? 0));
  } finally {
    nativeCore().close(fd);
  }
}

/** The key of a setting of one interface, or of `all` or `default`; its name may have dots. */
export function interfaceSysctl(family: 'ipv4' | 'ipv6', name: string, setting: string): string {
  return `net/${family}/conf/${name}/${setting}`;
}

function openSysctl(key: string, flags: number, { netns }: NetnsOptions, attempted: string): number {
  const path = `/proc/sys/${pathOf(key, attempted)}`;
  return withNamespace(netns, (namespace) => (namespace ?? nativeCore()).open(path, flags));
}

/** As sysctl(8): the first separator tells which one it is; with dots, a slash stands for a dot in a name. */
function pathOf(key: string, attempted: string): string {
  const byDots = /^[^./]*\./.test(key);
  const parts = byDots ? key.split('.').map((part) => part.replaceAll('/', '.')) : key.split('/');
  if (parts.length > 1 && parts.every((part) => part !== '' && part !== '.' && part !== '..' && !part.includes('\0')))
    return parts.join('/');
  throw invalidArgument(attempted, 'the name of a setting, such as net.ipv4.ip_forward', key);
}

function writeError(attempted: string, key: string, number: number): VnicError {
  const fields = { attempted, errno: errnoName(number), syscall: 'write' };
  switch (number) {
    case errno.ENOENT:
      return new VnicError('VNIC_NO_SUCH_SYSCTL', {
        ...fields,
        reason: `there is no ${key} in this network namespace`,
        hint: 'Check the name, and that of the interface in it, with `vnic list --all`.',
        syscall: 'open',
      });
    case errno.EACCES:
    case errno.EPERM:
    case errno.EROFS:
      return new VnicError('VNIC_NO_PRIVILEGE', {
        ...fields,
        ...(number === errno.EROFS && { reason: '/proc/sys is mounted read-only here' }),
        hint: 'Run it with `sudo`; in a container set it from outside, for example with `--sysctl`.',
      });
    case errno.EINVAL:
    case errno.ERANGE:
      return new VnicError('VNIC_INVALID_ARGUMENT', {
        ...fields,
        reason: 'the kernel does not take this value',
        hint: 'Most settings take a whole number; see Documentation/networking/ip-sysctl.rst of the kernel.',
      });
    default:
      return systemError(attempted, 'write', number);
  }
}
