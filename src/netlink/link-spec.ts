/** Links that are made (`RTM_NEWLINK` with `NLM_F_CREATE`), and the checks of links that are changed. */

import { invalidArgument } from '../base/index.ts';
import { type BridgePortSettings, type BridgeSettings, putBridge } from './bridge.ts';
import { Ifla, IflaInfo, VETH_INFO_PEER } from './constants.ts';
import { checkInterfaceName } from './interface-name.ts';
import { type LinkChange, putLinkChange } from './link.ts';
import type { MessageBuilder } from './message.ts';

/** What every kind has; absent is left to the kernel. `netns`: made there, else in the namespace of the socket. */
export interface LinkEndSpec extends Omit<LinkChange, 'alias' | 'bridge' | 'bridgePort'> {
  readonly name: string;
  /** The interface index that it gets, 1 to 2147483647; chosen by the kernel when left out. */
  readonly index?: number;
}

/** A bridge. */
export interface BridgeSpec extends LinkEndSpec {
  readonly kind: 'bridge';
  readonly bridge?: BridgeSettings;
}

/** A pair of virtual Ethernet interfaces: what goes into one comes out of the other. */
export interface VethSpec extends LinkEndSpec {
  readonly kind: 'veth';
  /** The other end, which may be in another namespace: by default in that of the socket. */
  readonly peer: LinkEndSpec;
}

/** A link to be made. TUN/TAP devices are made by `vnic/tun` and `vnic/netdev`. */
export type LinkSpec = BridgeSpec | VethSpec;

const U32_MAX = 0xffff_ffff;
const MAX_ALIAS_LEN = 255;

/** Descriptors of the namespaces of a link and its peer. */
export interface SpecNamespaces {
  readonly own: number | undefined;
  readonly peer: number | undefined;
}

/** Appends a link to be made. */
export function putLinkSpec(builder: MessageBuilder, spec: LinkSpec, namespaces: SpecNamespaces): MessageBuilder {
  if (spec.kind === 'bridge') {
    const { mtu: _mtu, ...made } = spec;
    return putBridge(putLinkChange(builder, spec.index ?? 0, made, namespaces.own), spec.bridge ?? {});
  }
  putLinkChange(builder, spec.index ?? 0, spec, namespaces.own);
  return builder.nested(Ifla.LINKINFO, (info) => {
    info.text(IflaInfo.KIND, spec.kind).nested(IflaInfo.DATA, (data) => {
      const { up: _up, ...made } = spec.peer;
      data.nested(VETH_INFO_PEER, (peer) => putLinkChange(peer, spec.peer.index ?? 0, made, namespaces.peer));
    });
  });
}

/** @throws VNIC_INVALID_ARGUMENT, VNIC_INVALID_NAME, VNIC_NAME_TOO_LONG */
export function checkSpec(spec: LinkSpec, attempted: string): void {
  if (!['bridge', 'veth'].includes(spec.kind)) {
    throw invalidArgument(attempted, 'the kind bridge or veth', spec.kind);
  }
  checkNumbers(spec, attempted);
  checkInterfaceName(spec.name, attempted);
  if (spec.kind === 'bridge') checkBridge(spec.bridge ?? {}, attempted);
  if (spec.kind !== 'veth') return;
  checkNumbers(spec.peer, attempted);
  checkInterfaceName(spec.peer.name, attempted);
}

/** @throws VNIC_INVALID_ARGUMENT, VNIC_INVALID_NAME, VNIC_NAME_TOO_LONG */
export function checkChange(change: LinkChange, attempted: string): void {
  if (Object.values(change).every((value) => value === undefined)) {
    throw invalidArgument(attempted, 'at least one thing to change', 'none');
  }
  if (change.name !== undefined) checkInterfaceName(change.name, attempted);
  checkNumbers(change, attempted);
  if (change.alias !== undefined && new TextEncoder().encode(change.alias).length > MAX_ALIAS_LEN) {
    throw invalidArgument(attempted, `an alias of at most ${MAX_ALIAS_LEN} bytes`, change.alias);
  }
  if (change.bridge !== undefined) checkBridge(change.bridge, attempted);
  if (change.bridgePort !== undefined) checkPort(change.bridgePort, attempted);
  if (change.netns === undefined || (change.bridge ?? change.bridgePort) === undefined) return;
  throw invalidArgument(attempted, 'no settings of a bridge or of its port for a link that is moved', 'both');
}

/** The kernel's own ranges are narrower and its refusal says them; here only what a u32 can hold. */
export function checkU32(value: number | undefined, what: string, attempted: string): void {
  checkRange(value, what, 0, U32_MAX, attempted);
}

/** What a change says, for messages. */
export function describeChange(change: LinkChange): string {
  const parts = Object.entries(change).filter(([, value]) => value !== undefined);
  return parts.map(([key, value]) => describePart(key, value)).join(', ');
}

function describePart(key: string, value: unknown): string {
  if (typeof value === 'boolean') return `${key} ${value ? 'on' : 'off'}`;
  if (key === 'bridge' || key === 'bridgePort') return describeChange(value as LinkChange);
  if (key === 'netns') return 'the network namespace';
  return `${key} ${value}`;
}

function checkNumbers(change: LinkChange & { readonly index?: number }, attempted: string): void {
  checkRange(change.index, 'an interface index', 1, 0x7fff_ffff, attempted);
  checkU32(change.mtu, 'an MTU in bytes', attempted);
  checkU32(change.txQueueLen, 'a queue length in packets', attempted);
  checkU32(change.group, 'a group number', attempted);
  checkU32(change.master, 'the index of a link, or 0', attempted);
}

function checkBridge(bridge: BridgeSettings, attempted: string): void {
  for (const name of ['ageingTimeSec', 'forwardDelaySec', 'helloTimeSec', 'maxAgeSec'] as const) {
    const seconds = bridge[name];
    // 2^32 hundredths.
    if (seconds === undefined || (seconds >= 0 && seconds <= 42_949_672)) continue;
    throw invalidArgument(attempted, `${name}, a number of seconds from 0 to 42949672`, seconds);
  }
  checkRange(bridge.priority, 'a priority', 0, 0xffff, attempted);
  checkRange(bridge.vlanDefaultPvid, 'a VLAN', 0, 4094, attempted);
  checkRange(bridge.groupForwardMask, 'a mask of groups', 0, 0xffff, attempted);
}

function checkPort(port: BridgePortSettings, attempted: string): void {
  checkRange(port.priority, 'a priority', 0, 63, attempted);
  checkRange(port.cost, 'a path cost', 1, 0xffff, attempted);
}

/** Whole numbers of a range; undefined passes. @throws VNIC_INVALID_ARGUMENT */
export function checkRange(value: number | undefined, what: string, min: number, max: number, attempted: string): void {
  if (value === undefined || (Number.isInteger(value) && value >= min && value <= max)) return;
  throw invalidArgument(attempted, `${what}, a whole number from ${min} to ${max}`, value);
}
