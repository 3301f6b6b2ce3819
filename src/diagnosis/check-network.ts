/** Addresses, routes, neighbours and sizes: what decides where a packet goes. */

import { Cidr, IpAddress as Ip, type IpAddress } from '../base/index.ts';
import { listMasquerades, type RouteInfo } from '../netlink/index.ts';
import { interfaceSysctl, type NetnsOptions, readProcNet, readSysctl } from '../netns/index.ts';
import { fine, found, type PathCheck, type PathContext, shellWord } from './path-check.ts';

/** RFC 8200 section 5. */
const MIN_IPV6_MTU = 1280;

export function checkIpv6({ link, to, ...place }: PathContext): PathCheck {
  const key = interfaceSysctl('ipv6', link.name, 'disable_ipv6');
  const value = readSysctl(key, placeOf(place));
  if (value === '0') return fine('ipv6', 'IPv6', 'on');
  const status = to?.family === 6 ? 'fail' : 'warn';
  if (value === undefined) {
    const fix = 'boot without ipv6.disable=1, and give the device an MTU of 1280 or more';
    return found('ipv6', 'IPv6', { status, detail: 'this kernel has no IPv6 on it', fix });
  }
  const fix = `sudo sysctl -w ${shellWord(key)}=0`;
  return found('ipv6', 'IPv6', { status, detail: 'it is switched off on the device (disable_ipv6)', fix });
}

/** A port of a bridge has none: the bridge has. */
export function checkAddress({ link, links, addresses, to }: PathContext): PathCheck {
  const title = 'Address';
  const name = shellWord(link.name);
  const master = links.find(({ index }) => index === link.master);
  if (master !== undefined) return fine('address', title, `none needed: it is a port of ${master.name}`);
  const failed = addresses.find(({ flags }) => flags.includes('dadfailed'));
  if (failed !== undefined) {
    const { cidr } = failed;
    return found('address', title, {
      detail: `somebody else has ${cidr.address} (duplicate address detection)`,
      // Replacing it would leave the mark.
      fix: `sudo ip address delete ${cidr} dev ${name} && sudo ip address add ${cidr} dev ${name} nodad`,
    });
  }
  const own = addresses.filter(({ family, scope }) => (to === undefined ? scope !== 'link' : family === to.family));
  // What is asked for beyond the link is not reached from a link-local address.
  const usable = to?.isLinkLocal ? own : own.filter(({ scope }) => scope !== 'link');
  if (usable.length > 0) return fine('address', title, usable.map(({ cidr }) => cidr.toString()).join(', '));
  const what = to === undefined ? 'no address' : `no IPv${to.family} address`;
  return found('address', title, {
    detail: `it has ${what}`,
    fix: `sudo vnic set ${name} --add-address ${proposedAddress(to)}`,
  });
}

/** Where the kernel sends what is for `to`; without it, whether anything is routed here. */
export async function checkRoute(context: PathContext): Promise<PathCheck> {
  const { netlink, link, links, to } = context;
  const title = 'Route';
  const master = links.find(({ index }) => index === link.master);
  if (to === undefined) {
    const routes = await netlink.routes.list({ link: link.index });
    const ways = routes.map(({ destination }) => destination.toString());
    if (ways.length > 0 || master !== undefined)
      return fine('route', title, ways.join(', ') || `those of ${master?.name}`);
    return found('route', title, {
      status: 'warn',
      detail: 'nothing is routed to it',
      fix: `sudo vnic set ${shellWord(link.name)} --add-route PREFIX`,
    });
  }
  const route = await netlink.routes.lookup(to);
  return judgeRoute(route, to, context);
}

/** The outcome of the last attempt to find out the MAC address of the next hop. */
export async function checkNeighbour({ netlink, link, to }: PathContext): Promise<PathCheck> {
  const title = 'Neighbour';
  if (to === undefined) return fine('neighbour', title, 'ask with --to');
  if (link.mac === undefined) return fine('neighbour', title, `${link.name} carries IP packets and needs none`);
  const route = await netlink.routes.lookup(to);
  const hop = route?.via ?? to;
  const entries = await netlink.neighbours.list({ link: route?.linkIndex ?? link.index });
  const entry = entries.find(({ address }) => address.toString() === hop.toString());
  if (entry === undefined || (entry.state !== 'FAILED' && entry.state !== 'INCOMPLETE')) {
    return fine(
      'neighbour',
      title,
      entry === undefined ? `${hop} was not asked yet` : `${hop} at ${entry.mac ?? 'no address'}, ${entry.state}`,
    );
  }
  const protocol = hop.family === 4 ? 'ARP' : 'neighbour discovery';
  return found('neighbour', title, {
    detail: `nobody answers ${protocol} for ${hop} (${entry.state})`,
    fix: `let what is attached answer ${protocol}, or say where it is: sudo ip neighbour replace ${hop} lladdr MAC dev ${shellWord(link.name)}`,
  });
}

/** Strict reverse path filtering drops what comes from where the device does not lead. */
export function checkReversePath({ link, ...context }: PathContext): PathCheck {
  const title = 'Reverse path';
  const key = interfaceSysctl('ipv4', link.name, 'rp_filter');
  const place = placeOf(context);
  const mode = Math.max(...[key, 'net.ipv4.conf.all.rp_filter'].map((name) => Number(readSysctl(name, place) ?? 0)));
  const dropped = droppedByReversePath(place);
  if (mode !== 1) return fine('rp-filter', title, mode === 0 ? 'not checked' : 'checked loosely');
  if (dropped === 0) return fine('rp-filter', title, 'checked strictly (rp_filter), nothing dropped so far');
  return found('rp-filter', title, {
    status: 'warn',
    detail: `${dropped} packets were dropped because their source is not reached by the way they came (rp_filter)`,
    fix: `sudo sysctl -w ${shellWord(key)}=2`,
  });
}

/** Needed when the device's network is to reach others through this machine; masquerading says that it is. */
export async function checkForwarding({ addresses, ...context }: PathContext): Promise<PathCheck> {
  const title = 'Forwarding';
  const place = placeOf(context);
  const sources = await masqueradedSources(place);
  const off = ([4, 6] as const).filter((family) => readSysctl(forwardingKey(family), place) === '0');
  const wanted = off.find((family) =>
    sources.some((source) => source.family === family && addresses.some(({ cidr }) => source.contains(cidr.address))),
  );
  if (wanted === undefined) {
    const state = off.length === 0 ? 'on' : off.length === 2 ? 'off' : `off for IPv${off[0]}`;
    return fine(
      'forwarding',
      title,
      state === 'on' ? state : `${state}; needed only to reach other networks through this machine`,
    );
  }
  return found('forwarding', title, {
    detail: `IPv${wanted} of the device is masqueraded, and is not forwarded`,
    fix: `sudo sysctl -w ${forwardingKey(wanted)}=1`,
  });
}

export function checkMtu({ link, links, addresses, to }: PathContext): PathCheck {
  const title = 'MTU';
  const name = shellWord(link.name);
  const wantsIpv6 = to?.family === 6 || addresses.some(({ family }) => family === 6);
  if (link.mtu < MIN_IPV6_MTU && wantsIpv6) {
    const fix = `sudo vnic set ${name} --mtu ${MIN_IPV6_MTU}`;
    return found('mtu', title, { detail: `${link.mtu} bytes: IPv6 needs ${MIN_IPV6_MTU}`, fix });
  }
  const isVeth = link.kind === 'veth' && link.netnsId === undefined;
  const other = links.find(({ index }) => index === link.master || (isVeth && index === link.link));
  if (other === undefined || other.mtu === link.mtu) return fine('mtu', title, `${link.mtu} bytes`);
  const [smaller, larger] = other.mtu < link.mtu ? [other, link] : [link, other];
  return found('mtu', title, {
    status: 'warn',
    detail: `${larger.name} has ${larger.mtu} bytes and ${smaller.name} ${smaller.mtu}: longer packets are lost between them`,
    fix: `sudo vnic set ${shellWord(smaller.name)} --mtu ${larger.mtu}`,
  });
}

function judgeRoute(route: RouteInfo | undefined, to: IpAddress, { link, links }: PathContext): PathCheck {
  const title = 'Route';
  const host = `${to}/${to.family === 4 ? 32 : 128}`;
  const fix = `sudo ip route replace ${host} dev ${shellWord(link.name)}`;
  if (route === undefined) return found('route', title, { detail: `there is no route to ${to}`, fix });
  if (route.type === 'local') {
    return found('route', title, {
      detail: `${to} is an address of this machine: it is reached without leaving it`,
      fix: 'ask for an address of the other side',
    });
  }
  if (route.type !== 'unicast')
    return found('route', title, { detail: `${to} is ${route.type} by ${route.destination}`, fix });
  const ways = [route.linkIndex, ...route.nextHops.map(({ linkIndex }) => linkIndex)];
  const via = route.via === undefined ? '' : ` via ${route.via}`;
  if (ways.includes(link.index)) return fine('route', title, `${route.destination}${via}`);
  const other = links.find(({ index }) => ways.includes(index));
  if (other !== undefined && other.index === link.master)
    return fine('route', title, `${route.destination}${via} by ${other.name}`);
  return found('route', title, {
    detail: `${to} goes out by ${other?.name ?? 'another interface'} (${route.destination}${via})`,
    fix,
  });
}

/** An address in the subnet of the other side. */
function proposedAddress(to: IpAddress | undefined): string {
  if (to === undefined) return '10.0.0.1/24';
  const bytes = Uint8Array.from(to.bytes);
  const last = bytes.length - 1;
  bytes[last] = bytes[last] === 1 ? 2 : 1;
  return new Cidr(Ip.fromBytes(bytes), to.family === 4 ? 24 : 64).toString();
}

function forwardingKey(family: 4 | 6): string {
  return family === 4 ? 'net.ipv4.ip_forward' : 'net.ipv6.conf.all.forwarding';
}

/** None where this user may not ask. */
async function masqueradedSources(place: NetnsOptions): Promise<Cidr[]> {
  try {
    return (await listMasquerades(place)).map(({ source }) => source);
  } catch {
    return [];
  }
}

/** `TcpExt: … IPReversePathFilter` of `/proc/net/netstat`: names in one line, values in the next. */
function droppedByReversePath(place: NetnsOptions): number {
  const rows = (readProcNet('netstat', place) ?? '').split('\n').map((line) => line.split(' '));
  const [names = [], values = []] = rows.filter(([first]) => first === 'TcpExt:');
  return Number(values[names.indexOf('IPReversePathFilter')] ?? 0);
}

function placeOf({ netns }: Pick<PathContext, 'netns'>): NetnsOptions {
  return netns === undefined ? {} : { netns };
}
