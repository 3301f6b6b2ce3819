/** From the text of an end to a link that carries packets. */

import { lookup } from 'node:dns/promises';

import { Cidr, IpAddress, MacAddress, VnicError } from '../base/index.ts';
import { framings, lengthFraming, qemuFraming } from '../framing/index.ts';
import { attachResponder, createResponder } from '../host/index.ts';
import { createLinkPair, MAX_FRAME_LEN, type Medium, type PacketLink } from '../link/index.ts';
import type { OpenDeviceOptions } from '../netdev/index.ts';
import { openDevice, parseDeviceRoute, systemClock } from '../netdev/index.ts';
import { getLinkSync, type LinkInfo } from '../netlink/index.ts';
import { openUdp, StreamLink, UdpLink, type UdpSocket } from '../transport/index.ts';
import { type CarrierPolicy, type Connected, keepConnected, offer } from './carrier.ts';
import { endKinds } from './end-kinds.ts';
import { type EndSpec, mistake, parseHostPort, readEach, readOption } from './end-spec.ts';
import {
  connectStream,
  describeAddress,
  listenForStreams,
  type StreamAddress,
  standardStreams,
  startProgram,
} from './streams.ts';

/** An end that is open. */
export interface OpenEnd {
  readonly link: PacketLink;
  /** For people: `TUN device tun0`, `TCP 192.0.2.1:7000`. */
  readonly label: string;
  /** Closes the link and everything behind it. Idempotent. */
  close(): Promise<void>;
}

/** How an end is opened. */
export interface OpenEndOptions extends CarrierPolicy {
  /** What it carries. */
  readonly medium: Medium;
  /** Longest payload of a device that is made and is not told otherwise. */
  readonly mtu?: number;
  /** Devices hand super-packets through as they are: both ends do, or neither. */
  readonly superPackets?: boolean;
}

/** IPv6 and UDP header: over IPv4 it is less, but both sides come to the same MTU, whichever they know of each other. */
const UDP_OVERHEAD_LEN = 48;
/** Ethernet header and one 802.1Q tag. */
const ETHERNET_OVERHEAD_LEN = 18;
const DEFAULT_MTU = 1500;
const MIN_MTU = 68;
const MAX_MTU = 65_535;

/**
 * Opens an end.
 * @throws VNIC_INVALID_END, VNIC_PEER_UNREACHABLE (of a datagram end, or with `once`), VNIC_SYSTEM_CALL, VNIC_PROGRAM_MISSING; what `openDevice`
 *   throws
 */
export async function openEnd(spec: EndSpec, options: OpenEndOptions): Promise<OpenEnd> {
  switch (spec.kind) {
    case 'tun':
    case 'tap':
      return openDeviceEnd(spec, spec.kind, options);
    case 'udp':
    case 'udp-listen':
      return openUdpEnd(spec, options);
    case 'echo':
      return openEcho(spec, options);
    case 'null':
      return openNull(spec, options);
    default:
      return openStreamEnd(spec, options);
  }
}

/** True for an end whose device takes its MTU from the other end. */
export function takesMtu({ kind, options }: EndSpec): boolean {
  return (kind === 'tun' || kind === 'tap') && !options.has('mtu');
}

/** True for a device that can hand super-packets through as they are. */
export function carriesSuperPackets(spec: EndSpec): boolean {
  if ((spec.kind !== 'tun' && spec.kind !== 'tap') || offloadOf(spec) === 'off') return false;
  const tun = existing(spec)?.tun;
  return tun === undefined || (tun.vnetHeader && !tun.packetInfo);
}

function existing(spec: EndSpec): LinkInfo | undefined {
  const netns = spec.options.get('netns')?.at(-1);
  return spec.where === '' ? undefined : getLinkSync(spec.where, netns === undefined ? {} : { netns });
}

function offloadOf(spec: EndSpec): 'auto' | 'off' {
  const words = { on: 'auto', off: 'off' } as const;
  return readOption(spec, 'offload', 'on or off', (text) => words[text as 'on' | 'off']) ?? 'auto';
}

async function openDeviceEnd(
  spec: EndSpec,
  kind: 'tun' | 'tap',
  { mtu, superPackets = false }: OpenEndOptions,
): Promise<OpenEnd> {
  const netns = spec.options.get('netns')?.at(-1);
  const found = existing(spec);
  const offload = superPackets ? ({ superPackets } as const) : ({ offload: offloadOf(spec) } as const);
  const device = await openDevice({
    ...(netns !== undefined && { netns }),
    ...(spec.where !== '' && { name: spec.where }),
    ...(found === undefined ? newDevice(spec, kind, offload, mtu) : existingDevice(spec, kind, offload, found)),
  });
  return {
    link: device,
    label: `${kind.toUpperCase()} device ${device.name}${netns === undefined ? '' : ` in ${netns}`}`,
    close: () => device.close(),
  };
}

type DeviceOffload = Pick<OpenDeviceOptions, 'offload' | 'superPackets'>;

function newDevice(
  spec: EndSpec,
  kind: 'tun' | 'tap',
  offload: DeviceOffload,
  mtu: number | undefined,
): OpenDeviceOptions {
  const mac = readOption(spec, 'mac', 'a MAC address', (text) => MacAddress.parse(text));
  const master = spec.options.get('bridge')?.at(-1);
  const wanted = readMtu(spec) ?? mtu;
  return {
    kind,
    up: true,
    vnetHeader: offload.offload !== 'off',
    ...offload,
    addresses: readEach(spec, 'address', 'an address with its prefix length', (text) => Cidr.parse(text)),
    routes: readEach(spec, 'route', 'a prefix', (text) => parseDeviceRoute(text)),
    ...(wanted !== undefined && { mtu: wanted }),
    ...(mac !== undefined && { mac }),
    ...(master !== undefined && { master }),
  };
}

/** Used as it is: attaching with other flags, or an address more, would change a device of somebody else. */
function existingDevice(
  spec: EndSpec,
  kind: 'tun' | 'tap',
  offload: DeviceOffload,
  found: LinkInfo,
): OpenDeviceOptions {
  const changes = ['address', 'route', 'mtu', 'mac', 'bridge'].find((option) => spec.options.has(option));
  if (changes !== undefined) {
    throw mistake(
      spec.text,
      spec.text.indexOf(`${changes}=`),
      changes.length,
      `${found.name} exists, and is used as it is`,
      {
        hint: `Leave ${changes} out, and set it beforehand: \`vnic set ${found.name} …\`.`,
      },
    );
  }
  const { packetInfo = false, vnetHeader = false, multiQueue = false } = found.tun ?? {};
  return { kind, packetInfo, vnetHeader, multiQueue, ...(vnetHeader && !packetInfo && offload) };
}

async function openUdpEnd(spec: EndSpec, { medium }: OpenEndOptions): Promise<OpenEnd> {
  const { host, port } = parseHostPort(spec);
  const socket = await openUdp(await udpOptions(spec, host, port));
  const overheadLen = medium === 'ethernet' ? ETHERNET_OVERHEAD_LEN : 0;
  const mtu = readMtu(spec) ?? pathMtuOf(socket) - UDP_OVERHEAD_LEN - overheadLen;
  const name = `${spec.kind} ${describeAddress({ host, port: port || socket.local.port })}`;
  const link = new UdpLink(socket, { medium, mtu, name });
  return {
    link,
    label: spec.kind === 'udp' ? `UDP to ${describeAddress({ host, port })}` : `UDP on port ${socket.local.port}`,
    close: () => link.close(),
  };
}

async function udpOptions(spec: EndSpec, host: string, port: number): Promise<Parameters<typeof openUdp>[0]> {
  const address = host === '' ? undefined : await resolveHost(spec, host);
  if (spec.kind === 'udp-listen') return { local: { ...(address !== undefined && { address }), port } };
  const localPort = readOption(spec, 'port', 'a port', (text) => wholeNumber(text, 1, 0xffff));
  return {
    ...(address !== undefined && { remote: { address, port } }),
    ...(localPort !== undefined && { local: { port: localPort } }),
  };
}

async function resolveHost({ text }: EndSpec, host: string): Promise<IpAddress> {
  try {
    return IpAddress.parse(host);
  } catch {
    // A name.
  }
  try {
    return IpAddress.parse((await lookup(host)).address);
  } catch (cause) {
    throw new VnicError('VNIC_PEER_UNREACHABLE', {
      attempted: `find the address of ${host}`,
      reason: 'no address is known for that name',
      hint: `Check the name in ${text}, or give the address.`,
      cause,
    });
  }
}

/** The kernel knows it of a connected socket; loopback has 64 KiB, which nobody behind a device wants. */
function pathMtuOf(socket: UdpSocket): number {
  return socket.remote === undefined ? DEFAULT_MTU : Math.min(DEFAULT_MTU, socket.pathMtu());
}

async function openStreamEnd(spec: EndSpec, asked: OpenEndOptions): Promise<OpenEnd> {
  // Standard input that has ended does not come again.
  const options = { ...asked, once: asked.once || spec.kind === 'stdio' };
  const { medium, once } = options;
  const isQemu = spec.kind === 'qemu' || spec.kind === 'qemu-listen';
  const framing =
    readOption(spec, 'framing', `one of ${Object.keys(framings).join(', ')}`, (text) => framings[text]) ??
    (isQemu ? qemuFraming : lengthFraming);
  if (framing.name === 'ip' && medium === 'ethernet') {
    throw mistake(
      spec.text,
      spec.text.indexOf('framing='),
      'framing=ip'.length,
      'Ethernet frames do not say how long they are',
      {
        hint: 'Choose another framing: length, slip, hdlc or cobs.',
      },
    );
  }
  const isListener = endKinds[spec.kind].isListener === true;
  const address = addressOf(spec);
  const label = address === undefined ? spec.kind : `${spec.kind} ${describeAddress(address)}`;
  const mtu = Math.min(readMtu(spec) ?? DEFAULT_MTU, framing.maxPacketLen, MAX_FRAME_LEN);
  const link = new StreamLink({ name: label, medium, framing, mtu, keep: !once });
  const stop =
    isListener && address !== undefined
      ? await accept(link, address, options)
      : await keepConnected(link, connectorOf(spec, address), options);
  return {
    link,
    label,
    close: async () => {
      stop();
      await link.close();
    },
  };
}

async function accept(link: StreamLink, address: StreamAddress, { onEvent }: OpenEndOptions): Promise<() => void> {
  const { stop } = await listenForStreams(address, (connected) => offer(link, connected, onEvent));
  return stop;
}

function connectorOf(spec: EndSpec, address: StreamAddress | undefined): (signal: AbortSignal) => Promise<Connected> {
  if (spec.kind === 'exec') return () => startProgram(spec.where);
  if (address === undefined) return () => Promise.resolve(standardStreams());
  return (signal) => connectStream(address, signal);
}

function addressOf(spec: EndSpec): StreamAddress | undefined {
  switch (spec.kind) {
    case 'unix':
    case 'unix-listen':
      return { path: spec.where };
    case 'qemu':
    case 'qemu-listen':
      return spec.where.includes('/') ? { path: spec.where } : parseHostPort(spec);
    case 'tcp':
    case 'tcp-listen':
      return parseHostPort(spec);
    default:
      return undefined;
  }
}

async function openEcho(spec: EndSpec, { medium, mtu = DEFAULT_MTU }: OpenEndOptions): Promise<OpenEnd> {
  const parse = (text: string): Cidr => Cidr.parse(text).network;
  let first: Cidr;
  try {
    first = parse(spec.where);
  } catch {
    throw mistake(
      spec.text,
      spec.kind.length + 1,
      spec.where.length,
      `expected an address or a subnet, found ${JSON.stringify(spec.where)}`,
      {
        hint: 'For example echo:10.0.0.2.',
      },
    );
  }
  const answer = [first, ...readEach(spec, 'also', 'an address or a subnet', parse)];
  const [link, inside] = createLinkPair({ medium, mtu, names: [`echo ${answer.join(', ')}`, 'echo'] });
  const attached = attachResponder(inside, createResponder({ medium, mtu, answer }), systemClock);
  attached.done.catch(() => undefined);
  return { link, label: `echo of ${answer.join(', ')}`, close: () => link.close() };
}

async function openNull(_spec: EndSpec, { medium, mtu = MAX_MTU }: OpenEndOptions): Promise<OpenEnd> {
  const [link, inside] = createLinkPair({ medium, mtu, names: ['null', 'null'] });
  inside.onBatch(
    () => undefined,
    () => undefined,
  );
  return { link, label: 'null', close: () => link.close() };
}

function readMtu(spec: EndSpec): number | undefined {
  return readOption(spec, 'mtu', `a whole number from ${MIN_MTU} to ${MAX_MTU}`, (text) =>
    wholeNumber(text, MIN_MTU, MAX_MTU),
  );
}

function wholeNumber(text: string, min: number, max: number): number | undefined {
  const value = /^[0-9]{1,10}$/.test(text) ? Number(text) : Number.NaN;
  return value >= min && value <= max ? value : undefined;
}
