/**
 * The responder: one or many hosts behind a link that answer ARP, neighbour discovery and ping, as a pure core
 * without clock, timers, sockets or randomness of its own.
 *
 * Theory of operation
 *
 *   handle(batch)  Requests that can be answered in place become their replies in place; everything else is
 *                  taken out of the batch, which the driver then writes back as a whole.
 *   outbox         Replies that are longer than their requests, have another header, are fragments or come
 *                  late. The driver writes it after `handle` and `poll`, and clears it.
 *   poll(now)      Moves delayed replies that are due to the outbox and gives up incomplete datagrams.
 *   nextWakeupMs   When `poll` has something to do next.
 *
 * All memory is bounded: the outbox, the delay queue and the datagrams being reassembled. What finds no room is
 * dropped and counted. Counters name a reason for everything that was not answered.
 *
 * Not supported: VLAN tags, jumbograms, ICMP errors other than port unreachable, reversing source routes.
 */

import { RateLimiter } from '../base/index.ts';
import type { Medium, PacketBatch } from '../link/index.ts';
import { DESCRIPTOR_WORDS } from '../link/index.ts';
import { EtherType, ethernetHeaderLen, u16 } from '../wire/index.ts';
import { AddressSet } from './address-set.ts';
import { ArpHost } from './arp-host.ts';
import { drop, type MutableResponderCounters, type ResponderCounters, zeroCounters } from './counters.ts';
import type { HostContext } from './host-context.ts';
import { HostMacs } from './host-macs.ts';
import { Ipv4Host } from './ipv4-host.ts';
import { Ipv6Host } from './ipv6-host.ts';
import { checkOptions, type ResponderConfig, type ResponderOptions } from './options.ts';
import { Reassembler } from './reassembly.ts';
import { ReplySender } from './reply-sender.ts';

/** ICMP errors a second and at once; the defaults of Linux (`icmp_msgs_per_sec`, `icmp_msgs_burst`). */
const ERRORS_PER_SECOND = 1000;
const ERRORS_AT_ONCE = 50;

/** See the head of this file. Times are milliseconds of any clock that does not go back. */
export interface Responder {
  readonly medium: Medium;
  readonly counters: ResponderCounters;
  /** Replies to be written by the driver, which clears it once all are written. */
  readonly outbox: PacketBatch;
  /** When `poll` is due; undefined when nothing waits. */
  readonly nextWakeupMs: number | undefined;
  /** Hot: answers the packets of a batch in place, drops the others from it. Throws nothing for any bytes. */
  handle(batch: PacketBatch, nowMs: number): void;
  /** Does what is due. Calling it early or late does no harm. */
  poll(nowMs: number): void;
}

/**
 * Creates a responder.
 * @throws VNIC_INVALID_ARGUMENT
 */
export function createResponder(options: ResponderOptions): Responder {
  return new ResponderCore(checkOptions(options));
}

class ResponderCore implements Responder {
  readonly medium: Medium;
  readonly counters: MutableResponderCounters = zeroCounters();
  readonly outbox: PacketBatch;
  readonly #sender: ReplySender;
  readonly #reassembler: Reassembler;
  readonly #arp: ArpHost;
  readonly #ipv4: Ipv4Host;
  readonly #ipv6: Ipv6Host;

  constructor(config: ResponderConfig) {
    const { limits } = config;
    const { counters } = this;
    const macs = new HostMacs(config.mac, config.perAddressMacs);
    this.medium = config.medium;
    this.#sender = new ReplySender(config, counters, macs);
    this.outbox = this.#sender.outbox;
    this.#reassembler = new Reassembler({
      datagrams: limits.reassemblyDatagrams,
      timeoutV4Ms: limits.reassemblyTimeoutV4Ms,
      timeoutV6Ms: limits.reassemblyTimeoutV6Ms,
      onGivenUp: (reason) => drop(counters, reason),
    });
    const host: HostContext = {
      config,
      addresses: new AddressSet(config.answer, config.except),
      macs,
      counters,
      sender: this.#sender,
      reassembler: this.#reassembler,
      errorLimiter: new RateLimiter(ERRORS_PER_SECOND, ERRORS_AT_ONCE),
    };
    this.#arp = new ArpHost(host);
    this.#ipv4 = new Ipv4Host(host);
    this.#ipv6 = new Ipv6Host(host);
  }

  get nextWakeupMs(): number | undefined {
    const dueMs = this.#sender.nextDueMs;
    const expiryMs = this.#reassembler.nextExpiryMs;
    if (dueMs === undefined || expiryMs === undefined) return dueMs ?? expiryMs;
    return Math.min(dueMs, expiryMs);
  }

  handle(batch: PacketBatch, nowMs: number): void {
    const { bytes, descriptors, count } = batch;
    const ethernet = this.medium === 'ethernet';
    for (let word = 0; word < count * DESCRIPTOR_WORDS; word += DESCRIPTOR_WORDS) {
      const offset = descriptors[word] as number;
      const length = descriptors[word + 1] as number;
      if (length === 0) continue;
      this.counters.received++;
      descriptors[word + 1] = ethernet
        ? this.#answerFrame(bytes, offset, length, nowMs)
        : this.#answerPacket(bytes, offset, length, nowMs);
    }
  }

  poll(nowMs: number): void {
    this.#sender.moveDue(nowMs);
    this.#reassembler.expire(nowMs);
  }

  /** @returns octets of the packet that stands in its place now; 0 when there is none */
  #answerPacket(bytes: Uint8Array, offset: number, length: number, nowMs: number): number {
    const version = (bytes[offset] as number) >> 4;
    if (version !== 4 && version !== 6) return drop(this.counters, 'bad-version');
    const replyLen =
      version === 4
        ? this.#ipv4.answer(bytes, offset, length, -1, nowMs)
        : this.#ipv6.answer(bytes, offset, length, -1, nowMs);
    if (replyLen === 0 || !this.#sender.impairs) return replyLen;
    return this.#sender.impair(bytes, offset, replyLen, nowMs);
  }

  /** @returns octets of the frame that stands in its place now; 0 when there is none */
  #answerFrame(bytes: Uint8Array, frame: number, length: number, nowMs: number): number {
    if (length < ethernetHeaderLen) return drop(this.counters, 'truncated');
    if (((bytes[frame + 6] as number) & 1) === 1) return drop(this.counters, 'bad-source');
    const etherType = u16(bytes, frame + 12);
    if (etherType === EtherType.arp) return this.#arp.answer(bytes, frame, length);
    if (etherType !== EtherType.ipv4 && etherType !== EtherType.ipv6) return drop(this.counters, 'other-protocol');
    const at = frame + ethernetHeaderLen;
    const packetLen = length - ethernetHeaderLen;
    const replyLen =
      etherType === EtherType.ipv4
        ? this.#ipv4.answer(bytes, at, packetLen, frame, nowMs)
        : this.#ipv6.answer(bytes, at, packetLen, frame, nowMs);
    if (replyLen === 0) return 0;
    swapStations(bytes, frame);
    const frameLen = ethernetHeaderLen + replyLen;
    return this.#sender.impairs ? this.#sender.impair(bytes, frame, frameLen, nowMs) : frameLen;
  }
}

function swapStations(bytes: Uint8Array, frame: number): void {
  for (let i = frame; i < frame + 6; i++) {
    const kept = bytes[i] as number;
    bytes[i] = bytes[i + 6] as number;
    bytes[i + 6] = kept;
  }
}
