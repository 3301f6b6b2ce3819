/** What a UDP socket counts, and why datagrams are not sent. */

import { errno } from '../native/index.ts';
import { EHOSTDOWN, ENONET } from './udp-errors.ts';

/** Why the kernel did not send a datagram that was taken. */
export type UdpDropReason =
  /** Longer than UDP or, with path MTU discovery, than the path allows (`EMSGSIZE`). */
  | 'too-long'
  /** A queue of the device was full (`ENOBUFS`, `ENOMEM`). */
  | 'queue-full'
  /** The peer has said that nobody listens (`ECONNREFUSED`). */
  | 'refused'
  | 'host-unreachable'
  | 'network-unreachable'
  /** A filter or security module forbids it (`EPERM`, `EACCES`; also a broadcast without permission). */
  | 'forbidden'
  /** The descriptor names no endpoint and the socket is not connected (`EDESTADDRREQ`). */
  | 'no-destination'
  /** The kernel cannot send to or from such an address, or not on this socket. */
  | 'invalid';

/** Totals since the socket was opened. Numbers stay exact up to 2^53. */
export interface UdpCounters {
  readonly datagramsReceived: number;
  readonly bytesReceived: number;
  readonly datagramsSent: number;
  readonly bytesSent: number;
  /** Messages in which the kernel handed datagrams over; fewer than `datagramsReceived` where GRO joined some. */
  readonly messagesReceived: number;
  /** Messages in which datagrams were sent; fewer than `datagramsSent` by `UDP_SEGMENT`. */
  readonly messagesSent: number;
  /** Dropped by the kernel because the receive buffer was full, as far as it has told; see `refreshCounters`. */
  readonly receiveDropped: number;
  /** Received in a form for which there was no room: no kernel does so today. */
  readonly receiveTruncated: number;
  /** Taken by `send` and not sent, by reason. */
  readonly sendDropped: Readonly<Record<UdpDropReason, number>>;
  /** Errors that came through the error queue. */
  readonly errorsReceived: number;
}

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

/** The counters, open for the socket to add to. */
export interface MutableUdpCounters extends Mutable<Omit<UdpCounters, 'sendDropped'>> {
  readonly sendDropped: Record<UdpDropReason, number>;
}

const DROP_REASONS = new Map<number, UdpDropReason>([
  [errno.EMSGSIZE, 'too-long'],
  [errno.ENOBUFS, 'queue-full'],
  [errno.ENOMEM, 'queue-full'],
  [errno.ECONNREFUSED, 'refused'],
  [errno.EHOSTUNREACH, 'host-unreachable'],
  [EHOSTDOWN, 'host-unreachable'],
  [ENONET, 'host-unreachable'],
  [errno.ENETUNREACH, 'network-unreachable'],
  [errno.ENETDOWN, 'network-unreachable'],
  [errno.EPERM, 'forbidden'],
  [errno.EACCES, 'forbidden'],
  [errno.EDESTADDRREQ, 'no-destination'],
]);

/** What a refusal of the kernel is counted as. */
export function dropReason(error: number): UdpDropReason {
  return DROP_REASONS.get(error) ?? 'invalid';
}

/** All zero. */
export function zeroCounters(): MutableUdpCounters {
  return {
    datagramsReceived: 0,
    bytesReceived: 0,
    datagramsSent: 0,
    bytesSent: 0,
    messagesReceived: 0,
    messagesSent: 0,
    receiveDropped: 0,
    receiveTruncated: 0,
    sendDropped: {
      'too-long': 0,
      'queue-full': 0,
      refused: 0,
      'host-unreachable': 0,
      'network-unreachable': 0,
      forbidden: 0,
      'no-destination': 0,
      invalid: 0,
    },
    errorsReceived: 0,
  };
}
