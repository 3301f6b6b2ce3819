/**
 * What a service tells its manager: sd_notify(3), a datagram of `KEY=VALUE` lines to the UNIX socket of `NOTIFY_SOCKET`.
 *
 * Node has no datagram sockets of that family; the native core has. A path names a socket in the file system, a leading
 * `@` one in the abstract namespace. `vsock:` addresses (of virtual machines) are not supported.
 */

import { invalidArgument } from '../base/index.ts';
import { errno, nativeCore, systemError } from '../native/index.ts';

/** Lines of one datagram, for example `{ READY: 1, STATUS: 'two devices' }`. */
export type Notification = Readonly<Record<string, string | number>>;

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
/** `sun_path` of `struct sockaddr_un`. */
const MAX_PATH_LEN = 108;
/** A manager that does not read for so long is not waited for. */
const SEND_ATTEMPTS = 50;
const SEND_PAUSE_MS = 20;

/** A socket to the manager; one that says nothing where there is none. */
export class Notifier implements Disposable {
  /**
   * How often `WATCHDOG=1` is expected at least, in milliseconds; undefined when nobody watches. Send it twice as often.
   */
  readonly watchdogMs: number | undefined;
  readonly #fd: number | undefined;
  readonly #address: Uint8Array;
  #closed = false;

  /** Use `openNotifier`. */
  constructor(fd: number | undefined, address: Uint8Array, watchdogMs: number | undefined) {
    this.#fd = fd;
    this.#address = address;
    this.watchdogMs = watchdogMs;
  }

  /** True when a manager listens. */
  get enabled(): boolean {
    return this.#fd !== undefined && !this.#closed;
  }

  /**
   * Sends the lines as one datagram, in the order of the keys. While the queue of the manager is full it waits, up to a second.
   * Line breaks in values become spaces.
   * @returns false when nobody took it: no service should fail for that.
   */
  async send(lines: Notification): Promise<boolean> {
    const text = Object.entries(lines).map(([key, value]) => `${key}=${String(value).replace(/[\r\n]+/g, ' ')}`);
    const bytes = new TextEncoder().encode(text.join('\n'));
    for (let attempt = 0; attempt < SEND_ATTEMPTS; attempt++) {
      if (this.#fd === undefined || this.#closed) return false;
      const sent = nativeCore().send(this.#fd, bytes, 0, this.#address);
      if (sent !== -errno.EAGAIN && sent !== -errno.ENOBUFS) return sent >= 0;
      await new Promise((resolve) => setTimeout(resolve, SEND_PAUSE_MS));
    }
    return false;
  }

  /** Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#fd !== undefined) nativeCore().close(this.#fd);
  }

  /** As `close()`. */
  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * The manager of this process, by `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`.
 * @throws VNIC_INVALID_ARGUMENT for an address that is no path, VNIC_SYSTEM_CALL, VNIC_NATIVE_MISSING
 */
export function openNotifier(env: NodeJS.ProcessEnv = process.env): Notifier {
  const path = env['NOTIFY_SOCKET'];
  if (path === undefined || path === '') return new Notifier(undefined, new Uint8Array(0), undefined);
  const address = unixAddress(path);
  const fd = nativeCore().socket(AF_UNIX, SOCK_DGRAM, 0);
  if (fd < 0) throw systemError('open a socket to the service manager', 'socket', -fd);
  return new Notifier(fd, address, watchdogMs(env));
}

/** Microseconds of CLOCK_MONOTONIC, as `MONOTONIC_USEC` wants them with `RELOADING=1`. */
export function monotonicUsec(): string {
  return String(process.hrtime.bigint() / 1000n);
}

/** `struct sockaddr_un`: family in host order, then the path; an abstract name starts with a zero byte and has no end. */
function unixAddress(path: string): Uint8Array {
  const name = new TextEncoder().encode(path);
  const isAbstract = path.startsWith('@');
  if ((!isAbstract && !path.startsWith('/')) || name.length > MAX_PATH_LEN - 1) {
    throw invalidArgument('use NOTIFY_SOCKET', 'an absolute path, or @ and a name, of up to 107 bytes', path);
  }
  const address = new Uint8Array(2 + name.length + (isAbstract ? 0 : 1));
  address.set(new Uint8Array(Uint16Array.of(AF_UNIX).buffer));
  address.set(name, 2);
  if (isAbstract) address[2] = 0;
  return address;
}

/** `WATCHDOG_PID` says whom it is meant for. */
function watchdogMs(env: NodeJS.ProcessEnv): number | undefined {
  const usec = Number(env['WATCHDOG_USEC']);
  const pid = env['WATCHDOG_PID'];
  if (!(usec > 0) || (pid !== undefined && Number(pid) !== process.pid)) return undefined;
  return usec / 1000;
}
