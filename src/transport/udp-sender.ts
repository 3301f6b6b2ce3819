/**
 * The sending half of a UDP socket: `sendmmsg` and `UDP_SEGMENT`, and what to do where the kernel refuses.
 *
 *   segments   A path may refuse `UDP_SEGMENT`: EIO, its device computes no checksums, and it is not tried again;
 *              EINVAL or EMSGSIZE, the datagrams do not fit the MTU, and it is not tried for such long ones for a
 *              while. Either way the same datagrams go out one by one.
 *   earlier    The error may be one that ICMP brought for an earlier datagram: then nothing was sent, and the same
 *              datagram is tried once more.
 *   refusals   Any other is counted by reason, and the rest is sent.
 */

import { errno, type NativeCore, UDP_STATUS_WORDS, UdpCall } from '../native/index.ts';
import { dropReason, type MutableUdpCounters } from './udp-counters.ts';
import { EHOSTDOWN, ENONET } from './udp-errors.ts';

/** After so many sends `UDP_SEGMENT` is tried again for datagrams that did not fit the MTU. */
const SENDS_PER_TRIAL = 1024;

/** Errors that ICMP may have caused, so that they may be those of an earlier datagram. */
const PENDING_ERRORS: ReadonlySet<number> = new Set([
  errno.ECONNREFUSED,
  errno.EHOSTUNREACH,
  EHOSTDOWN,
  ENONET,
  errno.ENETUNREACH,
  errno.EMSGSIZE,
  errno.EACCES,
  errno.EPERM,
  errno.EPROTO,
  errno.ENOPROTOOPT,
  errno.EOPNOTSUPP,
]);

/** What a sender needs of its socket. */
export interface SenderSocket {
  readonly fd: number;
  readonly core: Pick<NativeCore, 'udpSend'>;
  /** Bits of `UdpCall`. */
  readonly options: number;
  readonly gso: boolean;
  readonly counters: MutableUdpCounters;
  /** Empties the error queue. @returns true when all that it held was about datagrams that this machine refused */
  drainErrors(): boolean;
}

/** Sends batches. */
export class UdpSender {
  readonly #socket: SenderSocket;
  readonly #status = new Uint32Array(UDP_STATUS_WORDS);
  #gso: boolean;
  #blocked = false;
  #segmentLimit = 0;
  #sendsSinceLimit = 0;

  constructor(socket: SenderSocket) {
    this.#socket = socket;
    this.#gso = socket.gso;
  }

  /** Whether runs of equal datagrams are sent by `UDP_SEGMENT`. */
  get gso(): boolean {
    return this.#gso;
  }

  /** True when the last send was not taken whole. */
  get blocked(): boolean {
    return this.#blocked;
  }

  /** Hot. Returns how many of the descriptors `from` to `to` were taken; fewer than all when there is pressure. */
  send(
    bytes: Uint8Array,
    descriptors: Uint32Array,
    endpoints: Uint32Array | undefined,
    from: number,
    to: number,
  ): number {
    const status = this.#status;
    const { fd, core, counters } = this.#socket;
    let at = from;
    let retried = -1;
    if (this.#segmentLimit > 0 && ++this.#sendsSinceLimit > SENDS_PER_TRIAL) this.#segmentLimit = 0;
    for (;;) {
      at += core.udpSend(fd, bytes, descriptors, endpoints, at, to, this.#options(), status);
      counters.bytesSent += status[1] as number;
      counters.datagramsSent += status[2] as number;
      counters.messagesSent += status[6] as number;
      const error = status[0] as number;
      if (error === 0 || error === errno.EAGAIN) break;
      if (at !== retried && PENDING_ERRORS.has(error) && !this.#socket.drainErrors()) {
        retried = at;
      } else if (!this.#givesUpSegments(error, status[5] as number)) {
        counters.sendDropped[dropReason(error)] += status[4] as number;
        at += status[3] as number;
      }
    }
    this.#blocked = status[0] === errno.EAGAIN;
    // An error of an earlier datagram that came up within a batch was fetched without being told.
    if (status[7] === 1) this.#socket.drainErrors();
    return at - from;
  }

  /** The path has changed: what did not fit may fit now. */
  forgetLimit(): void {
    this.#segmentLimit = 0;
  }

  #options(): number {
    const { options } = this.#socket;
    if (!this.#gso) return options;
    return (options | UdpCall.offload | (this.#segmentLimit << UdpCall.segmentLimitShift)) >>> 0;
  }

  /** True when a refused message was one of segments, which are now sent one by one. */
  #givesUpSegments(error: number, segmentLen: number): boolean {
    if (segmentLen === 0) return false;
    if (error === errno.EIO || error === errno.EOPNOTSUPP) {
      this.#gso = false;
      return true;
    }
    if (error !== errno.EINVAL && error !== errno.EMSGSIZE) return false;
    // Single bytes that do not fit fit nowhere.
    if (segmentLen === 1) this.#gso = false;
    this.#segmentLimit = segmentLen - 1;
    this.#sendsSinceLimit = 0;
    return true;
  }
}
