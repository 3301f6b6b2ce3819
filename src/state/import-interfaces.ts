/**
 * `/etc/network/interfaces` (interfaces(5) of ifupdown): the stanzas that describe TUN/TAP devices and bridges.
 *
 * A device is one of ours when its stanza says so: `tunctl_user` of uml-utilities, or a `pre-up` line with
 * `ip tuntap add`, `tunctl` or `openvpn --mktun`. What else a stanza says is carried over where a configuration can
 * say it, and told where it cannot.
 */

import { Cidr, IpAddress, invalidArgument, isVnicError, MacAddress } from '../base/index.ts';
import type { RouteConfig } from '../config/index.ts';
import {
  configOf,
  type DraftDevice,
  draftDevice,
  type ImportedConfig,
  type ImportNote,
  type SourceFile,
} from './imported.ts';

/** A line with where it stands. */
interface Line {
  readonly number: number;
  readonly words: readonly string[];
  readonly text: string;
}

interface Stanza {
  readonly name: string;
  readonly family: string;
  readonly method: string;
  readonly head: Line;
  readonly lines: Line[];
}

/** Reads one file. Nothing of it is run. */
export function importInterfaces(file: SourceFile): ImportedConfig {
  const notes: ImportNote[] = [];
  const devices = new Map<string, DraftDevice>();
  const ports = new Map<string, string>();
  for (const stanza of stanzasOf(file, notes)) {
    const note = (line: Line, message: string): void =>
      void notes.push({ path: file.path, line: line.number, message });
    const known = devices.get(stanza.name);
    const kind = known?.kind ?? kindOf(stanza);
    if (kind === undefined) {
      note(stanza.head, `${stanza.name} is not described as a TUN/TAP device or a bridge, and is left out`);
      continue;
    }
    const device = known ?? { ...draftDevice(stanza.name), kind };
    devices.set(stanza.name, device);
    carryOver(stanza, device, ports, note);
  }
  for (const [port, bridge] of ports) {
    const device = devices.get(port);
    if (device === undefined) devices.set(port, { ...draftDevice(port), bridge });
    else device.bridge = bridge;
  }
  return { config: configOf([...devices.values()]), notes };
}

function stanzasOf(file: SourceFile, notes: ImportNote[]): Stanza[] {
  const stanzas: Stanza[] = [];
  let current: Stanza | undefined;
  for (const line of linesOf(file.text)) {
    const [keyword = '', name = '', family = '', method = ''] = line.words;
    if (keyword === 'iface') {
      current = { name, family, method, head: line, lines: [] };
      stanzas.push(current);
    } else if (keyword === 'mapping' || keyword.startsWith('source')) {
      current = undefined;
      notes.push({ path: file.path, line: line.number, message: `"${line.text}" is not followed` });
    } else if (keyword === 'auto' || keyword.startsWith('allow-') || keyword.startsWith('no-')) {
      // A configuration is applied as a whole.
      current = undefined;
    } else if (current !== undefined) current.lines.push(line);
    else notes.push({ path: file.path, line: line.number, message: `"${line.text}" stands outside of a stanza` });
  }
  return stanzas.filter(({ name, method }) => !(name === 'lo' || method === 'loopback'));
}

/** Comments are whole lines; a line ends with a backslash where it goes on. */
function linesOf(text: string): Line[] {
  const lines: Line[] = [];
  let rest = '';
  let first = 0;
  for (const [i, raw] of text.split('\n').entries()) {
    if (rest === '') first = i + 1;
    const line = raw.replace(/\r$/, '');
    if (rest === '' && line.trim().startsWith('#')) continue;
    if (line.endsWith('\\')) {
      rest += `${line.slice(0, -1)} `;
      continue;
    }
    const whole = `${rest}${line}`.trim();
    rest = '';
    if (whole !== '') lines.push({ number: first, words: whole.split(/\s+/), text: whole });
  }
  return lines;
}

function kindOf({ lines }: Stanza): 'tun' | 'tap' | 'bridge' | undefined {
  for (const { words } of lines) {
    const [key = ''] = words;
    if (key.startsWith('tunctl_')) return 'tap';
    if (key.startsWith('bridge_') || key.startsWith('bridge-')) return 'bridge';
    const made = makingOf(words.slice(1));
    if (hooks.includes(key) && made !== undefined) return made.kind;
  }
  return undefined;
}

const hooks: readonly string[] = ['pre-up', 'up', 'post-up'];
const undoing: readonly string[] = ['down', 'pre-down', 'post-down'];

interface Making {
  readonly kind: 'tun' | 'tap';
  readonly owner?: string;
  readonly group?: string;
  readonly multiQueue?: boolean;
}

/** What a command line makes; undefined for one that makes no device. */
function makingOf(words: readonly string[]): Making | undefined {
  const program = words[0]?.split('/').at(-1);
  const after = (...keys: readonly string[]): string | undefined => {
    const at = words.findIndex((word) => keys.includes(word));
    return at < 0 ? undefined : words[at + 1];
  };
  if (program === 'ip' && words[1] === 'tuntap' && words[2] === 'add') {
    const owner = after('user');
    const group = after('group');
    return {
      kind: after('mode') === 'tap' ? 'tap' : 'tun',
      ...(owner !== undefined && { owner }),
      ...(group !== undefined && { group }),
      ...(words.includes('multi_queue') && { multiQueue: true }),
    };
  }
  if (program === 'tunctl') {
    const owner = after('-u');
    const group = after('-g');
    return {
      kind: words.includes('-n') ? 'tun' : 'tap',
      ...(owner !== undefined && { owner }),
      ...(group !== undefined && { group }),
    };
  }
  if (program !== 'openvpn' || !words.includes('--mktun')) return undefined;
  const owner = after('--user');
  const group = after('--group');
  const kind = (after('--dev-type') ?? after('--dev'))?.startsWith('tap') ? 'tap' : 'tun';
  return { kind, ...(owner !== undefined && { owner }), ...(group !== undefined && { group }) };
}

type Note = (line: Line, message: string) => void;

function carryOver(stanza: Stanza, device: DraftDevice, ports: Map<string, string>, note: Note): void {
  if (!['static', 'manual'].includes(stanza.method)) {
    note(stanza.head, `the method ${stanza.method} is not carried over: addresses here are written down`);
  }
  const netmask = stanza.lines.find(({ words }) => words[0] === 'netmask')?.words[1];
  for (const line of stanza.lines) {
    try {
      if (!carryOverLine(line, stanza, device, netmask, ports)) note(line, `"${line.text}" is not carried over`);
    } catch (error) {
      if (!isVnicError(error)) throw error;
      note(line, `"${line.text}" is not carried over: ${error.reason}`);
    }
  }
}

/** @returns false for a line that a configuration cannot say */
function carryOverLine(
  line: Line,
  stanza: Stanza,
  device: DraftDevice,
  netmask: string | undefined,
  ports: Map<string, string>,
): boolean {
  const [key = '', value = ''] = line.words;
  const rest = line.words.slice(1);
  switch (key) {
    case 'address':
      device.addresses.push(cidrOf(value, netmask, stanza.family));
      return true;
    case 'netmask':
      return true;
    case 'gateway': {
      const via = IpAddress.parse(value);
      device.routes.push({ to: via.family === 4 ? '0.0.0.0/0' : '::/0', via: via.toString() });
      return true;
    }
    case 'mtu':
      device.mtu = numberOf(value);
      return true;
    case 'hwaddress':
      device.mac = MacAddress.parse(rest.at(-1) ?? '').toString();
      return true;
    case 'tunctl_user':
      device.owner = value;
      return true;
    case 'bridge_ports':
    case 'bridge-ports':
      if (rest.includes('regex') || rest.includes('all')) return false;
      for (const port of rest.filter((word) => word !== 'none')) ports.set(port, device.name);
      return true;
    case 'bridge_stp':
    case 'bridge-stp':
      device.bridgeSettings = { ...device.bridgeSettings, stp: value === 'on' || value === 'yes' };
      return true;
    default:
      if (carryOverBridge(key, value, device)) return true;
      // What takes down what was put up needs no word of its own here.
      return undoing.includes(key) || (hooks.includes(key) && carryOverHook(rest, device));
  }
}

/** bridge-utils-interfaces(5); ifupdown2 writes a dash. */
const bridgeNumbers: Readonly<Record<string, string>> = {
  bridge_ageing: 'ageingTimeSec',
  bridge_fd: 'forwardDelaySec',
  bridge_hello: 'helloTimeSec',
  bridge_maxage: 'maxAgeSec',
  bridge_bridgeprio: 'priority',
};

function carryOverBridge(key: string, value: string, device: DraftDevice): boolean {
  const name = bridgeNumbers[key.replaceAll('-', '_')];
  if (name === undefined) return false;
  device.bridgeSettings = { ...device.bridgeSettings, [name]: numberOf(value) };
  return true;
}

function carryOverHook(words: readonly string[], device: DraftDevice): boolean {
  const made = makingOf(words);
  if (made !== undefined) {
    Object.assign(device, made);
    return true;
  }
  const [program = '', ...args] = words;
  if (program.split('/').at(-1) !== 'ip') return false;
  const family = args[0]?.startsWith('-') ? args.slice(1) : args;
  const [object = '', verb = '', ...rest] = family;
  if ('link'.startsWith(object) && verb === 'set') return carryOverLinkSet(rest, device);
  if ('address'.startsWith(object) && object !== '' && verb === 'add') {
    const [cidr = '', dev, name] = rest;
    if (rest.length > 3 || (dev !== undefined && !(dev === 'dev' && isName(name, device)))) return false;
    device.addresses.push(Cidr.parse(cidr).toString());
    return true;
  }
  if ('route'.startsWith(object) && object !== '' && (verb === 'add' || verb === 'replace'))
    return carryOverRoute(rest, device);
  return false;
}

function carryOverLinkSet(words: readonly string[], device: DraftDevice): boolean {
  const rest = words[0] === 'dev' ? words.slice(1) : words;
  const [name, ...settings] = rest;
  if (!isName(name, device)) return false;
  for (let i = 0; i < settings.length; i++) {
    const [key, value = ''] = settings.slice(i, i + 2);
    if (key === 'up') continue;
    if (key === 'mtu') device.mtu = numberOf(value);
    else if (key === 'address') device.mac = MacAddress.parse(value).toString();
    else if (key === 'txqueuelen' || key === 'qlen') device.txQueueLen = numberOf(value);
    else if (key === 'promisc') device.promisc = value === 'on';
    else if (key === 'master') device.bridge = value;
    else return false;
    i++;
  }
  return true;
}

function carryOverRoute(words: readonly string[], device: DraftDevice): boolean {
  const [to = '', ...rest] = words;
  const fields = new Map<string, string>();
  for (let i = 0; i + 1 < rest.length; i += 2) fields.set(rest[i] ?? '', rest[i + 1] ?? '');
  if (rest.length % 2 === 1 || (fields.has('dev') && !isName(fields.get('dev'), device))) return false;
  if ([...fields.keys()].some((key) => !['via', 'dev', 'metric', 'table', 'src', 'mtu'].includes(key))) return false;
  const via = fields.get('via');
  const source = fields.get('src');
  const isIpv6 = (via ?? source ?? to).includes(':');
  const route: RouteConfig = {
    to: to === 'default' ? (isIpv6 ? '::/0' : '0.0.0.0/0') : Cidr.parse(to).network.toString(),
    ...(via !== undefined && { via: IpAddress.parse(via).toString() }),
    ...(fields.has('metric') && { metric: numberOf(fields.get('metric') ?? '') }),
    ...(fields.has('table') && { table: numberOf(fields.get('table') ?? '') }),
    ...(source !== undefined && { source: IpAddress.parse(source).toString() }),
    ...(fields.has('mtu') && { mtu: numberOf(fields.get('mtu') ?? '') }),
  };
  device.routes.push(route);
  return true;
}

function isName(name: string | undefined, device: DraftDevice): boolean {
  return name === device.name || name === '$IFACE' || name === '"$IFACE"';
}

/** The prefix length stands behind the address, or in `netmask` as a mask or a length. */
function cidrOf(value: string, netmask: string | undefined, family: string): string {
  if (value.includes('/')) return Cidr.parse(value).toString();
  const address = IpAddress.parse(value);
  const bits = netmask === undefined ? (family === 'inet6' ? 64 : 32) : prefixLenOf(netmask);
  return new Cidr(address, bits).toString();
}

function prefixLenOf(netmask: string): number {
  if (!netmask.includes('.')) return numberOf(netmask);
  const bits = [...IpAddress.parse(netmask).bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  const length = bits.indexOf('0') < 0 ? 32 : bits.indexOf('0');
  // A mask with holes has no prefix length.
  return bits.slice(length).includes('1') ? numberOf(netmask) : length;
}

function numberOf(text: string): number {
  if (/^[0-9]{1,10}$/.test(text)) return Number(text);
  throw invalidArgument('read the number', 'a whole number', text);
}
