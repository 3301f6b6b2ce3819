/** The address by which a switch is known to other bridges. */

import { randomBytes } from 'node:crypto';

import type { IpAddress } from '../base/index.ts';
import type { PacketSwitchOptions, SwitchPortSettings } from '../switch/index.ts';

/** A locally administered address, by chance: a switch has none of its own. */
export function ownSwitchMac(): Uint8Array {
  const mac = randomBytes(6);
  mac[0] = ((mac[0] as number) & 0xfc) | 0x02;
  return mac;
}

/** The address of this link that follows from it (RFC 4291 appendix A), 16 bytes. */
function linkLocalOf(mac: Uint8Array): Uint8Array {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = mac;
  return Uint8Array.of(0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f);
}

/** Asks for members of groups in these VLANs; an address is of IPv4, and left out, only IPv6 is asked for. */
export function querierOf(
  mac: Uint8Array,
  address: IpAddress | undefined,
  vlans: readonly number[],
): NonNullable<NonNullable<PacketSwitchOptions['snooping']>['querier']> {
  return { mac, vlans, ipv6: linkLocalOf(mac), ...(address !== undefined && { ipv4: address.bytes }) };
}

/** VLANs that ports have, or the one of a switch that does not look at tags. */
export function vlansOfPorts(vlanAware: boolean, ports: readonly SwitchPortSettings[]): number[] {
  if (!vlanAware) return [0];
  return [...new Set(ports.flatMap(({ pvid = 1, vlans = [] }) => [pvid, ...(vlans === 'all' ? [] : vlans)]))];
}
