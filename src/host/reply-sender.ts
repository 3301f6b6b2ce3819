/**
 * Sends what does not fit in place of a request: replies with another header, fragmented ones, delayed ones.
 *
 * Replies are written straight into where they wait: the outbox, which the driver drains, or the delay queue.
 */

import { type IpAddress, MacAddress } from '../base/index.ts';
import { DelayQueue, PacketBatch } from '../link/index.ts';
import {
  EtherType,
  emitEthernet,
  emitIpv4,
  emitIpv6,
  emitIpv6Extension,
  ethernetHeaderLen,
  IpProtocol,
  ipv4MinHeaderLen,
  ipv6FragmentHeaderLen,
  ipv6HeaderLen,
} from '../wire/index.ts';
import { drop, type MutableResponderCounters } from './counters.ts';
import type { HostMacs } from './host-macs.ts';
import type { ResponderConfig } from './options.ts';

/** Where a reply goes. */
export interface Route {
  /** The answered address. */
  readonly source: IpAddress;
  readonly destination: IpAddress;
  /** Station that gets the frame; undefined without link header. */
  readonly station: MacAddress | undefined;
}

/** The part of a payload that goes into one packet. */
interface Piece {
  readonly payload: Uint8Array;
  readonly from: number;
  readonly len: number;
  /** True when the payload is longer than this piece. */
  readonly isFragment: boolean;
  readonly moreFragments: boolean;
  readonly identification: number;
}

export class ReplySender {
  readonly outbox: PacketBatch;
  readonly #config: ResponderConfig;
  readonly #counters: MutableResponderCounters;
  readonly #macs: HostMacs;
  readonly #queue: DelayQueue | undefined;
  /** True when echo replies are lost or delayed, so that none may stay in place. */
  readonly impairs: boolean;
  #target: Uint8Array;
  #identification = 0;

  constructor(config: ResponderConfig, counters: MutableResponderCounters, macs: HostMacs) {
    const { limits, delayMs, jitterMs, loss } = config;
    this.#config = config;
    this.#counters = counters;
    this.#macs = macs;
    this.outbox = new PacketBatch({ capacity: limits.outboxPackets, bytesLen: limits.outboxBytes });
    this.#target = this.outbox.bytes;
    this.impairs = delayMs > 0 || jitterMs > 0 || loss > 0;
    const frameLen = config.mtu + (config.medium === 'ethernet' ? ethernetHeaderLen : 0);
    if (delayMs > 0 || jitterMs > 0) {
      this.#queue = new DelayQueue(limits.delayedPackets, limits.delayedBytes, (frameLen + 7) & ~7);
    }
  }

  get nextDueMs(): number | undefined {
    return this.#queue?.nextDueMs;
  }

  /** Moves delayed replies that are due to the outbox. */
  moveDue(nowMs: number): void {
    this.#queue?.moveDue(nowMs, this.outbox);
  }

  /** Loses or delays a reply that stands in place of its request. @returns 0, what stays in place */
  impair(bytes: Uint8Array, offset: number, length: number, nowMs: number): 0 {
    const at = this.#reserve(length, nowMs, true);
    if (at >= 0) this.#target.set(bytes.subarray(offset, offset + length), at);
    return 0;
  }

  /**
   * Sends a payload in one packet, or in fragments when it is longer than the MTU allows.
   * @param payload read before this returns
   * @returns false when not all of it was sent, which is counted
   */
  send(route: Route, protocol: number, payload: Uint8Array, nowMs: number): boolean {
    const before = this.outbox.count;
    const ipv4 = route.source.family === 4;
    const whole = this.#config.mtu - (ipv4 ? ipv4MinHeaderLen : ipv6HeaderLen);
    const pieceLen = payload.length <= whole ? payload.length : (whole - (ipv4 ? 0 : ipv6FragmentHeaderLen)) & ~7;
    const isFragment = pieceLen < payload.length;
    const identification = this.#nextIdentification();
    for (let from = 0; from < payload.length; from += pieceLen) {
      const len = Math.min(pieceLen, payload.length - from);
      const moreFragments = from + len < payload.length;
      const piece: Piece = { payload, from, len, isFragment, moreFragments, identification };
      if (!(ipv4 ? this.#sendIpv4(route, protocol, piece, nowMs) : this.#sendIpv6(route, protocol, piece, nowMs))) {
        // Without its last part the rest is of no use to anybody.
        if (this.#queue === undefined) this.outbox.count = before;
        return false;
      }
      if (isFragment) this.#counters.fragmentsSent++;
    }
    return true;
  }

  /** Reserves a frame in the outbox for a reply that is neither lost nor delayed; -1 when it is full. */
  reserveUnimpaired(length: number): number {
    return this.#reserve(length, 0, false);
  }

  #sendIpv4(route: Route, protocol: number, piece: Piece, nowMs: number): boolean {
    const at = this.#open(route, ipv4MinHeaderLen + piece.len, nowMs);
    if (at === lost) return true;
    if (at < 0) return false;
    const { hopLimit } = this.#config;
    const fields = {
      source: route.source,
      destination: route.destination,
      protocol,
      payloadLen: piece.len,
      ttl: hopLimit,
      identification: piece.identification & 0xffff,
      moreFragments: piece.moreFragments,
      fragmentOffset: piece.from,
    };
    this.#copy(piece, at + emitIpv4(fields, this.#target, at));
    return true;
  }

  #sendIpv6(route: Route, protocol: number, piece: Piece, nowMs: number): boolean {
    const extensionLen = piece.isFragment ? ipv6FragmentHeaderLen : 0;
    const at = this.#open(route, ipv6HeaderLen + extensionLen + piece.len, nowMs);
    if (at === lost) return true;
    if (at < 0) return false;
    const { hopLimit } = this.#config;
    const fields = {
      source: route.source,
      destination: route.destination,
      nextHeader: piece.isFragment ? IpProtocol.fragment : protocol,
      payloadLen: extensionLen + piece.len,
      hopLimit,
    };
    const next = at + emitIpv6(fields, this.#target, at);
    if (piece.isFragment) {
      const { moreFragments, identification, from: fragmentOffset } = piece;
      const header = { kind: 'fragment', nextHeader: protocol, fragmentOffset, moreFragments, identification } as const;
      emitIpv6Extension(header, this.#target, next);
    }
    this.#copy(piece, next + extensionLen);
    return true;
  }

  #copy({ payload, from, len }: Piece, at: number): void {
    this.#target.set(payload.subarray(from, from + len), at);
  }

  /** Reserves a packet and writes its link header. @returns where the IP header goes, -1 when full, or `lost` */
  #open(route: Route, packetLen: number, nowMs: number): number {
    const headerLen = route.station === undefined ? 0 : ethernetHeaderLen;
    const at = this.#reserve(headerLen + packetLen, nowMs, true);
    if (at < 0 || route.station === undefined) return at;
    const { family, bytes } = route.source;
    const source = new Uint8Array(6);
    this.#macs.write(source, 0, bytes, 0, family === 4 ? 4 : 16);
    const etherType = family === 4 ? EtherType.ipv4 : EtherType.ipv6;
    const fields = { destination: route.station, source: MacAddress.fromBytes(source), etherType };
    return at + emitEthernet(fields, this.#target, at);
  }

  /** Sets `#target` and gives the offset in it; -1 when it is full, `lost` when the packet gets lost. */
  #reserve(length: number, nowMs: number, impaired: boolean): number {
    const { loss, delayMs, jitterMs, random } = this.#config;
    if (impaired && loss > 0 && random() < loss) {
      drop(this.#counters, 'simulated-loss');
      return lost;
    }
    if (impaired && this.#queue !== undefined) {
      const jitter = jitterMs === 0 ? 0 : (random() * 2 - 1) * jitterMs;
      return this.#reserveDelayed(this.#queue, length, nowMs + Math.max(0, delayMs + jitter));
    }
    this.#target = this.outbox.bytes;
    const at = this.outbox.reserve(length);
    if (at < 0) drop(this.#counters, 'outbox-full');
    return at;
  }

  #reserveDelayed(queue: DelayQueue, length: number, dueMs: number): number {
    this.#target = queue.bytes;
    const at = queue.reserve(length, dueMs);
    if (at < 0) drop(this.#counters, 'delay-queue-full');
    return at;
  }

  #nextIdentification(): number {
    this.#identification = (this.#identification + 1) >>> 0;
    return this.#identification;
  }
}

const lost = -2;
