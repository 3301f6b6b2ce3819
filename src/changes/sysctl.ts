/** Kernel settings as the files below /proc/sys, of the network namespace that the thread is in. */

import { readFileSync, writeFileSync } from 'node:fs';

import { VnicError } from '../base/index.ts';

/** `net.ipv4.conf.all.forwarding` or the same with slashes → its file. */
export function sysctlPath(name: string): string {
  return `/proc/sys/${name.includes('/') ? name : name.replaceAll('.', '/')}`;
}

/** The value, with its runs of white space as one space; undefined where the kernel has no such setting. */
export function readSysctlValue(name: string): string | undefined {
  try {
    return normalized(readFileSync(sysctlPath(name), 'utf8'));
  } catch {
    return undefined;
  }
}

/** @throws VNIC_NO_PRIVILEGE, VNIC_SYSTEM_CALL, VNIC_INVALID_ARGUMENT (a value that the kernel does not take) */
export function writeSysctl(name: string, value: string, attempted: string): void {
  try {
    writeFileSync(sysctlPath(name), value, { flag: 'r+' });
  } catch (error) {
    throw sysctlError(error, attempted);
  }
}

function normalized(text: string): string {
  return text.trim().replace(/\s+/g, ' ');
}

function sysctlError(error: unknown, attempted: string): VnicError {
  const errno = (error as NodeJS.ErrnoException).code ?? 'EIO';
  const fields = { attempted, errno, syscall: 'write', cause: error };
  if (errno === 'EACCES' || errno === 'EPERM' || errno === 'EROFS') {
    return new VnicError('VNIC_NO_PRIVILEGE', {
      ...fields,
      reason: errno === 'EROFS' ? '/proc/sys is mounted read-only' : 'this user may not write the setting',
      hint: 'Run it as root of the network namespace; in a container, mount /proc/sys writable.',
    });
  }
  if (errno === 'EINVAL' || errno === 'ERANGE') {
    return new VnicError('VNIC_INVALID_ARGUMENT', {
      ...fields,
      hint: 'Give a value that the kernel documents for it.',
    });
  }
  return new VnicError('VNIC_SYSTEM_CALL', { ...fields, hint: 'Look for the setting below /proc/sys.' });
}
