/**
 * IGMP and MLD snooping (RFC 4541): frames for a group leave by the ports where somebody wants it, and by those where routers are. Pure.
 *
 * Theory of operation
 *
 *   groups    By VLAN and group address of the hardware, as switches have it: of 32 IPv4 groups that share one the members share their fate.
 *             A membership is forgotten when it is not told again within `membershipMs`, and after a leave unless somebody says within
 *             `lastMemberMs` that he stays, for which he is asked where this switch is the querier.
 *   routers   Where queries come from, for `routerMs`, and ports that are said to be such. Reports leave by these alone.
 *   unknown   A group that nobody has asked for goes to routers once somebody asks for members, and to all before. What is of this link
 *             alone (224.0.0.0/24, ff02::/120 and its like) always goes to all.
 *   querier   Asks where nobody else does: of two queriers the one with the lower address stays (RFC 3376 section 6.6.2).
 *   bounds    At most `capacity` groups; what does not fit is as a group that is not looked at.
 */

import { type MembershipMessage, parseIgmp, parseMld } from '../wire/index.ts';
import { DropCounts } from './drop-counts.ts';
import { groupOf, isOfThisLink, macKeyOf, type QueryAddresses, writeQuery } from './multicast-frames.ts';

/** How groups are looked at; times in milliseconds. */
export interface MulticastSnoopingOptions {
  /** Groups at most, over all VLANs; default 4096. */
  readonly capacity?: number;
  /** Default 260,000 (RFC 3376 section 8.4). */
  readonly membershipMs?: number;
  /** Default 2000 (RFC 3376 section 8.8 and 8.9). */
  readonly lastMemberMs?: number;
  /** Default 255,000 (RFC 3376 section 8.5). */
  readonly routerMs?: number;
  /** Asks by itself; left out, it does not. */
  readonly querier?: QueryAddresses & {
    /** Between questions; default 125,000. */
    readonly intervalMs?: number;
    /** VLANs in which it asks; default 0, the one of a switch that does not look at tags. */
    readonly vlans?: readonly number[];
  };
  /** Sends a frame without a tag by all ports of a VLAN, or by one of them; valid during the call. */
  transmit(vlan: number, port: number | 'all', frame: Uint8Array): void;
}

/** A group somebody wants. */
export interface MulticastGroup {
  readonly vlan: number;
  /** Hardware address, 6 bytes. */
  readonly mac: Uint8Array;
  readonly ports: readonly number[];
}

interface Group {
  readonly vlan: number;
  readonly mac: Uint8Array;
  /** When each port is forgotten. */
  readonly members: Map<number, number>;
}

const DEFAULT_INTERVAL_MS = 125_000;
const TICK_MS = 1000;
const STARTUP_QUERIES = 2;
const FOREVER = Number.POSITIVE_INFINITY;

/** The groups of one switch. Every call takes the time, in milliseconds of a clock that does not go back. */
export class MulticastSnooping {
  readonly #options: Required<Omit<MulticastSnoopingOptions, 'querier'>> & Pick<MulticastSnoopingOptions, 'querier'>;
  readonly #groups = new Map<number, Group>();
  /** By VLAN: when each port is forgotten. */
  readonly #routers = new Map<number, Map<number, number>>();
  readonly #permanent = new Set<number>();
  readonly #fastLeave = new Set<number>();
  /** By VLAN and family: until when somebody else asks. */
  readonly #others = new Map<string, number>();
  readonly #drops = new DropCounts();
  readonly #set = new Set<number>();
  #nextQueryMs = FOREVER;
  #queries = 0;
  #sweptMs = 0;

  constructor(options: MulticastSnoopingOptions, nowMs: number) {
    const { capacity = 4096, membershipMs = 260_000, lastMemberMs = 2000, routerMs = 255_000 } = options;
    const { querier, transmit } = options;
    this.#options = { capacity, membershipMs, lastMemberMs, routerMs, transmit, ...(querier && { querier }) };
    if (querier !== undefined) this.#nextQueryMs = nowMs;
    this.#sweptMs = nowMs;
  }

  /** A port with a router, or one like others. */
  setRouter(port: number, isRouter: 'router' | 'host'): void {
    if (isRouter === 'router') this.#permanent.add(port);
    else this.#permanent.delete(port);
  }

  /** What leaves a group at this port needs not be asked for others. */
  setFastLeave(port: number, how: 'fast' | 'asked'): void {
    if (how === 'fast') this.#fastLeave.add(port);
    else this.#fastLeave.delete(port);
  }

  /** Forgets a port that is gone or down. */
  removePort(port: number): void {
    this.#permanent.delete(port);
    this.#fastLeave.delete(port);
    this.flush(port);
  }

  /** Forgets what was learned at a port. */
  flush(port: number): void {
    for (const routers of this.#routers.values()) routers.delete(port);
    for (const [key, { members }] of this.#groups)
      if (members.delete(port) && members.size === 0) this.#groups.delete(key);
  }

  /**
   * The ports that a frame to a group leaves by, valid until the next call; undefined for all. A message about groups is read on the way.
   * Hot. @param at the Ethernet header
   * @param l3At what is behind it and its tags
   */
  select(
    port: number,
    vlan: number,
    bytes: Uint8Array,
    at: number,
    l3At: number,
    end: number,
    nowMs: number,
  ): ReadonlySet<number> | undefined {
    const message = this.#messageAt(bytes, l3At, end);
    if (message !== undefined) return this.#take(port, vlan, message, nowMs);
    if (isOfThisLink(bytes, at)) return undefined;
    const group = this.#groups.get(macKeyOf(vlan, bytes, at));
    if (group === undefined && !this.#isAsked(vlan, bytes[at] === 0x33 ? 6 : 4, nowMs)) return undefined;
    const set = this.#routerPorts(vlan, nowMs);
    if (group !== undefined) for (const [member, untilMs] of group.members) if (untilMs > nowMs) set.add(member);
    return set;
  }

  /** Stations may be elsewhere now: all goes to all, until who wants what has been asked again. */
  topologyChanged(nowMs: number): void {
    this.#groups.clear();
    this.#others.clear();
    this.#queries = 0;
    if (this.#options.querier !== undefined) this.#nextQueryMs = nowMs;
  }

  /** When `advance` is to be called next. */
  get nextWakeupMs(): number {
    const isIdle = this.#groups.size === 0 && this.#routers.size === 0;
    return Math.min(this.#nextQueryMs, isIdle ? FOREVER : this.#sweptMs + TICK_MS);
  }

  /** Forgets what is old, and asks. */
  advance(nowMs: number): void {
    if (nowMs - this.#sweptMs >= TICK_MS) this.#sweep(nowMs);
    if (nowMs >= this.#nextQueryMs) this.#ask(nowMs);
  }

  /** What is wanted where. */
  groups(nowMs: number): MulticastGroup[] {
    return [...this.#groups.values()].map(({ vlan, mac, members }) => ({
      vlan,
      mac,
      ports: [...members].flatMap(([port, untilMs]) => (untilMs > nowMs ? [port] : [])).toSorted((a, b) => a - b),
    }));
  }

  /** Where routers are. */
  routers(vlan: number, nowMs: number): number[] {
    return [...this.#routerPorts(vlan, nowMs)].toSorted((a, b) => a - b);
  }

  /** Messages that were none, by reason; `full` for groups that found no room. */
  get dropped(): Readonly<Record<string, number>> {
    return this.#drops.counts;
  }

  /** Undefined for what is none, or is wrong. */
  #messageAt(
    bytes: Uint8Array,
    l3At: number,
    end: number,
  ): (MembershipMessage & { readonly family: 4 | 6; readonly source: Uint8Array }) | undefined {
    const found = groupOf(bytes, l3At, end);
    if (found === undefined) return undefined;
    if (typeof found === 'string') {
      this.#drops.count(found);
      return undefined;
    }
    const { family, at, length, addressesAt } = found;
    const message = family === 4 ? parseIgmp(bytes, at, length) : parseMld(bytes, at, length, addressesAt);
    if (typeof message === 'string') {
      this.#drops.count(message);
      return undefined;
    }
    return { ...message, family, source: bytes.slice(addressesAt, addressesAt + (family === 4 ? 4 : 16)) };
  }

  #take(
    port: number,
    vlan: number,
    message: MembershipMessage & { readonly family: 4 | 6; readonly source: Uint8Array },
    nowMs: number,
  ): ReadonlySet<number> | undefined {
    if (message.kind === 'query') {
      this.#noteQuery(port, vlan, message, nowMs);
      return undefined;
    }
    for (const group of message.joins) this.#join(port, vlan, group, nowMs);
    for (const group of message.leaves) this.#leave(port, vlan, group, nowMs);
    return this.#routerPorts(vlan, nowMs);
  }

  #noteQuery(
    port: number,
    vlan: number,
    {
      family,
      source,
      group,
      maxResponseMs,
    }: Extract<MembershipMessage, { kind: 'query' }> & {
      readonly family: 4 | 6;
      readonly source: Uint8Array;
    },
    nowMs: number,
  ): void {
    const key = `${vlan} ${family}`;
    if (group !== undefined)
      this.#shorten(vlan, group, nowMs + Math.max(maxResponseMs, this.#options.lastMemberMs), 'all');
    // 0.0.0.0 asks without being a router (RFC 4541 section 2.1.1).
    if (source.every((byte) => byte === 0)) return;
    const routers = this.#routers.get(vlan) ?? new Map<number, number>();
    routers.set(port, nowMs + this.#options.routerMs);
    this.#routers.set(vlan, routers);
    const own = family === 4 ? this.#options.querier?.ipv4 : this.#options.querier?.ipv6;
    if (own === undefined || compareBytes(source, own) < 0) this.#others.set(key, nowMs + this.#options.routerMs);
  }

  #join(port: number, vlan: number, address: Uint8Array, nowMs: number): void {
    const { mac, key } = macOfGroup(vlan, address);
    if (isOfThisLink(mac, 0)) return;
    let group = this.#groups.get(key);
    if (group === undefined) {
      if (this.#groups.size >= this.#options.capacity) {
        this.#drops.count('full');
        return;
      }
      group = { vlan, mac, members: new Map() };
      this.#groups.set(key, group);
    }
    group.members.set(port, nowMs + this.#options.membershipMs);
  }

  #leave(port: number, vlan: number, address: Uint8Array, nowMs: number): void {
    const { key } = macOfGroup(vlan, address);
    const group = this.#groups.get(key);
    if (!group?.members.has(port)) return;
    if (this.#fastLeave.has(port)) {
      group.members.delete(port);
      if (group.members.size === 0) this.#groups.delete(key);
      return;
    }
    this.#shorten(vlan, address, nowMs + this.#options.lastMemberMs, port);
    const { querier, lastMemberMs, transmit } = this.#options;
    if (querier === undefined || !this.#isOurs(vlan, address.length === 4 ? 4 : 6, nowMs)) return;
    const frame = writeQuery(querier, address.length === 4 ? 4 : 6, address, lastMemberMs / 2);
    if (frame !== undefined) transmit(vlan, port, frame);
  }

  #shorten(vlan: number, address: Uint8Array, untilMs: number, which: number | 'all'): void {
    const members = this.#groups.get(macOfGroup(vlan, address).key)?.members;
    for (const [port, before] of members ?? []) {
      if (which === 'all' || port === which) members?.set(port, Math.min(before, untilMs));
    }
  }

  #sweep(nowMs: number): void {
    this.#sweptMs = nowMs;
    for (const [key, { members }] of this.#groups) {
      for (const [port, untilMs] of members) if (untilMs <= nowMs) members.delete(port);
      if (members.size === 0) this.#groups.delete(key);
    }
    for (const [vlan, routers] of this.#routers) {
      for (const [port, untilMs] of routers) if (untilMs <= nowMs) routers.delete(port);
      if (routers.size === 0) this.#routers.delete(vlan);
    }
  }

  #ask(nowMs: number): void {
    const { querier, transmit } = this.#options;
    if (querier === undefined) return;
    const { intervalMs = DEFAULT_INTERVAL_MS, vlans = [0] } = querier;
    this.#queries++;
    this.#nextQueryMs = nowMs + (this.#queries < STARTUP_QUERIES ? intervalMs / 4 : intervalMs);
    for (const vlan of vlans) {
      for (const family of [4, 6] as const) {
        const frame = this.#isOurs(vlan, family, nowMs) ? writeQuery(querier, family, undefined, 10_000) : undefined;
        if (frame !== undefined) transmit(vlan, 'all', frame);
      }
    }
  }

  /** True while nobody with a lower address asks. */
  #isOurs(vlan: number, family: 4 | 6, nowMs: number): boolean {
    return (this.#others.get(`${vlan} ${family}`) ?? 0) <= nowMs;
  }

  /** True when members are asked for, so that who wants a group has said so. */
  #isAsked(vlan: number, family: 4 | 6, nowMs: number): boolean {
    if ((this.#others.get(`${vlan} ${family}`) ?? 0) > nowMs) return true;
    const { querier } = this.#options;
    if (querier === undefined || this.#queries < STARTUP_QUERIES) return false;
    return (family === 4 ? querier.ipv4 : querier.ipv6) !== undefined && (querier.vlans ?? [0]).includes(vlan);
  }

  #routerPorts(vlan: number, nowMs: number): Set<number> {
    const set = this.#set;
    set.clear();
    for (const port of this.#permanent) set.add(port);
    for (const [port, untilMs] of this.#routers.get(vlan) ?? []) if (untilMs > nowMs) set.add(port);
    return set;
  }
}

function macOfGroup(vlan: number, address: Uint8Array): { readonly mac: Uint8Array; readonly key: number } {
  const [a = 0, b = 0, c = 0, d = 0] = address.subarray(-4);
  // RFC 1112 section 6.4, RFC 2464 section 7.
  const mac = address.length === 4 ? Uint8Array.of(1, 0, 0x5e, b & 0x7f, c, d) : Uint8Array.of(0x33, 0x33, a, b, c, d);
  return { mac, key: macKeyOf(vlan, mac, 0) };
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const at = a.findIndex((byte, i) => byte !== b[i]);
  return at < 0 ? 0 : (a[at] as number) - (b[at] as number);
}
