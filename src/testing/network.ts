/**
 * A network in memory and in virtual time: hosts, links between them that may be bad, and a seed. Hours of it run in
 * milliseconds, and two runs with one seed give the same trace.
 *
 *     const network = createTestNetwork({ seed: 7 });
 *     const [a, b] = [network.host('a', ['10.0.0.1']), network.host('b', ['10.0.0.2'])];
 *     network.connect(a, b, { impair: 'delay=40ms,jitter=10ms,loss=5%' });
 *     const pings = a.ping('10.0.0.2', { count: 100, intervalMs: 100 });
 *     await network.run(15_000);
 *
 * Theory of operation
 *
 * Time stands still while anything happens. `run` goes from timer to timer of the clock; after each it lets the event loop
 * turn until nothing moves any more: links in memory wake each other through `setImmediate`, in an order that is always
 * the same. Nothing here asks the real clock or real chance. Packets go the way with the fewest links.
 */

import { IpAddress, invalidArgument, type Random, seededRandom, type VnicError } from '../base/index.ts';
import { createLinkPair, type PacketLink } from '../link/index.ts';
import {
  type ImpairedLink,
  type ImpairmentSettings,
  type ImpairmentStep,
  impair,
  parseImpairment,
  parseImpairmentSchedule,
} from '../middleware/index.ts';
import { type HostNetwork, type NetworkHost, SimulatedHost } from './network-host.ts';
import { NetworkTrace, type TraceEntry } from './network-trace.ts';
import type { IpText } from './packets.ts';
import { createVirtualClock, type VirtualClock } from './virtual-clock.ts';

/** What a network is. */
export interface TestNetworkOptions {
  /** Where all chance begins; an integer, default 1. */
  readonly seed?: number;
  /** Longest packet of its links in bytes; default 1500. */
  readonly mtu?: number;
  /** Entries of the trace, and packets that each host keeps; default 100,000. */
  readonly keepMax?: number;
}

/** How two hosts are connected. Settings are those of `impair`, as text or as values. */
export interface ConnectOptions {
  /** Both ways. */
  readonly impair?: string | ImpairmentSettings;
  /** From the first host to the second, on top of `impair`. */
  readonly aToB?: string | ImpairmentSettings;
  /** From the second host to the first, on top of `impair`. */
  readonly bToA?: string | ImpairmentSettings;
  /** Changes, counted from now: `out` is from the first host to the second. Text as `parseImpairmentSchedule` takes it. */
  readonly schedule?: string | readonly ImpairmentStep[];
  /** Packets that the cable holds each way beyond those under way; default 256. */
  readonly capacityPackets?: number;
}

/** A link between two hosts. */
export interface NetworkLink {
  /** The impairment: `toLink` is from the first host to the second. */
  readonly impaired: ImpairedLink;
  /** Cuts it for good. */
  close(): Promise<void>;
}

/** A network. */
export interface TestNetwork extends AsyncDisposable {
  readonly clock: VirtualClock;
  /** What happened so far, in order. */
  readonly trace: readonly TraceEntry[];
  /** Entries that the trace had no room for. */
  readonly traceLeftOut: number;
  /**
   * Adds a host.
   * @throws VNIC_INVALID_ADDRESS; VNIC_INVALID_ARGUMENT when another has the name or an address
   */
  host(name: string, addresses: readonly IpText[]): NetworkHost;
  /**
   * Connects two hosts of this network.
   * @throws VNIC_INVALID_ARGUMENT
   */
  connect(a: NetworkHost, b: NetworkHost, options?: ConnectOptions): NetworkLink;
  /**
   * Lets so many milliseconds pass, with all that happens in them.
   * @throws VNIC_INVALID_ARGUMENT; also when the network does not come to rest at one point in time
   */
  run(ms: number): Promise<void>;
  /** Closes every link. Idempotent. */
  close(): Promise<void>;
}

/** After so many turns of the event loop in which nothing moved, nothing will. */
const QUIET_TURNS = 4;
/** A network that is busy for longer at one point in time sends packets round in circles. */
const TURNS_MAX = 100_000;

/** Creates an empty network. @throws VNIC_INVALID_ARGUMENT */
export function createTestNetwork(options: TestNetworkOptions = {}): TestNetwork {
  return new Network(options);
}

interface Edge {
  readonly to: SimulatedHost;
  readonly link: PacketLink;
}

class Network implements TestNetwork, HostNetwork {
  readonly clock: VirtualClock = createVirtualClock();
  readonly mtu: number;
  readonly keepMax: number;
  readonly #random: Random;
  readonly #trace: NetworkTrace;
  readonly #owners = new Map<string, SimulatedHost>();
  readonly #edges = new Map<SimulatedHost, Edge[]>();
  readonly #links: PacketLink[] = [];

  constructor({ seed = 1, mtu = 1500, keepMax = 100_000 }: TestNetworkOptions) {
    if (!Number.isInteger(seed)) throw invalidArgument('create a network', 'a whole number as seed', seed);
    if (!(keepMax >= 0)) throw invalidArgument('create a network', 'keepMax of 0 or more', keepMax);
    this.mtu = mtu;
    this.keepMax = keepMax;
    this.#random = seededRandom(seed);
    this.#trace = new NetworkTrace(keepMax);
  }

  get trace(): readonly TraceEntry[] {
    return this.#trace.entries;
  }

  get traceLeftOut(): number {
    return this.#trace.leftOut;
  }

  host(name: string, addresses: readonly IpText[]): NetworkHost {
    const parsed = addresses.map((address) => (typeof address === 'string' ? IpAddress.parse(address) : address));
    const isTaken =
      parsed.some((address) => this.#owners.has(address.toString())) ||
      [...this.#edges.keys()].some((host) => host.name === name);
    if (isTaken) throw invalidArgument('add a host', 'a name and addresses that no other has', name);
    const host = new SimulatedHost(name, parsed, this);
    for (const address of parsed) this.#owners.set(address.toString(), host);
    this.#edges.set(host, []);
    return host;
  }

  connect(a: NetworkHost, b: NetworkHost, options: ConnectOptions = {}): NetworkLink {
    const [first, second] = [this.#own(a), this.#own(b)];
    if (first === second) throw invalidArgument('connect two hosts', 'two of them', 'the same one twice');
    const { schedule = [], capacityPackets } = options;
    const [near, far] = createLinkPair({
      medium: 'ip',
      mtu: this.mtu,
      names: [`${a.name} to ${b.name}`, `${b.name} to ${a.name}`],
      ...(capacityPackets !== undefined && { capacityPackets }),
    });
    const both = settingsOf(options.impair);
    const impaired = impair(near, {
      toLink: { ...both, ...settingsOf(options.aToB) },
      fromLink: { ...both, ...settingsOf(options.bToA) },
      schedule: typeof schedule === 'string' ? parseImpairmentSchedule(schedule) : schedule,
      seed: Math.floor(this.#random() * 0x1_0000_0000),
      clock: this.clock,
    });
    this.#join(first, second, impaired);
    this.#join(second, first, far);
    return {
      impaired,
      close: async () => {
        await Promise.all([impaired.close(), far.close()]);
      },
    };
  }

  async run(ms: number): Promise<void> {
    if (!(ms >= 0) || ms === Number.POSITIVE_INFINITY) {
      throw invalidArgument('run a network', '0 or more milliseconds', ms);
    }
    const endMs = this.clock.nowMs() + ms;
    await this.#settle();
    for (let turns = 0; (this.clock.nextTimerMs ?? Number.POSITIVE_INFINITY) <= endMs; ) {
      const beforeMs = this.clock.nowMs();
      this.clock.advanceToNextTimer();
      await this.#settle();
      turns = this.clock.nowMs() === beforeMs ? turns + 1 : 0;
      if (turns > TURNS_MAX) throw restless(beforeMs);
    }
    this.clock.advance(endMs - this.clock.nowMs());
  }

  async close(): Promise<void> {
    await Promise.all(this.#links.map((link) => link.close()));
  }

  /** As `close()`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  note(host: string, event: TraceEntry['event'], packet: Uint8Array): void {
    this.#trace.add(this.clock.nowMs(), host, event, packet);
  }

  route(from: SimulatedHost, destination: IpAddress): PacketLink | 'own' | undefined {
    const owner = this.#owners.get(destination.toString());
    if (owner === undefined) return undefined;
    return owner === from ? 'own' : this.#firstLink(from, owner);
  }

  /** The link on which the shortest way begins; of equal ones that which was made first. */
  #firstLink(from: SimulatedHost, to: SimulatedHost): PacketLink | undefined {
    const seen = new Set([from]);
    let ways = this.#openEdges(from).map((edge) => ({ at: edge.to, link: edge.link }));
    while (ways.length > 0) {
      const found = ways.find(({ at }) => at === to);
      if (found !== undefined) return found.link;
      for (const { at } of ways) seen.add(at);
      ways = ways.flatMap(({ at, link }) => this.#openEdges(at).map((edge) => ({ at: edge.to, link })));
      ways = ways.filter(({ at }, i) => !seen.has(at) && ways.findIndex((way) => way.at === at) === i);
    }
    return undefined;
  }

  #openEdges(host: SimulatedHost): readonly Edge[] {
    return (this.#edges.get(host) ?? []).filter(({ link }) => !link.closed);
  }

  #own(host: NetworkHost): SimulatedHost {
    if (host instanceof SimulatedHost && this.#edges.has(host)) return host;
    throw invalidArgument('connect two hosts', 'hosts of this network', host.name);
  }

  #join(from: SimulatedHost, to: SimulatedHost, link: PacketLink): void {
    this.#links.push(link);
    this.#edges.get(from)?.push({ to, link });
    from.attach(link);
  }

  /** Lets everything happen that happens without time. */
  async #settle(): Promise<void> {
    let before = this.#activity();
    for (let quiet = 0, turns = 0; quiet < QUIET_TURNS; turns++) {
      if (turns > TURNS_MAX) throw restless(this.clock.nowMs());
      await nextTurn();
      const now = this.#activity();
      quiet = now === before ? quiet + 1 : 0;
      before = now;
    }
  }

  /** Changes whenever a packet moves. */
  #activity(): number {
    let sum = this.#trace.entries.length + this.#trace.leftOut;
    for (const { counters } of this.#links) sum += counters.packetsRead + counters.packetsWritten;
    return sum;
  }
}

function settingsOf(settings: string | ImpairmentSettings | undefined): ImpairmentSettings {
  return typeof settings === 'string' ? parseImpairment(settings) : (settings ?? {});
}

function restless(atMs: number): VnicError {
  return invalidArgument('run a network', `one that comes to rest at ${atMs} ms`, 'one that sends without end');
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
