/**
 * The error queue of a UDP socket: what ICMP and the own stack say about datagrams that were sent.
 *
 * Source: `ip(7)`, `IP_RECVERR`; `linux/errqueue.h`.
 */

import type { IpAddress } from '../base/index.ts';
import { errno, errnoName, nativeCore, UDP_ERROR_WORDS } from '../native/index.ts';
import { ENDPOINT_WORDS, UdpEndpointTable, type UdpEndpointValue } from './udp-endpoints.ts';

/** What made a destination unreachable. */
export type UnreachableReason =
  /** Nobody listens on the port. */
  | 'port'
  | 'host'
  | 'network'
  /** A filter on the way forbids it. */
  | 'prohibited'
  | 'protocol'
  /** The hop limit ran out: a routing loop, or a limit that is too low. */
  | 'time-exceeded'
  | 'other';

/** A router or the destination says that a datagram did not arrive. */
export interface UdpUnreachable {
  readonly reason: UnreachableReason;
  /** Where the datagram was sent to. */
  readonly remote: UdpEndpointValue | undefined;
  /** Who says so. ICMP is not authenticated: anybody who sees or guesses the ports can send it. */
  readonly reporter: IpAddress | undefined;
  /** As the kernel translates it, for example `ECONNREFUSED`. */
  readonly errno: string;
}

/** A datagram was longer than its path takes. */
export interface UdpPathMtu {
  /** The longest IP packet that the path is said to take, in bytes, headers of IP and UDP included. Not checked. */
  readonly mtu: number;
  readonly remote: UdpEndpointValue | undefined;
  /** The router that says so; undefined when this machine knew. */
  readonly reporter: IpAddress | undefined;
}

/** One entry of the queue. */
export interface QueuedError {
  readonly errno: number;
  /** True when this machine refused the very datagram, false when an earlier one was lost on the way. */
  readonly isLocal: boolean;
  readonly pathMtu: UdpPathMtu | undefined;
  readonly unreachable: UdpUnreachable | undefined;
}

/** `asm-generic/errno.h`; `os.constants` lacks them. */
export const EHOSTDOWN = 112;
export const ENONET = 64;

const ORIGIN_LOCAL = 1;
const ORIGIN_ICMP = 2;
const ORIGIN_ICMP6 = 3;
const ICMP_TIME_EXCEEDED = 11;
const ICMP6_TIME_EXCEEDED = 3;
/** ICMP code of "destination unreachable": network, host and communication administratively prohibited. */
const ICMP_PROHIBITED: readonly number[] = [9, 10, 13];

const REASONS = new Map<number, UnreachableReason>([
  [errno.ECONNREFUSED, 'port'],
  [errno.EHOSTUNREACH, 'host'],
  [EHOSTDOWN, 'host'],
  [ENONET, 'host'],
  [errno.ENETUNREACH, 'network'],
  [errno.EACCES, 'prohibited'],
  [errno.EPERM, 'prohibited'],
  [errno.EPROTO, 'protocol'],
  [errno.ENOPROTOOPT, 'protocol'],
  [errno.EOPNOTSUPP, 'protocol'],
]);

/** Reads the error queue of one socket. */
export class UdpErrorQueue {
  readonly #fd: number;
  readonly #core = nativeCore();
  readonly #words = new Uint32Array(UDP_ERROR_WORDS);
  // Record 1 is where the datagram went, record 2 who reported.
  readonly #endpoints = new UdpEndpointTable(3);

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** The next error, or undefined when there is none. */
  next(): QueuedError | undefined {
    if (this.#core.udpError(this.#fd, this.#words) !== 1) return undefined;
    this.#endpoints.words.set(this.#words.subarray(8, 8 + 2 * ENDPOINT_WORDS), ENDPOINT_WORDS);
    const [number, origin, type, code, info] = this.#words as Uint32Array & [number, number, number, number, number];
    const remote = this.#endpoints.get(1)?.remote;
    const reporter = origin === ORIGIN_LOCAL ? undefined : this.#endpoints.get(2)?.remote.address;
    const isMtu = number === errno.EMSGSIZE;
    return {
      errno: number,
      isLocal: origin === ORIGIN_LOCAL,
      pathMtu: isMtu ? { mtu: info, remote, reporter } : undefined,
      unreachable: isMtu
        ? undefined
        : { reason: reasonOf(number, origin, type, code), remote, reporter, errno: errnoName(number) },
    };
  }
}

function reasonOf(number: number, origin: number, type: number, code: number): UnreachableReason {
  if (origin === ORIGIN_ICMP && type === ICMP_TIME_EXCEEDED) return 'time-exceeded';
  if (origin === ORIGIN_ICMP6 && type === ICMP6_TIME_EXCEEDED) return 'time-exceeded';
  if (origin === ORIGIN_ICMP && ICMP_PROHIBITED.includes(code)) return 'prohibited';
  return REASONS.get(number) ?? 'other';
}
