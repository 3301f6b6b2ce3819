/** What a responder is told, and its defaults. */

import { type Cidr, type IpAddress, invalidArgument, MacAddress, type Random } from '../base/index.ts';
import type { Medium } from '../link/index.ts';

/** Limits of a responder's memory and patience. */
export interface ResponderLimits {
  /** Datagrams put together from fragments at the same time, 64 KiB each once used; 1 to 1024, default 16. */
  readonly reassemblyDatagrams?: number;
  /** How long an IPv4 datagram waits for its fragments; default 30,000. */
  readonly reassemblyTimeoutV4Ms?: number;
  /** How long an IPv6 datagram waits for its fragments (RFC 8200 section 4.5); default 60,000. */
  readonly reassemblyTimeoutV6Ms?: number;
  /** Delayed replies waiting at the same time; default 4096. */
  readonly delayedPackets?: number;
  /** Memory for delayed replies in bytes, which bounds their number too; default 8 MiB. */
  readonly delayedBytes?: number;
  /** Packets that the outbox holds; default 2048. */
  readonly outboxPackets?: number;
  /** Memory of the outbox in bytes; default 2 MiB. */
  readonly outboxBytes?: number;
}

/** What a responder answers for, and how. */
export interface ResponderOptions {
  /** What the packets start with. */
  readonly medium: Medium;
  /** Single addresses (/32, /128) and whole subnets. */
  readonly answer: readonly Cidr[];
  /**
   * Addresses of those subnets that belong to others. The kernel's own must be here: without that its ARP and
   * neighbour discovery count as `address-conflict` and are not answered, and its own address is found taken.
   */
  readonly except?: readonly IpAddress[];
  /** MAC of the answered hosts, for `ethernet`; default 02:76:6e:69:63:01. */
  readonly mac?: MacAddress;
  /**
   * Gives every answered address a MAC of its own: the first two octets of `mac`, then the IPv4 address, or a
   * hash of the IPv6 address. Default false.
   */
  readonly perAddressMacs?: boolean;
  /** TTL or hop limit of replies, 1 to 255, to play a host some routers away; default 64. */
  readonly hopLimit?: number;
  /** Longest IP packet sent, in bytes; longer replies are fragmented. 68 to 65535, default 1500. */
  readonly mtu?: number;
  /** How long echo replies are held back; default 0. ARP and neighbour discovery answer at once. */
  readonly delayMs?: number;
  /** Each delay varies by up to this much, earlier or later, so that replies overtake each other; default 0. */
  readonly jitterMs?: number;
  /** Share of echo replies that are lost, 0 to 1; default 0. ARP and neighbour discovery lose nothing. */
  readonly loss?: number;
  /** Needed with `jitterMs` or `loss`. */
  readonly random?: Random;
  /** Answers UDP with ICMP port unreachable, at most 1000 a second; default false. */
  readonly refuseUdp?: boolean;
  readonly limits?: ResponderLimits;
}

/** The options with their defaults, checked. */
export type ResponderConfig = Required<Omit<ResponderOptions, 'limits' | 'random'>> & {
  readonly random: Random;
  readonly limits: Required<ResponderLimits>;
};

const defaultMac: MacAddress = MacAddress.fromBytes(Uint8Array.of(0x02, 0x76, 0x6e, 0x69, 0x63, 0x01));

const defaultLimits: Required<ResponderLimits> = {
  reassemblyDatagrams: 16,
  reassemblyTimeoutV4Ms: 30_000,
  reassemblyTimeoutV6Ms: 60_000,
  delayedPackets: 4096,
  delayedBytes: 8 * 1024 * 1024,
  outboxPackets: 2048,
  outboxBytes: 2 * 1024 * 1024,
};

/** @throws VNIC_INVALID_ARGUMENT */
export function checkOptions(options: ResponderOptions): ResponderConfig {
  const config: ResponderConfig = {
    except: [],
    mac: defaultMac,
    perAddressMacs: false,
    hopLimit: 64,
    mtu: 1500,
    delayMs: 0,
    jitterMs: 0,
    loss: 0,
    random: () => 0,
    refuseUdp: false,
    ...options,
    limits: { ...defaultLimits, ...options.limits },
  };
  if (config.medium !== 'ip' && config.medium !== 'ethernet') {
    throw invalidArgument('create a responder', "a medium of 'ip' or 'ethernet'", config.medium);
  }
  if (config.mac.isMulticast || config.mac.isUnspecified) {
    throw invalidArgument('create a responder', 'a unicast MAC address', config.mac.toString());
  }
  requireNumber('hopLimit', config.hopLimit, 1, 255, true);
  requireNumber('mtu', config.mtu, 68, 65_535, true);
  requireNumber('delayMs', config.delayMs, 0, 3_600_000, false);
  requireNumber('jitterMs', config.jitterMs, 0, 3_600_000, false);
  requireNumber('loss', config.loss, 0, 1, false);
  if ((config.jitterMs > 0 || config.loss > 0) && options.random === undefined) {
    throw invalidArgument('create a responder with jitter or loss', 'a source of randomness as `random`', undefined);
  }
  checkLimits(config.limits);
  return config;
}

function checkLimits(limits: Required<ResponderLimits>): void {
  requireNumber('limits.reassemblyDatagrams', limits.reassemblyDatagrams, 1, 1024, true);
  requireNumber('limits.reassemblyTimeoutV4Ms', limits.reassemblyTimeoutV4Ms, 1, 3_600_000, false);
  requireNumber('limits.reassemblyTimeoutV6Ms', limits.reassemblyTimeoutV6Ms, 1, 3_600_000, false);
  requireNumber('limits.delayedPackets', limits.delayedPackets, 1, 1_048_576, true);
  requireNumber('limits.delayedBytes', limits.delayedBytes, 65_600, 0x4000_0000, true);
  requireNumber('limits.outboxPackets', limits.outboxPackets, 1, 1_048_576, true);
  requireNumber('limits.outboxBytes', limits.outboxBytes, 65_600, 0x4000_0000, true);
}

function requireNumber(name: string, value: number, min: number, max: number, integer: boolean): void {
  if (value >= min && value <= max && (!integer || Number.isInteger(value))) return;
  const kind = integer ? 'an integer' : 'a number';
  throw invalidArgument('create a responder', `${name} as ${kind} from ${min} to ${max}`, value);
}
