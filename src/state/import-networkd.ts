/** systemd-networkd (systemd.netdev(5), systemd.network(5)): `.netdev` files of TUN/TAP, bridges and veth, with the `.network` files that name them. */

import { Cidr, IpAddress, invalidArgument, isVnicError, MacAddress } from '../base/index.ts';
import type { DeviceConfig, PortConfig, RouteConfig } from '../config/index.ts';
import {
  configOf,
  type DraftDevice,
  draftDevice,
  type ImportedConfig,
  type ImportNote,
  type SourceFile,
} from './imported.ts';

interface Setting {
  readonly line: number;
  readonly section: string;
  /** Sections of one name may be there several times. */
  readonly sectionLine: number;
  readonly key: string;
  readonly value: string;
}

type BridgeConfig = NonNullable<DeviceConfig['bridgeSettings']>;

/** What a value makes of a device. @throws VnicError for one that cannot be carried over */
type Carry = (value: string, device: DraftDevice) => Partial<DraftDevice>;

/** Reads files of both kinds, in the order of their names as networkd does. */
export function importNetworkd(files: readonly SourceFile[]): ImportedConfig {
  const notes: ImportNote[] = [];
  const devices = new Map<string, DraftDevice>();
  const sorted = files.toSorted((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
  for (const file of sorted.filter(({ path }) => path.endsWith('.netdev'))) importNetdev(file, devices, notes);
  for (const file of sorted.filter(({ path }) => path.endsWith('.network'))) importNetwork(file, devices, notes);
  for (const file of sorted.filter(({ path }) => !/\.(netdev|network)$/.test(path))) {
    notes.push({ path: file.path, line: 1, message: 'is neither a .netdev nor a .network file' });
  }
  return { config: configOf([...devices.values()]), notes };
}

const kinds: Readonly<Record<string, 'tun' | 'tap' | 'bridge' | 'veth'>> = {
  tun: 'tun',
  tap: 'tap',
  bridge: 'bridge',
  veth: 'veth',
};

const netdevKeys: Readonly<Record<string, Carry>> = {
  'NetDev.Name': ignored,
  'NetDev.Kind': ignored,
  'NetDev.Description': ignored,
  'NetDev.MTUBytes': (value) => ({ mtu: bytesOf(value) }),
  'NetDev.MACAddress': (value) => ({ mac: MacAddress.parse(value).toString() }),
  'Tun.MultiQueue': (value) => ({ multiQueue: booleanOf(value) }),
  'Tun.PacketInfo': (value) => ({ packetInfo: booleanOf(value) }),
  'Tun.VNetHeader': (value) => ({ vnetHeader: booleanOf(value) }),
  'Tun.User': (value) => ({ owner: value }),
  'Tun.Group': (value) => ({ group: value }),
  'Peer.Name': (value) => ({ peer: value }),
  'Bridge.STP': ofBridge('stp', (value) => booleanOf(value)),
  'Bridge.AgeingTimeSec': ofBridge('ageingTimeSec', secondsOf),
  'Bridge.ForwardDelaySec': ofBridge('forwardDelaySec', secondsOf),
  'Bridge.HelloTimeSec': ofBridge('helloTimeSec', secondsOf),
  'Bridge.MaxAgeSec': ofBridge('maxAgeSec', secondsOf),
  'Bridge.Priority': ofBridge('priority', bytesOf),
  'Bridge.GroupForwardMask': ofBridge('groupForwardMask', bytesOf),
  'Bridge.DefaultPVID': ofBridge('vlanDefaultPvid', (value) => (value === 'none' ? 0 : bytesOf(value))),
  'Bridge.VLANFiltering': ofBridge('vlanFiltering', (value) => booleanOf(value)),
  'Bridge.MulticastSnooping': ofBridge('multicastSnooping', (value) => booleanOf(value)),
};

function importNetdev(file: SourceFile, devices: Map<string, DraftDevice>, notes: ImportNote[]): void {
  const settings = settingsOf(file, notes);
  const settingOf = (key: string): string | undefined =>
    settings.find((setting) => `${setting.section}.${setting.key}` === key)?.value;
  const name = settingOf('NetDev.Name');
  const kind = kinds[settingOf('NetDev.Kind') ?? ''];
  if (name === undefined || kind === undefined) {
    const what = settingOf('NetDev.Kind') ?? 'no kind';
    notes.push({
      path: file.path,
      line: 1,
      message: `${name ?? 'the device'} is of ${what}, which vnic does not make, and is left out`,
    });
    return;
  }
  const device = { ...draftDevice(name), kind };
  devices.set(name, device);
  for (const setting of settings) {
    carry(file, setting, device, netdevKeys[`${setting.section.replace(/^Tap$/, 'Tun')}.${setting.key}`], notes);
  }
}

const networkKeys: Readonly<Record<string, Carry>> = {
  'Match.Name': ignored,
  'Network.Description': ignored,
  'Network.Address': addAddress,
  'Network.Gateway': (value, device) => ({ routes: [...device.routes, defaultRoute(value)] }),
  'Network.Bridge': (value) => ({ bridge: value }),
  'Network.IPForward': (value, device) => ({
    sysctls: {
      ...device.sysctls,
      ...(booleanOf(value, 'ipv4') && { 'ipv4.forwarding': '1' }),
      ...(booleanOf(value, 'ipv6') && { 'ipv6.forwarding': '1' }),
    },
  }),
  'Network.IPv4Forwarding': switched('ipv4.forwarding'),
  'Network.IPv6Forwarding': switched('ipv6.forwarding'),
  'Network.IPv4ProxyARP': switched('ipv4.proxy_arp'),
  'Network.ConfigureWithoutCarrier': ignored,
  'Link.MTUBytes': (value) => ({ mtu: bytesOf(value) }),
  'Link.MACAddress': (value) => ({ mac: MacAddress.parse(value).toString() }),
  'Link.Promiscuous': (value) => ({ promisc: booleanOf(value) }),
  'Link.RequiredForOnline': ignored,
  'Link.ActivationPolicy': (value) => (['down', 'always-down', 'manual'].includes(value) ? { up: false } : {}),
  'Address.Address': addAddress,
  'Bridge.Isolated': ofPort('isolated', (value) => booleanOf(value)),
  'Bridge.HairPin': ofPort('hairpin', (value) => booleanOf(value)),
  'Bridge.Learning': ofPort('learning', (value) => booleanOf(value)),
  'Bridge.UnicastFlood': ofPort('flood', (value) => booleanOf(value)),
  'Bridge.MulticastFlood': ofPort('multicastFlood', (value) => booleanOf(value)),
  'Bridge.NeighborSuppression': ofPort('neighbourSuppress', (value) => booleanOf(value)),
  'Bridge.FastLeave': ofPort('fastLeave', (value) => booleanOf(value)),
  'Bridge.UseBPDU': ofPort('guard', (value) => !booleanOf(value)),
  'Bridge.AllowPortToBeRoot': ofPort('rootBlock', (value) => !booleanOf(value)),
  'Bridge.Cost': ofPort('cost', bytesOf),
  'Bridge.Priority': ofPort('priority', bytesOf),
};

function importNetwork(file: SourceFile, devices: Map<string, DraftDevice>, notes: ImportNote[]): void {
  const settings = settingsOf(file, notes);
  const names = settings
    .filter(({ section, key }) => section === 'Match' && key === 'Name')
    .flatMap(({ value }) => value.split(/\s+/));
  const matched = [...devices.values()].filter(({ name }) => names.some((pattern) => matches(pattern, name)));
  if (matched.length === 0) {
    notes.push({
      path: file.path,
      line: 1,
      message: `it matches ${names.join(' ') || 'nothing by name'}, none of which is made by these files, and is left out`,
    });
    return;
  }
  for (const device of matched) {
    for (const setting of settings.filter(({ section }) => section !== 'Route')) {
      carry(file, setting, device, networkKeys[`${setting.section}.${setting.key}`], notes);
    }
    importRoutes(file, settings, device, notes);
  }
}

const routeKeys: Readonly<Record<string, (value: string) => Partial<RouteConfig>>> = {
  Destination: (value) => ({ to: Cidr.parse(value).network.toString() }),
  Gateway: (value) => ({ via: IpAddress.parse(value).toString() }),
  Metric: (value) => ({ metric: bytesOf(value) }),
  Table: (value) => ({ table: value === 'main' ? 254 : bytesOf(value) }),
  PreferredSource: (value) => ({ source: IpAddress.parse(value).toString() }),
  MTUBytes: (value) => ({ mtu: bytesOf(value) }),
  GatewayOnLink: (value) => ({ onlink: booleanOf(value) }),
};

function importRoutes(file: SourceFile, settings: readonly Setting[], device: DraftDevice, notes: ImportNote[]): void {
  const ofRoutes = settings.filter(({ section }) => section === 'Route');
  for (const line of new Set(ofRoutes.map(({ sectionLine }) => sectionLine))) {
    const route: { -readonly [Key in keyof RouteConfig]?: RouteConfig[Key] } = {};
    for (const setting of ofRoutes.filter(({ sectionLine }) => sectionLine === line)) {
      const read = routeKeys[setting.key];
      const how: Carry | undefined = read && ((value) => noting(Object.assign(route, read(value))));
      carry(file, setting, device, how, notes);
    }
    if (route.to === undefined && route.via === undefined) {
      notes.push({ path: file.path, line, message: 'a route without destination and gateway is left out' });
      continue;
    }
    device.routes.push({ ...defaultRoute(route.via ?? route.to ?? ''), ...route });
  }
}

function carry(
  file: SourceFile,
  { line, section, key, value }: Setting,
  device: DraftDevice,
  how: Carry | undefined,
  notes: ImportNote[],
): void {
  const note = (reason: string): void =>
    void notes.push({ path: file.path, line, message: `${section}.${key}=${value} is not carried over${reason}` });
  if (how === undefined) {
    note('');
    return;
  }
  try {
    Object.assign(device, how(value, device));
  } catch (error) {
    if (!isVnicError(error)) throw error;
    note(`: ${error.reason}`);
  }
}

function settingsOf(file: SourceFile, notes: ImportNote[]): Setting[] {
  const settings: Setting[] = [];
  let section = '';
  let sectionLine = 0;
  for (const [i, raw] of file.text.split('\n').entries()) {
    const text = raw.trim();
    if (text === '' || text.startsWith('#') || text.startsWith(';')) continue;
    const [, head] = /^\[(.+)\]$/.exec(text) ?? [];
    const [, key, value] = /^([^=]+?)\s*=\s*(.*)$/.exec(text) ?? [];
    if (head !== undefined) {
      section = head;
      sectionLine = i + 1;
    } else if (key !== undefined && value !== undefined)
      settings.push({ line: i + 1, section, sectionLine, key, value });
    else notes.push({ path: file.path, line: i + 1, message: `"${text}" is not understood` });
  }
  return settings;
}

function addAddress(value: string, device: DraftDevice): Partial<DraftDevice> {
  const cidr = Cidr.parse(value);
  if (cidr.address.isUnspecified)
    throw invalidArgument('read', 'an address; a pool to choose from is not offered', value);
  return { addresses: [...device.addresses, cidr.toString()] };
}

function noting(_: unknown): Partial<DraftDevice> {
  return {};
}

function ignored(): Partial<DraftDevice> {
  return {};
}

function switched(key: string): Carry {
  return (value, device) => ({ sysctls: { ...device.sysctls, [key]: booleanOf(value) ? '1' : '0' } });
}

function ofBridge<Key extends keyof BridgeConfig>(key: Key, read: (value: string) => BridgeConfig[Key]): Carry {
  return (value, { bridgeSettings }) => ({ bridgeSettings: { ...bridgeSettings, [key]: read(value) } });
}

function ofPort<Key extends keyof PortConfig>(key: Key, read: (value: string) => PortConfig[Key]): Carry {
  return (value, { portSettings }) => ({ portSettings: { ...portSettings, [key]: read(value) } });
}

function defaultRoute(beside: string): RouteConfig {
  if (/^(_|dhcp)/.test(beside)) throw invalidArgument('read', 'the address of the gateway', beside);
  const isIpv6 = beside.includes(':');
  const via = beside.includes('/') ? {} : { via: IpAddress.parse(beside).toString() };
  return { to: isIpv6 ? '::/0' : '0.0.0.0/0', ...via };
}

/** `*` and `?` as in a shell. */
function matches(pattern: string, name: string): boolean {
  const escaped = pattern
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${escaped}$`).test(name);
}

function booleanOf(text: string, ...also: readonly string[]): boolean {
  if (['1', 'yes', 'y', 'true', 't', 'on', ...also].includes(text.toLowerCase())) return true;
  if (['0', 'no', 'n', 'false', 'f', 'off', 'ipv4', 'ipv6'].includes(text.toLowerCase())) return false;
  throw invalidArgument('read', 'yes or no', text);
}

/** `20`, `20s`, `5min` (systemd.time(7)). */
function secondsOf(text: string): number {
  const [, digits, unit = ''] = /^([0-9]{1,7})\s*(s|sec|min|m|h)?$/.exec(text) ?? [];
  if (digits === undefined) throw invalidArgument('read', 'a time in seconds, minutes or hours', text);
  return Number(digits) * (unit === 'h' ? 3600 : unit.startsWith('m') ? 60 : 1);
}

/** A number, with K, M or G for 1024 and its powers. */
function bytesOf(text: string): number {
  const [, digits, unit = ''] = /^([0-9]{1,10})([KMG]?)$/.exec(text) ?? [];
  if (digits === undefined) throw invalidArgument('read', 'a whole number', text);
  return Number(digits) * 1024 ** ['', 'K', 'M', 'G'].indexOf(unit);
}

function nameOf({ path }: SourceFile): string {
  return path.split('/').at(-1) ?? path;
}
