/** An ioctl on an attached descriptor: done, or refused with the true cause. */

import { VnicError } from '../base/index.ts';
import { errno, errnoName, nativeCore, systemError } from '../native/index.ts';
import { deviceGone } from './diagnose.ts';

/** An attached descriptor and the name of its device. */
export interface OpenDevice {
  readonly fd: number;
  readonly name: string;
}

/** What is asked of the kernel. */
export interface DeviceCall {
  /** For messages, for example `set the carrier of tap0`. */
  readonly attempted: string;
  /** Its name in `if_tun.h`, for example `TUNSETCARRIER`. */
  readonly ioctl: string;
  readonly request: number;
  /** Passed by value, or copied in and, on success, back. */
  readonly arg: Uint8Array | number;
}

/** What a `VnicError` says of a refused call. */
export interface RefusalFields {
  readonly attempted: string;
  readonly errno: string;
  readonly syscall: string;
}

/**
 * Does the call.
 * @param explain the cause of an errno that the call has a meaning for; VNIC_SYSTEM_CALL where it returns undefined
 * @returns what the kernel returns, 0 or more
 * @throws VNIC_DEVICE_GONE, or what `explain` gives
 */
export function deviceIoctl(
  { fd, name }: OpenDevice,
  { attempted, ioctl, request, arg }: DeviceCall,
  explain?: (error: number, fields: RefusalFields) => VnicError | undefined,
): number {
  const result = nativeCore().ioctl(fd, request, arg);
  if (result >= 0) return result;
  throw refusal(name, { attempted, syscall: `ioctl(${ioctl})` }, -result, explain);
}

/** The error for a call that failed with this errno. */
export function refusal(
  name: string,
  { attempted, syscall }: { readonly attempted: string; readonly syscall: string },
  error: number,
  explain?: (error: number, fields: RefusalFields) => VnicError | undefined,
): VnicError {
  if (error === errno.EBADFD) return deviceGone(name);
  const fields = { attempted, errno: errnoName(error), syscall };
  return explain?.(error, fields) ?? systemError(attempted, syscall, error);
}

/** `VNIC_UNSUPPORTED` for a call that this kernel does not know. */
export function unsupported(fields: RefusalFields, since: string): VnicError {
  return new VnicError('VNIC_UNSUPPORTED', {
    ...fields,
    reason: `this kernel does not have it; it came with ${since}`,
    hint: `Use ${since} or newer.`,
  });
}
