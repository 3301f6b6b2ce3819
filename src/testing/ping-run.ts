/** Echo requests at an interval, and what came back. */

import { invalidArgument } from '../base/index.ts';
import type { Clock } from '../link/index.ts';
import { IpProtocol, Ipv4View, Ipv6View, isDropReason, parseIcmpv4, parseIcmpv6 } from '../wire/index.ts';
import { countingBytes, echoRequest, type IpText } from './packets.ts';

/** How a host pings another. */
export interface PingOptions {
  /** Requests, 1 to 65536; default 1. */
  readonly count?: number;
  /** Time between them; default 1000. The first leaves at once. */
  readonly intervalMs?: number;
  /** Octets of data; default 56. */
  readonly dataLen?: number;
}

/** A reply that came. */
export interface PingReply {
  /** Counted from 1. */
  readonly sequenceNumber: number;
  readonly rttMs: number;
  /** True for every reply to the same request but the first. */
  readonly isDuplicate: boolean;
}

/** Pings under way. */
export interface PingRun {
  /** Requests sent so far. */
  readonly sent: number;
  /** In the order in which they came. */
  readonly replies: readonly PingReply[];
  /** Requests without a reply so far. */
  readonly missing: number;
}

/** What a ping needs of its host. */
export interface PingSender {
  readonly clock: Clock;
  send(packet: Uint8Array): void;
}

/** One run of pings; the host hands replies over by their identifier. */
export class Pings implements PingRun {
  readonly replies: PingReply[] = [];
  readonly #sender: PingSender;
  readonly #ends: { readonly source: IpText; readonly destination: IpText };
  readonly #identifier: number;
  readonly #options: Required<PingOptions>;
  readonly #sentAtMs: number[] = [];
  readonly #answered = new Set<number>();

  /** @throws VNIC_INVALID_ARGUMENT */
  constructor(
    sender: PingSender,
    ends: { readonly source: IpText; readonly destination: IpText },
    identifier: number,
    { count = 1, intervalMs = 1000, dataLen = 56 }: PingOptions,
  ) {
    if (!Number.isInteger(count) || count < 1 || count > 0x1_0000) {
      throw invalidArgument('ping', 'a count from 1 to 65536', count);
    }
    if (!(intervalMs >= 0)) throw invalidArgument('ping', 'an interval of 0 or more milliseconds', intervalMs);
    this.#sender = sender;
    this.#ends = ends;
    this.#identifier = identifier;
    this.#options = { count, intervalMs, dataLen };
    this.#sendNext();
  }

  get sent(): number {
    return this.#sentAtMs.length;
  }

  get missing(): number {
    return this.sent - this.#answered.size;
  }

  /** A reply with the identifier of this run. */
  onReply(sequenceNumber: number): void {
    const sentAtMs = this.#sentAtMs[sequenceNumber - 1];
    if (sentAtMs === undefined) return;
    const rttMs = this.#sender.clock.nowMs() - sentAtMs;
    this.replies.push({ sequenceNumber, rttMs, isDuplicate: this.#answered.has(sequenceNumber) });
    this.#answered.add(sequenceNumber);
  }

  #sendNext(): void {
    const { count, intervalMs, dataLen } = this.#options;
    const { clock } = this.#sender;
    this.#sentAtMs.push(clock.nowMs());
    const data = countingBytes(dataLen);
    this.#sender.send(
      echoRequest({ ...this.#ends, identifier: this.#identifier, sequenceNumber: this.sent & 0xffff, data }),
    );
    if (this.sent < count) clock.setTimer(intervalMs, () => this.#sendNext());
  }
}

/** An echo reply whose checksum is right, in a packet that is no fragment; undefined for everything else. */
export function readEchoReply(packet: Uint8Array): { identifier: number; sequenceNumber: number } | undefined {
  const isIpv4 = (packet[0] as number) >> 4 === 4;
  const ip = isIpv4 ? Ipv4View.from(packet) : Ipv6View.from(packet);
  if (isDropReason(ip)) return undefined;
  const protocol = ip instanceof Ipv4View ? ip.protocol : ip.nextHeader;
  if (protocol !== (isIpv4 ? IpProtocol.icmpv4 : IpProtocol.icmpv6)) return undefined;
  if (ip instanceof Ipv4View && ip.isFragment) return undefined;
  const message = packet.subarray(ip.payloadOffset, ip.end);
  const icmp = isIpv4 ? parseIcmpv4(message) : parseIcmpv6(message, ip);
  return typeof icmp !== 'string' && icmp.kind === 'echoReply' ? icmp : undefined;
}
