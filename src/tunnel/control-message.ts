/**
 * What the two sides of a tunnel tell each other, between the packets that they carry.
 *
 *   control packet   0 prefix 03 76 6e 69 63 00 (6 bytes) | 6 JSON in UTF-8, one object with a `type`
 *
 * No packet begins with that prefix: IP packets begin with 4 or 6, and as an Ethernet address it is a locally administered
 * group that nobody uses. Frames with it are not let into a tunnel, so that nobody behind one side can speak for it.
 * So control packets go over whatever carries packets. What comes is data: a message that breaks the rules is undefined, and counted.
 *
 *   connecting side   hello                                  -> listening side
 *                     welcome or refused                     <-
 *   both              ping, answered by pong; bye before the end
 */

import { Cidr, IpAddress, isVnicError } from '../base/index.ts';
import type { Medium } from '../link/index.ts';

/** What a control packet begins with. */
export const CONTROL_PREFIX: Uint8Array = Uint8Array.of(0x03, 0x76, 0x6e, 0x69, 0x63, 0x00);
/** Version of the messages: of a hello with another one the listening side says so. */
export const PROTOCOL_VERSION = 1;
/** Longest control packet in bytes, prefix counted. */
export const MAX_CONTROL_LEN = 16_384;
/** Most addresses, and most routes, of a welcome. */
export const MAX_LIST_LEN = 256;

/** Asks for the tunnel. */
export interface Hello {
  readonly type: 'hello';
  readonly version: number;
  readonly medium: Medium;
  /** What the side calls itself, for people; up to 64 characters. */
  readonly name: string;
  /** Reads and writes super-packets behind a virtio-net header, if the other side does. */
  readonly superPackets: boolean;
}

/** Grants the tunnel, and hands out what the device of the connecting side is to have. */
export interface Welcome {
  readonly type: 'welcome';
  /** Addresses with their prefix lengths. */
  readonly addresses: readonly Cidr[];
  /** What is behind the listening side. */
  readonly routes: readonly Cidr[];
  /** Addresses of the listening side in the tunnel. */
  readonly gateways: readonly IpAddress[];
  /** Longest payload of the devices, in bytes. */
  readonly mtu: number;
  /** A ping is due when nothing was heard for so long. */
  readonly keepAliveMs: number;
  readonly superPackets: boolean;
}

/** Why a tunnel is not granted. */
export type RefusalReason = 'version' | 'medium' | 'super-packets' | 'not-allowed' | 'no-address' | 'busy';

/** Refuses the tunnel. */
export interface Refused {
  readonly type: 'refused';
  readonly reason: RefusalReason;
}

/** Any message. `bye`: the side ends the tunnel in good order. */
export type ControlMessage =
  | Hello
  | Welcome
  | Refused
  | { readonly type: 'ping' | 'pong'; readonly id: number }
  | { readonly type: 'bye' };

/** Hot. True when a packet of `length` bytes at `bytes[offset]` is a control packet, whatever is in it. */
export function isControl(bytes: Uint8Array, offset: number, length: number): boolean {
  if (length < CONTROL_PREFIX.length || bytes[offset] !== CONTROL_PREFIX[0]) return false;
  for (let i = 1; i < CONTROL_PREFIX.length; i++) if (bytes[offset + i] !== CONTROL_PREFIX[i]) return false;
  return true;
}

/** The packet of a message. */
export function emitControl(message: ControlMessage): Uint8Array {
  const text = new TextEncoder().encode(JSON.stringify(message));
  const packet = new Uint8Array(CONTROL_PREFIX.length + text.length);
  packet.set(CONTROL_PREFIX);
  packet.set(text, CONTROL_PREFIX.length);
  return packet;
}

/** The message of a control packet; undefined when it breaks the rules. */
export function parseControl(packet: Uint8Array): ControlMessage | undefined {
  if (packet.length > MAX_CONTROL_LEN || !isControl(packet, 0, packet.length)) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(packet.subarray(CONTROL_PREFIX.length)));
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const fields = value as Readonly<Record<string, unknown>>;
  switch (fields['type']) {
    case 'hello':
      return helloOf(fields);
    case 'welcome':
      return welcomeOf(fields);
    case 'refused': {
      const reason = refusals.find((one) => one === fields['reason']);
      return reason === undefined ? undefined : { type: 'refused', reason };
    }
    case 'ping':
    case 'pong': {
      const id = whole(fields['id'], 0, 0xffff_ffff);
      return id === undefined ? undefined : { type: fields['type'], id };
    }
    case 'bye':
      return { type: 'bye' };
    default:
      return undefined;
  }
}

const refusals: readonly RefusalReason[] = ['version', 'medium', 'super-packets', 'not-allowed', 'no-address', 'busy'];
const MAX_NAME_LEN = 64;
const MIN_MTU = 68;
const MAX_MTU = 65_535;
const MIN_KEEP_ALIVE_MS = 100;
const MAX_KEEP_ALIVE_MS = 3_600_000;

function helloOf(fields: Readonly<Record<string, unknown>>): Hello | undefined {
  const { medium, name, superPackets } = fields;
  const version = whole(fields['version'], 0, 0xffff);
  if (version === undefined || (medium !== 'ip' && medium !== 'ethernet')) return undefined;
  if (typeof name !== 'string' || name.length > MAX_NAME_LEN || typeof superPackets !== 'boolean') return undefined;
  return { type: 'hello', version, medium, name, superPackets };
}

function welcomeOf(fields: Readonly<Record<string, unknown>>): Welcome | undefined {
  const addresses = listOf(fields['addresses'], (text) => Cidr.parse(text));
  const routes = listOf(fields['routes'], (text) => Cidr.parse(text));
  const gateways = listOf(fields['gateways'], (text) => IpAddress.parse(text));
  const mtu = whole(fields['mtu'], MIN_MTU, MAX_MTU);
  const keepAliveMs = whole(fields['keepAliveMs'], MIN_KEEP_ALIVE_MS, MAX_KEEP_ALIVE_MS);
  const { superPackets } = fields;
  if (addresses === undefined || routes === undefined || gateways === undefined) return undefined;
  if (mtu === undefined || keepAliveMs === undefined || typeof superPackets !== 'boolean') return undefined;
  // Host bits in a route are a mistake of the other side, which is mended here.
  return {
    type: 'welcome',
    addresses,
    routes: routes.map(({ network }) => network),
    gateways,
    mtu,
    keepAliveMs,
    superPackets,
  };
}

function whole(value: unknown, min: number, max: number): number | undefined {
  return typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max ? value : undefined;
}

function listOf<T>(value: unknown, parse: (text: string) => T): readonly T[] | undefined {
  if (!Array.isArray(value) || value.length > MAX_LIST_LEN) return undefined;
  const items: T[] = [];
  for (const item of value as readonly unknown[]) {
    if (typeof item !== 'string') return undefined;
    try {
      items.push(parse(item));
    } catch (error) {
      if (isVnicError(error, 'VNIC_INVALID_ADDRESS')) return undefined;
      throw error;
    }
  }
  return items;
}
