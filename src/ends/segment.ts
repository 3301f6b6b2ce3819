/**
 * An IP end joined with an Ethernet end: what is behind it looks like a host of the Ethernet segment. It answers for the addresses of
 * `proxy=`, and for those of a device by itself.
 */

import { Cidr, IpAddress, isVnicError, MacAddress } from '../base/index.ts';
import { EthernetProxy, type EthernetProxyOptions, proxyLink } from '../host/index.ts';
import { systemClock } from '../netdev/index.ts';
import { openNetlink } from '../netlink/index.ts';
import type { OpenEnd } from './end.ts';
import { type EndSpec, mistake, readEach, readOption } from './end-spec.ts';

/** An IP end, and how it is put on a segment. */
export interface SegmentSettings extends EthernetProxyOptions {
  readonly spec: EndSpec;
}

const OPTIONS = ['proxy', 'gateway'] as const;

/**
 * How an IP end is put on a segment; undefined when no address behind it is known.
 * @throws VNIC_INVALID_END
 */
export async function segmentSettings(spec: EndSpec): Promise<SegmentSettings | undefined> {
  const gateways = readEach(spec, 'gateway', 'the address of a router', (text) => IpAddress.parse(text));
  const mac = readOption(spec, 'mac', 'a unicast MAC address', readMac);
  const given = readEach(spec, 'proxy', 'an address, or a prefix without host bits', readProxied);
  const own = await ownAddresses(spec);
  const proxied = [...given, ...own.map(({ address }) => new Cidr(address, address.bytes.length * 8))];
  if (proxied.length === 0) return undefined;
  if (new Set(gateways.map(({ family }) => family)).size < gateways.length) {
    throw mistake(spec.text, spec.text.lastIndexOf('gateway='), 'gateway'.length, 'there is one gateway a family', {
      hint: 'Leave one of them out.',
    });
  }
  const onLink = own.map((cidr) => cidr.network);
  return { spec, proxied, onLink, gateways, ...(mac !== undefined && { mac }) };
}

/** Puts an open IP end on a segment. */
export function putOnSegment({ link, label }: OpenEnd, settings: SegmentSettings): OpenEnd {
  const proxy = new EthernetProxy(settings);
  const onSegment = proxyLink(link, proxy, systemClock);
  return { link: onSegment, label: `${label} as ${proxy.mac}`, close: () => onSegment.close() };
}

/** For an end that is on no segment. @throws VNIC_INVALID_END */
export function refuseProxy({ text, kind, options }: EndSpec): void {
  const found = OPTIONS.find((name) => options.has(name)) ?? (kind !== 'tap' && options.has('mac') ? 'mac' : undefined);
  if (found === undefined) return;
  throw mistake(text, text.indexOf(`,${found}=`) + 1, found.length, `${found} is of IP packets at an Ethernet end`, {
    hint: `Leave it out, or join the end with one that carries Ethernet frames: tap:, or medium=ethernet.`,
  });
}

/** Of a TUN device: those that it is to get, or that it has. */
async function ownAddresses(spec: EndSpec): Promise<Cidr[]> {
  if (spec.kind !== 'tun') return [];
  const given = readEach(spec, 'address', 'an address with its prefix length', (text) => Cidr.parse(text));
  if (given.length > 0 || spec.where === '') return given;
  const netns = spec.options.get('netns')?.at(-1);
  const netlink = await openNetlink(netns === undefined ? {} : { netns });
  try {
    const addresses = await netlink.addresses.list({ link: spec.where });
    // Link-local ones are learnt, of IPv6.
    return addresses.map(({ cidr }) => cidr).filter(({ address }) => !address.isLinkLocal);
  } catch (error) {
    if (isVnicError(error, 'VNIC_NO_SUCH_INTERFACE')) return [];
    throw error;
  } finally {
    await netlink.close();
  }
}

function readProxied(text: string): Cidr | undefined {
  const cidr = Cidr.parse(text);
  const { address } = cidr;
  if (address.isMulticast || (cidr.isHost && (address.isLoopback || address.isUnspecified))) return undefined;
  return cidr.equals(cidr.network) ? cidr : undefined;
}

function readMac(text: string): MacAddress | undefined {
  const mac = MacAddress.parse(text);
  return mac.isMulticast || mac.isUnspecified ? undefined : mac;
}
