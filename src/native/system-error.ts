/** errno as names, and the error for a system call that has no code of its own. */

import { constants } from 'node:os';

import { VnicError } from '../base/index.ts';

/** errno numbers of this platform by name, for example `errno.EBUSY`. */
export const errno: Readonly<Record<ErrnoName, number>> = { ...constants.errno, EBADFD: 77, EUSERS: 87, ENOTUNIQ: 76 };

type ErrnoName = keyof typeof constants.errno | 'EBADFD' | 'EUSERS' | 'ENOTUNIQ';

const names = new Map(Object.entries(errno).map(([name, number]) => [number, name]));

/** `16` → `EBUSY`; `E999` for a number without a name. */
export function errnoName(number: number): string {
  return names.get(number) ?? `E${number}`;
}

/** `VNIC_TOO_MANY_FILES` or `VNIC_SYSTEM_CALL` for a failed call. */
export function systemError(attempted: string, syscall: string, number: number): VnicError {
  const name = errnoName(number);
  if (number === errno.EMFILE || number === errno.ENFILE) {
    return new VnicError('VNIC_TOO_MANY_FILES', {
      attempted,
      hint: 'Close what is no longer needed, or raise the limit with `ulimit -n`.',
      errno: name,
      syscall,
    });
  }
  return new VnicError('VNIC_SYSTEM_CALL', {
    attempted,
    reason: `${syscall} failed with ${name}`,
    hint: 'Run `vnic doctor` to see what this machine allows.',
    errno: name,
    syscall,
  });
}
