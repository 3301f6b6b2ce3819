/**
 * A host of a network in memory: it answers pings, sends them, takes what is addressed to it, and passes on what is not.
 *
 * Not supported: Ethernet, ICMP errors, fragmenting on the way.
 */

import { Cidr, IpAddress } from '../base/index.ts';
import { createResponder, type Responder } from '../host/index.ts';
import { PacketBatch, type PacketLink } from '../link/index.ts';
import { Ipv4View, Ipv6View, isDropReason } from '../wire/index.ts';
import type { TraceEvent } from './network-trace.ts';
import type { IpText } from './packets.ts';
import { type PingOptions, type PingRun, Pings, readEchoReply } from './ping-run.ts';
import type { VirtualClock } from './virtual-clock.ts';

/** A packet that was addressed to a host and is no ping. */
export interface ReceivedPacket {
  readonly atMs: number;
  /** The host's own copy. */
  readonly packet: Uint8Array;
}

/** Totals of a host. */
export interface HostCounters {
  readonly sent: number;
  readonly received: number;
  readonly forwarded: number;
  /** `no-route`: nobody has the address. `hop-limit`: it ran out. `queue-full`: the link took no more. */
  readonly dropped: Readonly<Record<'no-route' | 'hop-limit' | 'queue-full' | 'malformed', number>>;
}

/** A host. */
export interface NetworkHost {
  readonly name: string;
  readonly addresses: readonly IpAddress[];
  readonly counters: HostCounters;
  /** Packets for this host that were neither pings nor replies to its own, as many as the network keeps. */
  readonly received: readonly ReceivedPacket[];
  /** Sends an IP packet now, to whoever has its destination. False when it was dropped, which is counted. */
  send(packet: Uint8Array): boolean;
  /**
   * Pings an address from the first own one of its family. The first request leaves at once, the others while the network runs.
   * @throws VNIC_INVALID_ARGUMENT, VNIC_INVALID_ADDRESS
   */
  ping(destination: IpText, options?: PingOptions): PingRun;
}

/** What a host needs of its network. */
export interface HostNetwork {
  readonly clock: VirtualClock;
  readonly mtu: number;
  readonly keepMax: number;
  /** Adds to the trace. */
  note(host: string, event: TraceEvent, packet: Uint8Array): void;
  /** The link of a host on the way to an address; `own` when the host has it. */
  route(from: SimulatedHost, destination: IpAddress): PacketLink | 'own' | undefined;
}

/** See the head of this file. */
export class SimulatedHost implements NetworkHost {
  readonly name: string;
  readonly addresses: readonly IpAddress[];
  readonly counters = {
    sent: 0,
    received: 0,
    forwarded: 0,
    dropped: { 'no-route': 0, 'hop-limit': 0, 'queue-full': 0, malformed: 0 },
  };
  readonly received: ReceivedPacket[] = [];
  readonly #network: HostNetwork;
  readonly #responder: Responder;
  readonly #pings = new Map<number, Pings>();
  readonly #one = new PacketBatch({ capacity: 1 });
  #responderDueMs: number | undefined;

  constructor(name: string, addresses: readonly IpAddress[], network: HostNetwork) {
    this.name = name;
    this.addresses = addresses;
    this.#network = network;
    const answer = addresses.map((address) => new Cidr(address, address.bytes.length * 8));
    this.#responder = createResponder({ medium: 'ip', mtu: network.mtu, answer });
  }

  /** Reads a link for as long as it is open. */
  attach(link: PacketLink): void {
    link.onBatch(
      (batch) => {
        for (const packet of batch) this.#onPacket(packet);
      },
      () => undefined,
    );
  }

  send(packet: Uint8Array): boolean {
    const destination = destinationOf(packet);
    if (destination === undefined) return this.#drop(packet, 'malformed');
    this.#network.note(this.name, 'sent', packet);
    this.counters.sent++;
    return this.#write(packet, destination);
  }

  ping(destination: IpText, options: PingOptions = {}): PingRun {
    const to = typeof destination === 'string' ? IpAddress.parse(destination) : destination;
    const source = this.addresses.find(({ family }) => family === to.family) ?? to;
    const identifier = this.#pings.size + 1;
    const sender = { clock: this.#network.clock, send: (packet: Uint8Array) => void this.send(packet) };
    const pings = new Pings(sender, { source, destination: to }, identifier, options);
    this.#pings.set(identifier, pings);
    return pings;
  }

  #onPacket(packet: Uint8Array): void {
    const destination = destinationOf(packet);
    if (destination === undefined) {
      this.#drop(packet, 'malformed');
      return;
    }
    if (this.#network.route(this, destination) === 'own') this.#take(packet);
    else this.#forward(packet, destination);
  }

  #take(packet: Uint8Array): void {
    this.#network.note(this.name, 'received', packet);
    this.counters.received++;
    const reply = readEchoReply(packet);
    const pings = reply === undefined ? undefined : this.#pings.get(reply.identifier);
    if (reply !== undefined && pings !== undefined) {
      pings.onReply(reply.sequenceNumber);
      return;
    }
    const batch = this.#one;
    batch.clear();
    batch.append(packet);
    const before = droppedBy(this.#responder);
    this.#responder.handle(batch, this.#network.clock.nowMs());
    // What it has no answer to is for somebody else.
    if (droppedBy(this.#responder) > before && this.received.length < this.#network.keepMax) {
      this.received.push({ atMs: this.#network.clock.nowMs(), packet: packet.slice() });
    }
    for (const answer of batch) this.send(answer);
    this.#sendOutbox();
  }

  #sendOutbox(): void {
    const { outbox, nextWakeupMs } = this.#responder;
    for (const answer of outbox) this.send(answer);
    outbox.clear();
    if (nextWakeupMs === undefined || nextWakeupMs === this.#responderDueMs) return;
    this.#responderDueMs = nextWakeupMs;
    const { clock } = this.#network;
    clock.setTimer(nextWakeupMs - clock.nowMs(), () => {
      this.#responderDueMs = undefined;
      this.#responder.poll(clock.nowMs());
      this.#sendOutbox();
    });
  }

  #forward(packet: Uint8Array, destination: IpAddress): void {
    if (!takeHop(packet)) {
      this.#drop(packet, 'hop-limit');
      return;
    }
    this.#network.note(this.name, 'forwarded', packet);
    this.counters.forwarded++;
    this.#write(packet, destination);
  }

  #write(packet: Uint8Array, destination: IpAddress): boolean {
    const link = this.#network.route(this, destination);
    if (link === undefined || link === 'own') return this.#drop(packet, 'no-route');
    return !link.closed && link.write(packet) === 1 ? true : this.#drop(packet, 'queue-full');
  }

  #drop(packet: Uint8Array, reason: keyof HostCounters['dropped']): false {
    this.#network.note(this.name, 'dropped', packet);
    this.counters.dropped[reason]++;
    return false;
  }
}

function droppedBy({ counters }: Responder): number {
  return Object.values(counters.dropped).reduce((sum, count) => sum + count, 0);
}

/** The destination of a packet whose header makes sense. */
function destinationOf(packet: Uint8Array): IpAddress | undefined {
  if (packet.length > 0 && (packet[0] as number) >> 4 === 4) {
    const ipv4 = Ipv4View.from(packet);
    return isDropReason(ipv4) || !ipv4.checksumOk ? undefined : ipv4.destination;
  }
  const ipv6 = Ipv6View.from(packet);
  return isDropReason(ipv6) ? undefined : ipv6.destination;
}

/** Takes one hop off. False when none is left. */
function takeHop(packet: Uint8Array): boolean {
  const ip = (packet[0] as number) >> 4 === 4 ? Ipv4View.from(packet) : Ipv6View.from(packet);
  if (isDropReason(ip)) return false;
  if (ip instanceof Ipv4View) {
    if (ip.ttl <= 1) return false;
    ip.ttl -= 1;
    ip.updateChecksum();
    return true;
  }
  if (ip.hopLimit <= 1) return false;
  ip.hopLimit -= 1;
  return true;
}
