/** What an end has for itself alone while it is open, so that two that cannot be open at once are found before. */

import { endKinds } from './end-kinds.ts';
import { type EndSpec, parseHostPort, splitPath } from './end-spec.ts';

/** A device that an end makes or attaches to. */
export interface DeviceClaim {
  readonly kind: 'tun' | 'tap';
  readonly name: string;
  /** Empty for the namespace of the process. */
  readonly netns: string;
  /** The first option that only a device which is made can have: `address`, `mtu`, … */
  readonly making: string | undefined;
}

/** A port or a path that an end listens on. */
export interface ListenerClaim {
  /** What ports are told apart by beside their numbers: `udp`, `tcp`, … or `path`. */
  readonly protocol: string;
  /** Without brackets; empty for any. Of a path: the path. */
  readonly host: string;
  /** 0 for a path. */
  readonly port: number;
}

const makingOptions = ['address', 'route', 'mtu', 'mac', 'bridge'] as const;

/** Kinds that share ports; of another one its own name stands for that. */
const protocols: Readonly<Record<string, string>> = {
  udp: 'udp',
  'udp-listen': 'udp',
  'tcp-listen': 'tcp',
  'tls-listen': 'tcp',
  'ws-listen': 'tcp',
  'qemu-listen': 'tcp',
};

/** The device of an end that names one; undefined where the kernel chooses the name. */
export function deviceOf({ kind, where, options }: EndSpec): DeviceClaim | undefined {
  if ((kind !== 'tun' && kind !== 'tap') || where === '' || where.includes('%d')) return undefined;
  // `mac` of a TUN end is of the proxy which puts it on a segment.
  const making = makingOptions.find((option) => options.has(option) && (option !== 'mac' || kind === 'tap'));
  return { kind, name: where, netns: options.get('netns')?.at(-1) ?? '', making };
}

/** What an end listens on, or sends from because it was told so. @throws VNIC_INVALID_END */
export function claimsOf(spec: EndSpec): readonly ListenerClaim[] {
  const { kind, options } = spec;
  const { isListener = false, hasPath = false } = endKinds[kind];
  // The path of a URL is not in the file system.
  const address = hasPath ? splitPath(spec).spec : spec;
  const { where } = address;
  const protocol = `${protocols[kind] ?? kind}${options.has('netns') ? ` in ${options.get('netns')?.at(-1)}` : ''}`;
  const own = Number(options.get('port')?.at(-1) ?? 0);
  const ports = own > 0 ? [{ protocol, host: '', port: own }] : [];
  if (!isListener) return ports;
  if (where.includes('/')) return [{ protocol: 'path', host: where, port: 0 }, ...ports];
  if (!/(^|:)[0-9]+$/.test(where)) return ports;
  const { host, port } = parseHostPort(address);
  return port === 0 ? ports : [{ protocol, host, port }, ...ports];
}

/** True when the second cannot be had while the first is. */
export function claimsCollide(a: ListenerClaim, b: ListenerClaim): boolean {
  if (a.protocol !== b.protocol || a.port !== b.port) return false;
  return a.host === b.host || (a.port !== 0 && (covers(a.host, b.host) || covers(b.host, a.host)));
}

/** `::` and no host at all are IPv4 too. */
function covers(any: string, host: string): boolean {
  if (any === '' || any === '::') return true;
  return any === '0.0.0.0' && !host.includes(':');
}
