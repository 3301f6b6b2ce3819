/**
 * Neighbour discovery of the responder (RFC 4861 section 7.2): solicitations for answered addresses are answered,
 * those of duplicate address detection too (RFC 4862 section 5.4.3), so that nobody else takes the address.
 *
 * The advertisement is longer than a solicitation without source option, so it goes through the outbox. It is
 * neither delayed nor lost. Without link header it carries no link-layer address.
 */

import { IpAddress, MacAddress } from '../base/index.ts';
import {
  checkNdp,
  EtherType,
  emitEthernet,
  emitIpv6,
  emitNdp,
  ethernetHeaderLen,
  Icmpv6Type,
  type Icmpv6View,
  IpProtocol,
  type Ipv6View,
  ipv6HeaderLen,
  isSolicitedNode,
  macAt,
  type NdpFields,
  NdpOptionType,
  NdpView,
  u16,
} from '../wire/index.ts';
import { isIpv6Unicast } from './address-set.ts';
import { drop } from './counters.ts';
import type { HostDropReason } from './drop-reason.ts';
import type { HostContext } from './host-context.ts';

/** RFC 4861 section 7.1.2: what lets a receiver know that no router forwarded it. */
const NDP_HOP_LIMIT = 255;

const allNodes: IpAddress = IpAddress.parse('ff02::1');
const allNodesMac: MacAddress = MacAddress.parse('33:33:00:00:00:01');

/** Octets of an advertisement, and of its option with the link-layer address. */
const ADVERTISEMENT_LEN = 24;
const LINK_LAYER_OPTION_LEN = 8;

export class NdpHost {
  readonly #host: HostContext;
  readonly #ndp = new NdpView();

  constructor(host: HostContext) {
    this.#host = host;
  }

  /** Answers a message of types 133 to 137 through the outbox. @returns 0, what stays in its place */
  answer(ip: Ipv6View, icmp: Icmpv6View, frame: number): 0 {
    const { counters } = this.#host;
    const reason = this.#check(ip, icmp, frame);
    if (reason !== undefined) return drop(counters, reason);
    if (this.#advertise(ip, frame)) counters.neighborAdvertisements++;
    return 0;
  }

  #check(ip: Ipv6View, icmp: Icmpv6View, frame: number): HostDropReason | undefined {
    const { addresses } = this.#host;
    const ndp = this.#ndp;
    const { bytes, sourceOffset } = ip;
    const pseudoSum = ip.pseudoHeaderSum(IpProtocol.icmpv6, icmp.end - icmp.offset);
    if (!icmp.checksumOk(pseudoSum)) return 'bad-checksum';
    const reason = ndp.wrap(bytes, icmp.offset, icmp.end - icmp.offset) ?? checkNdp(ndp, ip);
    if (reason !== undefined) return reason;
    if (ndp.type === Icmpv6Type.neighborAdvertisement) {
      return addresses.hasIpv6(bytes, ndp.targetOffset) ? 'address-conflict' : 'not-echo';
    }
    if (ndp.type !== Icmpv6Type.neighborSolicitation) return 'not-echo';
    if (!addresses.hasIpv6(bytes, ndp.targetOffset) || !this.#isForTarget(ip, frame)) return 'not-for-us';
    if (isUnspecified(bytes, sourceOffset)) return undefined;
    if (!isIpv6Unicast(bytes, sourceOffset)) return 'bad-source';
    return addresses.hasIpv6(bytes, sourceOffset) ? 'address-conflict' : undefined;
  }

  /** Sent to the solicited-node group, or to the target itself. */
  #isForTarget(ip: Ipv6View, frame: number): boolean {
    const { bytes, destinationOffset } = ip;
    const { targetOffset } = this.#ndp;
    if (isSolicitedNode(bytes, destinationOffset)) {
      const sameGroup = u16(bytes, destinationOffset + 14) === u16(bytes, targetOffset + 14);
      return sameGroup && bytes[destinationOffset + 13] === bytes[targetOffset + 13];
    }
    for (let i = 0; i < 16; i++) if (bytes[destinationOffset + i] !== bytes[targetOffset + i]) return false;
    return frame < 0 || this.#host.macs.isFor(bytes, frame, targetOffset, 16);
  }

  #advertise(ip: Ipv6View, frame: number): boolean {
    const { sender } = this.#host;
    const { outbox } = sender;
    const target = this.#ndp.target;
    const probing = isUnspecified(ip.bytes, ip.sourceOffset);
    const addresses = { source: target, destination: probing ? allNodes : ip.source };
    const linkLen = frame < 0 ? 0 : ethernetHeaderLen;
    const payloadLen = ADVERTISEMENT_LEN + (frame < 0 ? 0 : LINK_LAYER_OPTION_LEN);
    const at = sender.reserveUnimpaired(linkLen + ipv6HeaderLen + payloadLen);
    if (at < 0) return false;
    const mac = this.#macOf(target);
    if (frame >= 0) {
      const destination = probing ? allNodesMac : this.#stationOf(ip, frame);
      emitEthernet({ destination, source: mac, etherType: EtherType.ipv6 }, outbox.bytes, at);
    }
    const header = { ...addresses, nextHeader: IpProtocol.icmpv6, payloadLen, hopLimit: NDP_HOP_LIMIT };
    emitIpv6(header, outbox.bytes, at + linkLen);
    const message: NdpFields = {
      kind: 'neighborAdvertisement',
      target,
      router: false,
      solicited: !probing,
      override: true,
      options: frame < 0 ? [] : [{ kind: 'targetLinkLayerAddress', address: mac }],
    };
    emitNdp(message, outbox.bytes, at + linkLen + ipv6HeaderLen, addresses);
    return true;
  }

  #macOf(target: IpAddress): MacAddress {
    const mac = new Uint8Array(6);
    this.#host.macs.write(mac, 0, target.bytes, 0, 16);
    return MacAddress.fromBytes(mac);
  }

  /** What the source option says, and without one the sender of the frame. */
  #stationOf(ip: Ipv6View, frame: number): MacAddress {
    const option = this.#ndp.findOption(NdpOptionType.sourceLinkLayerAddress);
    const said = option < 0 ? undefined : macAt(ip.bytes, option + 2);
    return said === undefined || said.isMulticast || said.isUnspecified ? macAt(ip.bytes, frame + 6) : said;
  }
}

function isUnspecified(bytes: Uint8Array, offset: number): boolean {
  for (let i = 0; i < 16; i++) if (bytes[offset + i] !== 0) return false;
  return true;
}
