/** Addresses for a device of whose user none were asked: such that nothing on this machine changes its way. */

import { Cidr, VnicError } from '../base/index.ts';
import { readSysctl } from '../netdev/index.ts';
import { openNetlink } from '../netlink/index.ts';
import type { NetnsOptions } from '../netns/index.ts';

/** Tried in this order; each family takes the first that overlaps with nothing. */
const ipv4Candidates = ['10.0.0.1/24', '10.77.0.1/24', '172.29.77.1/24', '192.168.177.1/24'];
const ipv6Candidates = ['fd00::1/64', 'fd00:77::1/64', 'fd77:77::1/64'];

/**
 * 10.0.0.1/24 and fd00::1/64; others where an address or route of this machine overlaps with them. No IPv6
 * address where IPv6 is switched off.
 * @throws VNIC_ADDRESS_EXISTS when every candidate is taken
 */
export async function defaultAddresses(options: NetnsOptions = {}): Promise<Cidr[]> {
  const taken = await takenPrefixes(options);
  const hasIpv6 = readSysctl('net.ipv6.conf.default.disable_ipv6') === '0';
  const candidates = hasIpv6 ? [ipv4Candidates, ipv6Candidates] : [ipv4Candidates];
  return candidates.map((texts) => {
    const free = texts.map((text) => Cidr.parse(text)).find((cidr) => !taken.some((other) => overlaps(cidr, other)));
    if (free !== undefined) return free;
    throw new VnicError('VNIC_ADDRESS_EXISTS', {
      attempted: 'choose addresses for the device',
      reason: `this machine uses all of ${texts.join(', ')}`,
      hint: 'Choose them yourself: --address 10.1.2.1/24',
    });
  });
}

async function takenPrefixes(options: NetnsOptions): Promise<Cidr[]> {
  const netlink = await openNetlink(options);
  try {
    const addresses = (await netlink.addresses.list()).map(({ cidr }) => cidr);
    const routes = (await netlink.routes.list()).map(({ destination }) => destination);
    // Every address overlaps with the default route, which the more specific one of the device does not disturb.
    return [...addresses, ...routes].filter(({ prefixLen }) => prefixLen > 0);
  } finally {
    await netlink.close();
  }
}

function overlaps(a: Cidr, b: Cidr): boolean {
  return a.contains(b.address) || b.contains(a.address);
}
