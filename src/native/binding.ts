/**
 * The native core as TypeScript sees it (`native/*.c`): file descriptors and bytes.
 *
 * Every call returns a number of 0 or more, or `-errno`, and never waits. A `TypeError` means a bug in vnic.
 */

import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

import { VnicError } from '../base/index.ts';
import type { NativeAead } from './aead.ts';
import type { NativeBpf } from './bpf.ts';
import type { NativeFilter } from './filter.ts';
import type { NativeNetns } from './netns.ts';
import type { NativeOffload } from './offload.ts';
import type { NativeUdp } from './udp.ts';

/** What `pollOpen` returns; opaque. */
export type PollHandle = { readonly __brand: 'PollHandle' };

/** Every function of the core. */
export interface NativeCore extends NativeOffload, NativeUdp, NativeAead, NativeBpf, NativeNetns, NativeFilter {
  abi(): number;

  /** `open(2)` with `O_CLOEXEC`. The descriptor belongs to this thread's environment and is closed with it. */
  open(path: string, flags: number): number;
  /** Takes a descriptor over: makes it non-blocking and close-on-exec, closes it with the environment. */
  own(fd: number): number;
  /** Hands a descriptor to the caller, who closes it from now on. */
  disown(fd: number): number;
  /** `pidfd_getfd(2)`: the same open file as a descriptor of another process, as far as this user may look into it. */
  copyFrom(pid: number, fd: number): number;
  /** `-EBADF` for a descriptor that is not owned, so that a stale number closes nobody's file. */
  close(fd: number): number;
  /**
   * As `close`, on a thread of the pool: the last close of a device waits some 15 ms in the kernel.
   * The descriptor is disowned at once.
   */
  closeAsync(fd: number): Promise<number>;
  /** The array is copied in, and back when the call succeeds; at most 1024 bytes. */
  ioctl(fd: number, request: number, arg: Uint8Array | number): number;
  /**
   * Takes the exclusive `flock(2)` of an open file, whoever owns the descriptor; `-EAGAIN` when another open file has
   * it. It ends with the last descriptor of the open file.
   */
  lock(fd: number): number;
  /** 0 where this thread may use io_uring; it is set up then, once, and used by `readBatch` and `writeBatch`. */
  ioUringProbe(): number;

  /** `socket(2)` with `SOCK_CLOEXEC | SOCK_NONBLOCK`. */
  socket(domain: number, type: number, protocol: number): number;
  bind(fd: number, sockaddr: Uint8Array): number;
  getsockname(fd: number, out: Uint8Array): number;
  setsockopt(fd: number, level: number, option: number, value: Uint8Array): number;
  getsockopt(fd: number, level: number, option: number, out: Uint8Array): number;
  send(fd: number, bytes: Uint8Array, flags: number, sockaddr?: Uint8Array): number;
  /** `sockaddr` is filled with the sender's address. */
  receive(fd: number, bytes: Uint8Array, flags: number, sockaddr?: Uint8Array): number;
  /**
   * As `receive`, and fills `control` with ancillary data: control messages in the layout of `cmsg(3)`. What finds
   * no room in it is lost. `status` = [bytes of it, flags of the message], both 0 after a failure.
   * Descriptors that come along are owned by nobody: pass MSG_CMSG_CLOEXEC where they may, and `own` each.
   */
  receiveMessage(
    fd: number,
    bytes: Uint8Array,
    flags: number,
    sockaddr: Uint8Array | undefined,
    control: Uint8Array,
    status: Uint32Array,
  ): number;

  /**
   * Reads up to `max` packets one behind the other into `bytes`, each after `headroom` bytes, as long as
   * `frameLen` bytes are free. `status` = [errno that ended it or 0, bytes read, packets read].
   * With `expected` of 2 or more, io_uring reads so many by one system call, where it is allowed; EOPNOTSUPP as errno
   * means that the descriptor does not work with it.
   * @returns how many packets were read; it does not fail.
   */
  readBatch(
    fd: number,
    bytes: Uint8Array,
    descriptors: Uint32Array,
    max: number,
    frameLen: number,
    headroom: number,
    status: Uint32Array,
    expected: number,
  ): number;
  /**
   * Writes packets `from` to `to`, skipping those of length 0, up to the first that fails.
   * `status` = [errno that ended it or 0, bytes written, packets written]. With `atOnce` of 1, io_uring writes many by
   * one system call, where it is allowed: packets behind the one that failed may have been written as well, and get
   * length 0.
   * @returns how many packets were taken; the failing one is not counted.
   */
  writeBatch(
    fd: number,
    bytes: Uint8Array,
    descriptors: Uint32Array,
    from: number,
    to: number,
    status: Uint32Array,
    atOnce: 0 | 1,
  ): number;

  pollOpen(fd: number, callback: (status: number, events: number) => void): PollHandle | number;
  pollUpdate(handle: PollHandle, events: number): number;
  pollSetRef(handle: PollHandle, keepAlive: 0 | 1): number;
  pollClose(handle: PollHandle): number;
}

/** Must equal `VNIC_ABI` in native/core.h. */
const ABI = 8;

let loaded: NativeCore | undefined;

/**
 * The native core of this platform, loaded on first use.
 * @throws VNIC_NATIVE_MISSING
 */
export function nativeCore(): NativeCore {
  loaded ??= load();
  return loaded;
}

/** The files looked for, in this order: an explicit one, a build of this checkout, a prebuilt one. */
export function nativeCandidates(): readonly string[] {
  const root = new URL('../../', import.meta.url);
  const inRoot = (path: string): string => fileURLToPath(new URL(path, root));
  const explicit = process.env['VNIC_NATIVE'];
  if (explicit !== undefined && explicit !== '') return [explicit];
  return [inRoot('build/vnic.node'), inRoot(`native/prebuilds/linux-${process.arch}/vnic.node`)];
}

function load(): NativeCore {
  const candidates = nativeCandidates();
  const attempted = `load the native core for ${process.platform}-${process.arch}`;
  const path = candidates.find((candidate) => existsSync(candidate));
  if (path === undefined) {
    throw new VnicError('VNIC_NATIVE_MISSING', {
      attempted,
      reason: `none of these files exists: ${candidates.join(', ')}`,
      hint: 'In a checkout run `npm run build` (needs a C compiler); packages carry it for linux-x64 and linux-arm64.',
    });
  }
  if ('bun' in process.versions) {
    throw new VnicError('VNIC_NATIVE_MISSING', {
      attempted,
      reason: 'Bun aborts on the event loop functions that the native core uses',
      hint: 'Run it with Node.js 20.19 or newer.',
    });
  }
  let core: NativeCore;
  try {
    core = createRequire(import.meta.url)(path) as NativeCore;
  } catch (cause) {
    throw new VnicError('VNIC_NATIVE_MISSING', {
      attempted,
      reason: `${path} cannot be loaded: ${cause instanceof Error ? cause.message : String(cause)}`,
      hint: 'Rebuild it with `npm run build`, or reinstall the package on this platform.',
      cause,
    });
  }
  if (core.abi() !== ABI) {
    throw new VnicError('VNIC_NATIVE_MISSING', {
      attempted,
      reason: `${path} has ABI ${core.abi()}, this version of vnic needs ${ABI}`,
      hint: 'Rebuild it with `npm run build`, or reinstall the package.',
    });
  }
  return core;
}
