/**
 * Handles on network namespaces, and what is opened inside of them.
 *
 * Theory of operation
 *
 * A network namespace is a file: `/run/netns/NAME` for one with a name, `/proc/PID/ns/net` for that of a process. Whoever
 * has it open, or mounted somewhere, keeps it in being. A socket, and `/dev/net/tun`, belong to the
 * namespace of the thread that opened them and to no other afterwards; so only opening needs to be done inside, by a
 * thread that the native core makes for it (`native/netns.c`), and everything else goes on as ever.
 *
 *   open -> (socket, open: as often as needed) -> closed; what was opened inside stays good
 */

import { fstatSync, statSync } from 'node:fs';

import { invalidArgument, VnicError } from '../base/index.ts';
import { errno, errnoName, NetnsStep, nativeCore, systemError } from '../native/index.ts';

/**
 * Which network namespace: a name as `ip netns` has it (`/run/netns/NAME`), a path (with a `/`), a process id, or an
 * open handle, which stays the caller's.
 */
export type NetnsSelector = string | number | NetworkNamespace;

/** For whatever opens something. */
export interface NetnsOptions {
  /** The network namespace to do it in; default that of this thread. */
  readonly netns?: NetnsSelector;
}

/** Where `ip netns` keeps the files of namespaces with names. */
export const NETNS_FOLDER: string = '/run/netns';

const O_RDONLY = 0;
const O_NONBLOCK = 0o4000;
/** `linux/nsfs.h`: `_IO(0xb7, 0x3)`, the `CLONE_NEW*` of a namespace file. */
const NS_GET_NSTYPE = 0xb703;
/** `linux/sched.h` */
const CLONE_NEWNET = 0x4000_0000;
const MAX_PID = 0x3fff_ffff;

/** An open network namespace, owned by this thread's environment. It stays in being as long as the handle is open. */
export class NetworkNamespace implements AsyncDisposable {
  /** For `setns(2)`, `IFLA_NET_NS_FD` and the like; owned by the handle. */
  readonly fd: number;
  /** What it was opened by, for messages: `namespace "blue"`, `namespace of process 12`. */
  readonly label: string;
  /** Number of the namespace, unique while it is in being: the one in `net:[4026531840]`. */
  readonly inode: number;
  #closed = false;

  /** Use `openNetworkNamespace`. */
  constructor(fd: number, label: string) {
    this.fd = fd;
    this.label = label;
    this.inode = fstatSync(fd).ino;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** True when it is the namespace of this thread, which then needs no privilege. */
  get isCurrent(): boolean {
    return this.inode === statSync('/proc/thread-self/ns/net').ino;
  }

  /**
   * `socket(2)` in the namespace, non-blocking and close-on-exec. Waits for a thread, some 50 µs.
   * @returns the descriptor, owned by this thread's environment, or `-errno` of `socket`.
   * @throws VNIC_NAMESPACE_FORBIDDEN (needs CAP_SYS_ADMIN in the namespace's user namespace and the own), VNIC_LINK_CLOSED
   */
  socket(domain: number, type: number, protocol: number): number {
    this.#requireOpen();
    if (this.isCurrent) return nativeCore().socket(domain, type, protocol);
    const status = new Uint32Array(1);
    return this.#visited(nativeCore().socketIn(this.fd, domain, type, protocol, status), status);
  }

  /**
   * `open(2)` in the namespace, close-on-exec, for files that depend on it: `/dev/net/tun`, `/proc/sys/net`.
   * @returns the descriptor, or `-errno` of `open`. @throws as `socket`
   */
  open(path: string, flags: number): number {
    this.#requireOpen();
    if (this.isCurrent) return nativeCore().open(path, flags);
    const status = new Uint32Array(1);
    return this.#visited(nativeCore().openIn(this.fd, path, flags, status), status);
  }

  /** Idempotent. */
  closeSync(): void {
    if (this.#closed) return;
    this.#closed = true;
    nativeCore().close(this.fd);
  }

  /** As `closeSync`. */
  async close(): Promise<void> {
    this.closeSync();
  }

  /** As `close()`. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.closeSync();
  }

  #visited(result: number, status: Uint32Array): number {
    const step = status[0];
    if (step === NetnsStep.none || step === NetnsStep.call) return result;
    const attempted = `enter the network ${this.label}`;
    if (step === NetnsStep.thread) throw systemError(attempted, 'pthread_create', -result);
    if (result === -errno.EPERM) throw forbidden(attempted, 'setns', 'CAP_SYS_ADMIN is needed there and here');
    throw systemError(attempted, 'setns', -result);
  }

  #requireOpen(): void {
    if (!this.#closed) return;
    throw new VnicError('VNIC_LINK_CLOSED', {
      attempted: `enter the network ${this.label}`,
      reason: 'the handle of the namespace is closed',
      hint: 'Close it after the last use, or open it again.',
    });
  }
}

/**
 * Opens a namespace. A handle gives a second one, independent of the first.
 * @throws VNIC_NO_SUCH_NAMESPACE, VNIC_NAMESPACE_FORBIDDEN, VNIC_INVALID_ARGUMENT, VNIC_TOO_MANY_FILES
 */
export function openNetworkNamespace(selector: NetnsSelector): NetworkNamespace {
  const { path, label } = locate(selector);
  const attempted = `open the network ${label}`;
  const core = nativeCore();
  const fd = core.open(path, O_RDONLY | O_NONBLOCK);
  if (fd < 0) throw openError(attempted, path, -fd);
  if (core.ioctl(fd, NS_GET_NSTYPE, 0) === CLONE_NEWNET) return new NetworkNamespace(fd, label);
  core.close(fd);
  throw noSuchNamespace(attempted, `${path} is not a network namespace`);
}

/** The namespace of this thread. @throws VNIC_SYSTEM_CALL where /proc is not mounted */
export function currentNetworkNamespace(): NetworkNamespace {
  return openNetworkNamespace('/proc/thread-self/ns/net');
}

/**
 * The namespace that an open file belongs to, by an ioctl of the file that gives a descriptor of it: `SIOCGSKNS` of sockets,
 * `TUNGETDEVNETNS` of TUN/TAP devices. Undefined for that of this thread, and where the kernel does not tell: without
 * CAP_NET_ADMIN there.
 */
export function namespaceOfFile(fd: number, request: number): NetworkNamespace | undefined {
  const core = nativeCore();
  const netns = core.ioctl(fd, request, 0);
  if (netns < 0 || core.own(netns) < 0) return undefined;
  const namespace = new NetworkNamespace(netns, `namespace of descriptor ${fd}`);
  if (!namespace.isCurrent) return namespace;
  namespace.closeSync();
  return undefined;
}

/** Runs `use` with an open handle, which is closed afterwards unless it is the caller's; undefined stays undefined. */
export function withNamespace<T>(
  selector: NetnsSelector | undefined,
  use: (namespace: NetworkNamespace | undefined) => T,
): T {
  if (selector === undefined || selector instanceof NetworkNamespace) return use(selector);
  const namespace = openNetworkNamespace(selector);
  try {
    return use(namespace);
  } finally {
    namespace.closeSync();
  }
}

/** `namespace "blue"`, for messages. */
export function describeNamespace(selector: NetnsSelector): string {
  return locate(selector).label;
}

/** Checks a name: 1 to 255 bytes, no `/`, not `.` or `..`. @throws VNIC_INVALID_NAME */
export function checkNamespaceName(name: string, attempted: string): void {
  const length = new TextEncoder().encode(name).length;
  if (length > 0 && length <= 255 && name !== '.' && name !== '..' && !/[/\0]/.test(name)) return;
  throw new VnicError('VNIC_INVALID_NAME', {
    attempted,
    reason: 'the name of a network namespace is the name of a file',
    hint: 'Use 1 to 255 bytes without "/", for example blue.',
  });
}

/** The error for a namespace that is not there. */
export function noSuchNamespace(attempted: string, reason: string): VnicError {
  const hint = 'List the namespaces with `vnic netns list`; make one with `sudo vnic netns add NAME`.';
  return new VnicError('VNIC_NO_SUCH_NAMESPACE', { attempted, reason, hint });
}

/** The error for a refusal by want of privilege. */
export function forbidden(attempted: string, syscall: string, reason: string): VnicError {
  return new VnicError('VNIC_NAMESPACE_FORBIDDEN', {
    attempted,
    reason,
    hint: 'Run it with `sudo`, or make the namespace inside a user namespace of your own: `unshare --user --map-root-user --mount`.',
    errno: 'EPERM',
    syscall,
  });
}

function locate(selector: NetnsSelector): { path: string; label: string } {
  if (selector instanceof NetworkNamespace) return { path: `/proc/self/fd/${selector.fd}`, label: selector.label };
  const attempted = 'open a network namespace';
  if (typeof selector === 'number') {
    if (!Number.isInteger(selector) || selector < 1 || selector > MAX_PID) {
      throw invalidArgument(attempted, 'a process id', selector);
    }
    return { path: `/proc/${selector}/ns/net`, label: `namespace of process ${selector}` };
  }
  if (typeof selector !== 'string') throw invalidArgument(attempted, 'a name, a path or a process id', selector);
  if (selector.includes('/')) return { path: selector, label: `namespace ${JSON.stringify(selector)}` };
  checkNamespaceName(selector, attempted);
  return { path: `${NETNS_FOLDER}/${selector}`, label: `namespace ${JSON.stringify(selector)}` };
}

function openError(attempted: string, path: string, number: number): VnicError {
  if (number === errno.ENOENT || number === errno.ENOTDIR || number === errno.ESRCH) {
    return noSuchNamespace(attempted, `there is no ${path}`);
  }
  if (number !== errno.EACCES && number !== errno.EPERM) return systemError(attempted, `open("${path}")`, number);
  return new VnicError('VNIC_NAMESPACE_FORBIDDEN', {
    attempted,
    reason: `this user may not open ${path}`,
    hint: 'Run it with `sudo`, or as the user who owns it.',
    errno: errnoName(number),
    syscall: `open("${path}")`,
  });
}
