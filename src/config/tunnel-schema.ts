/** Tunnels in the file: what `vnic tunnel` takes as options, by the same names. */

import { Cidr, invalidArgument, isVnicError } from '../base/index.ts';
import { parseTunnelWhere } from '../ends/index.ts';
import { parseFingerprint } from '../identity/index.ts';
import { checkInterfaceName } from '../netlink/index.ts';
import { choice, flag, integer, list, mapped, object, record, type Schema, text } from './schema.ts';

/** A client that a listening side knows beforehand. */
export interface TunnelClientConfig {
  /** Fingerprint of its key: `sha256:…`. */
  readonly key: string;
  readonly addresses?: readonly string[];
  readonly networks?: readonly string[];
  readonly access?: readonly string[];
}

/** A tunnel as it is read: exactly one of `listen` and `connect`. */
export interface TunnelDocument {
  readonly listen?: string;
  readonly connect?: string;
  readonly kind?: 'tun' | 'tap';
  /** Name of the device. */
  readonly device?: string;
  readonly bridge?: string;
  readonly routes?: readonly string[];
  /** Paths of PEM files. */
  readonly certificate?: string;
  readonly privateKey?: string;
  readonly ca?: string;
  readonly insecure?: boolean;
  readonly offload?: boolean;
  readonly addresses?: readonly string[];
  /** Bytes. */
  readonly mtu?: number;
  readonly clients?: readonly (readonly [name: string, client: TunnelClientConfig])[];
  readonly allow?: readonly string[];
  readonly anyone?: boolean;
  readonly maxClients?: number;
  /** Seconds. */
  readonly keepAlive?: number;
  readonly forwarding?: boolean;
  readonly masquerade?: boolean;
  readonly pin?: readonly string[];
  readonly servername?: string;
  readonly as?: string;
  readonly acceptRoutes?: boolean;
  readonly defaultRoute?: boolean;
  readonly killSwitch?: boolean;
}

const where = (side: 'listen' | 'connect'): Schema<string> =>
  text(
    (value) => {
      parseTunnelWhere(value, side);
      return value;
    },
    side === 'listen' ? '[HOST:]PORT, such as "7000"' : 'HOST:PORT, such as "192.0.2.1:7000"',
    { numbers: side === 'listen' },
  );

const fingerprint: Schema<string> = text((value) => {
  const parsed = parseFingerprint(value);
  if (parsed !== undefined) return parsed;
  throw invalidArgument('read', 'a fingerprint, sha256:…, as `vnic identity` prints it', value);
}, 'a fingerprint, sha256:…');

const address: Schema<string> = text((value) => {
  if (!value.includes('/'))
    throw invalidArgument('read', 'an address with its prefix length, such as 10.9.0.1/24', value);
  return Cidr.parse(value).toString();
}, 'an address with its prefix length, such as 10.9.0.1/24');

const prefix: Schema<string> = text((value) => Cidr.parse(value).network.toString(), 'a prefix such as 10.0.0.0/8');
const path: Schema<string> = text((value) => value, 'the path of a file');
const word: Schema<string> = text((value) => value, 'a text');
const interfaceName: Schema<string> = text((value) => {
  checkInterfaceName(value, 'read the name');
  return value;
}, 'the name of an interface');

const client: Schema<Partial<TunnelClientConfig>> = object<TunnelClientConfig>({
  key: { schema: fingerprint, about: 'The fingerprint of its key, which `vnic identity` prints there', required: true },
  addresses: { schema: list(address), about: 'Its addresses in the tunnel; default from the subnets of `addresses`' },
  networks: { schema: list(prefix), about: 'Networks behind it' },
  access: { schema: list(prefix), about: 'Where it may send to and hear from; default everywhere' },
});

const clientName: Schema<string> = text((value) => {
  if (value !== '' && value.length <= 64) return value;
  throw invalidArgument('read', 'a name of 1 to 64 characters', value);
}, 'the name of a client');

/** One tunnel. */
export const tunnel: Schema<Partial<TunnelDocument>> = object<TunnelDocument>({
  listen: {
    schema: where('listen'),
    about: 'Listen here: a port, with tls: (default), wss: or udp: and a host before it',
  },
  connect: {
    schema: where('connect'),
    about: 'Connect there: host and port, with tls: (default), wss: or udp: before them',
  },
  kind: {
    schema: choice('tun', 'tap'),
    about: 'What the device carries: IP packets, or Ethernet frames',
    default: 'tun',
  },
  device: { schema: interfaceName, about: 'Name of the device; default chosen by the kernel' },
  bridge: { schema: interfaceName, about: 'Of kind tap: the bridge that the device becomes a port of' },
  routes: {
    schema: list(prefix),
    about: 'Listening: what is handed to the clients; connecting: further routes through it',
  },
  certificate: { schema: path, about: 'A PEM file to show instead of the own certificate; with privateKey' },
  privateKey: { schema: path, about: 'The PEM file of its key' },
  ca: { schema: path, about: 'A PEM file: trust certificates that one of these has signed' },
  insecure: {
    schema: flag,
    about: 'Allow udp:, where nothing is encrypted and nobody proves who it is',
    default: false,
  },
  offload: { schema: flag, about: 'Carry super-packets where both sides can', default: true },
  addresses: {
    schema: list(address),
    about: 'Listening: addresses of this side; clients get others of the same subnets',
  },
  mtu: { schema: integer(68, 65_535), about: 'Listening: MTU of all devices; default what fits' },
  clients: {
    schema: mapped(record(clientName, client), (found) => found as [string, TunnelClientConfig][]),
    about: 'Listening: clients by name',
  },
  allow: {
    schema: list(fingerprint),
    about: 'Listening: keys that may come in, beside those of `clients` and `vnic identity allow`',
  },
  anyone: { schema: flag, about: 'Listening: let everybody in', default: false },
  maxClients: { schema: integer(1, 65_000), about: 'Listening: clients at the same time', default: 256 },
  keepAlive: {
    schema: integer(1, 3600),
    about: 'Listening: seconds of silence after which a side is asked',
    default: 10,
  },
  forwarding: { schema: flag, about: 'Listening: forward packets between tunnel and network', default: false },
  masquerade: {
    schema: flag,
    about: 'Listening: what leaves has the address of this machine; implies forwarding',
    default: false,
  },
  pin: {
    schema: list(fingerprint),
    about: 'Connecting: keys that the other side may have; default the one that it had first',
  },
  servername: { schema: word, about: 'Connecting, with ca: the name in the certificate; default the host' },
  as: { schema: word, about: 'Connecting: what this side calls itself; default the host name' },
  acceptRoutes: { schema: flag, about: 'Connecting: take the routes that are handed out', default: true },
  defaultRoute: {
    schema: flag,
    about: 'Connecting: send everything through the tunnel, but for its own connection',
    default: false,
  },
  killSwitch: {
    schema: flag,
    about: 'Connecting, with defaultRoute: let nothing past it, also while it is down',
    default: false,
  },
});

const ofListening: readonly (keyof TunnelDocument)[] = [
  'addresses',
  'mtu',
  'clients',
  'allow',
  'anyone',
  'maxClients',
  'keepAlive',
  'forwarding',
  'masquerade',
];
const ofConnecting: readonly (keyof TunnelDocument)[] = [
  'pin',
  'servername',
  'as',
  'acceptRoutes',
  'defaultRoute',
  'killSwitch',
];

/** Reports what contradicts itself in a tunnel. */
export function checkTunnel(
  document: Partial<TunnelDocument>,
  at: string,
  report: (path: string, message: string, hint?: string) => void,
): void {
  const {
    listen,
    connect,
    kind = 'tun',
    bridge,
    certificate,
    privateKey,
    addresses,
    defaultRoute,
    killSwitch,
  } = document;
  if ((listen === undefined) === (connect === undefined)) {
    report(at, 'expected either listen or connect', 'Give one of them.');
    return;
  }
  const [side, foreign] = listen === undefined ? ['connect', ofListening] : ['listen', ofConnecting];
  for (const key of foreign as typeof ofListening) {
    if (document[key] !== undefined) report(`${at}.${key}`, `${key} has no meaning with ${side}`, 'Leave it out.');
  }
  if (bridge !== undefined && kind === 'tun')
    report(`${at}.bridge`, 'a TUN device cannot be a port of a bridge', 'Add kind: tap.');
  if ((certificate === undefined) !== (privateKey === undefined)) {
    report(at, 'certificate and privateKey belong together', 'Give both.');
  }
  if (listen !== undefined && addresses === undefined && bridge === undefined) {
    report(at, 'a side that listens needs addresses', 'For example addresses: [10.9.0.1/24].');
  }
  if (killSwitch && !defaultRoute)
    report(`${at}.killSwitch`, 'killSwitch needs defaultRoute', 'Add defaultRoute: true.');
  if (document.insecure !== true && isUdp(listen ?? connect ?? '', listen === undefined ? 'connect' : 'listen')) {
    report(`${at}.${side as string}`, 'over UDP nothing is encrypted', 'Leave udp: out, or add insecure: true.');
  }
}

function isUdp(place: string, side: 'listen' | 'connect'): boolean {
  try {
    return parseTunnelWhere(place, side).carrier === 'udp';
  } catch (error) {
    if (isVnicError(error)) return false;
    throw error;
  }
}
