/** Settings of one interface, and forwarding, by type: what of `/proc/sys/net` a device in use needs. */

import { invalidArgument } from '../base/index.ts';
import type { NetnsOptions } from './namespace.ts';
import { interfaceSysctl, readSysctl, writeSysctl } from './sysctl.ts';

/** `net.ipv4.conf.NAME.*`, see `Documentation/networking/ip-sysctl.rst`. */
export interface Ipv4Settings {
  /** Forward packets that arrive on the interface. */
  readonly forwarding?: boolean;
  /** Answer ARP for addresses that are routed elsewhere. */
  readonly proxyArp?: boolean;
  /** Check of source addresses (RFC 3704): 0 none, 1 strict, 2 loose. The larger of this and that of `all` counts. */
  readonly rpFilter?: 0 | 1 | 2;
  /** Take packets with one of this machine's own addresses as source. */
  readonly acceptLocal?: boolean;
  /** Route 127.0.0.0/8. */
  readonly routeLocalnet?: boolean;
  /** Send gratuitous ARP when the interface comes up or changes its MAC address. */
  readonly arpNotify?: boolean;
}

/** `net.ipv6.conf.NAME.*` */
export interface Ipv6Settings {
  /** No IPv6 on the interface; its IPv6 addresses go. */
  readonly disableIpv6?: boolean;
  /** Be a router: forward, and ignore router advertisements unless `acceptRa` is 2. */
  readonly forwarding?: boolean;
  /** Router advertisements: 0 ignored, 1 taken unless forwarding, 2 taken. */
  readonly acceptRa?: 0 | 1 | 2;
  /** Make addresses from advertised prefixes (RFC 4862). */
  readonly autoconf?: boolean;
  /** Answer neighbour solicitations for addresses of `neighbours.add(…, { proxy: true })`. */
  readonly proxyNdp?: boolean;
  /** Duplicate address detection: 0 off, 1 on, 2 on, and no IPv6 if the link-local address is a duplicate. */
  readonly acceptDad?: 0 | 1 | 2;
}

/** What of both families; absent is left as it is. */
export interface InterfaceSettings {
  readonly ipv4?: Ipv4Settings;
  /** Reading: absent where the kernel has no IPv6. */
  readonly ipv6?: Ipv6Settings;
}

/** Whether the network namespace forwards packets between its interfaces. */
export interface Forwarding {
  /** `net.ipv4.ip_forward` */
  readonly ipv4?: boolean;
  /** `net.ipv6.conf.all.forwarding` */
  readonly ipv6?: boolean;
}

type Kind = 'boolean' | 'number';
type Setting = readonly [file: string, kind: Kind];
type SettingTable = Readonly<Record<string, Setting>>;

const ipv4Table: Readonly<Record<keyof Ipv4Settings, Setting>> = {
  forwarding: ['forwarding', 'boolean'],
  proxyArp: ['proxy_arp', 'boolean'],
  rpFilter: ['rp_filter', 'number'],
  acceptLocal: ['accept_local', 'boolean'],
  routeLocalnet: ['route_localnet', 'boolean'],
  arpNotify: ['arp_notify', 'boolean'],
};

const ipv6Table: Readonly<Record<keyof Ipv6Settings, Setting>> = {
  disableIpv6: ['disable_ipv6', 'boolean'],
  forwarding: ['forwarding', 'boolean'],
  acceptRa: ['accept_ra', 'number'],
  autoconf: ['autoconf', 'boolean'],
  proxyNdp: ['proxy_ndp', 'boolean'],
  acceptDad: ['accept_dad', 'number'],
};

/** The key and the text of every setting of a change, as `writeSysctl` takes them. */
export function settingSysctls(name: string, change: InterfaceSettings): [key: string, value: string][] {
  return [...sysctlsOf('ipv4', name, ipv4Table, change.ipv4), ...sysctlsOf('ipv6', name, ipv6Table, change.ipv6)];
}

/**
 * The settings of an interface, or of `all` or `default`.
 * @throws VNIC_NO_SUCH_NAMESPACE, VNIC_NAMESPACE_FORBIDDEN; an interface that does not exist has none
 */
export function readInterfaceSettings(name: string, options: NetnsOptions = {}): InterfaceSettings {
  const ipv4 = readTable('ipv4', name, ipv4Table, options);
  const ipv6 = readTable('ipv6', name, ipv6Table, options);
  return { ...(ipv4 !== undefined && { ipv4 }), ...(ipv6 !== undefined && { ipv6 }) };
}

/** Changes settings of an interface, or of `all` or `default`. @throws as `writeSysctl` */
export function writeInterfaceSettings(name: string, change: InterfaceSettings, options: NetnsOptions = {}): void {
  for (const [key, value] of settingSysctls(name, change)) writeSysctl(key, value, options);
}

/** @throws VNIC_NO_SUCH_NAMESPACE, VNIC_NAMESPACE_FORBIDDEN */
export function readForwarding(options: NetnsOptions = {}): Required<Forwarding> {
  return {
    ipv4: readSysctl('net.ipv4.ip_forward', options) === '1',
    ipv6: readSysctl('net.ipv6.conf.all.forwarding', options) === '1',
  };
}

/** Switches forwarding for the whole namespace: it changes the setting of every interface too. @throws as `writeSysctl` */
export function writeForwarding(change: Forwarding, options: NetnsOptions = {}): void {
  if (change.ipv4 !== undefined) writeSysctl('net.ipv4.ip_forward', change.ipv4 ? 1 : 0, options);
  if (change.ipv6 !== undefined) writeSysctl('net.ipv6.conf.all.forwarding', change.ipv6 ? 1 : 0, options);
}

function sysctlsOf(
  family: 'ipv4' | 'ipv6',
  name: string,
  table: SettingTable,
  change: object | undefined,
): [key: string, value: string][] {
  return Object.entries(change ?? {})
    .filter(([, value]) => value !== undefined)
    .map(([setting, value]: [string, unknown]) => {
      const [file, kind] = table[setting] ?? [];
      const isValid = kind === 'boolean' ? typeof value === 'boolean' : value === 0 || value === 1 || value === 2;
      if (file === undefined || !isValid) {
        const expected =
          kind === undefined ? Object.keys(table).join(', ') : kind === 'boolean' ? 'a boolean' : '0, 1 or 2';
        throw invalidArgument(`set ${setting} of ${name}`, expected, kind === undefined ? setting : value);
      }
      return [interfaceSysctl(family, name, file), String(Number(value))];
    });
}

function readTable(
  family: 'ipv4' | 'ipv6',
  name: string,
  table: SettingTable,
  options: NetnsOptions,
): Record<string, boolean | number> | undefined {
  const entries = Object.entries(table).flatMap(([setting, [file, kind]]) => {
    const text = readSysctl(interfaceSysctl(family, name, file), options);
    return text === undefined ? [] : [[setting, kind === 'boolean' ? Number(text) !== 0 : Number(text)] as const];
  });
  return entries.length === 0 ? undefined : Object.fromEntries(entries);
}
