/** The frames that an Ethernet proxy says by itself: ARP and neighbour discovery. */

import { IpAddress, MacAddress } from '../base/index.ts';
import type { PacketBatch } from '../link/index.ts';
import {
  ArpOperation,
  arpLen,
  EtherType,
  emitArp,
  emitEthernet,
  emitIpv6,
  emitNdp,
  ethernetHeaderLen,
  IpProtocol,
  ipv6HeaderLen,
  type NdpFields,
} from '../wire/index.ts';
import type { MutableProxyCounters } from './proxy-options.ts';

/** RFC 4861 section 7.1: what lets a receiver know that no router forwarded it. */
const NDP_HOP_LIMIT = 255;
/** Fixed part, and the option with a link-layer address. */
const NEIGHBOUR_MESSAGE_LEN = 24 + 8;

const broadcast: MacAddress = MacAddress.parse('ff:ff:ff:ff:ff:ff');
const zeroMac: MacAddress = MacAddress.fromBytes(new Uint8Array(6));
const allNodes: IpAddress = IpAddress.parse('ff02::1');

/** Writes to an outbox; what finds no room there is counted. */
export class ProxyMessages {
  readonly #outbox: PacketBatch;
  readonly #mac: MacAddress;
  readonly #counters: MutableProxyCounters;

  constructor(outbox: PacketBatch, mac: MacAddress, counters: MutableProxyCounters) {
    this.#outbox = outbox;
    this.#mac = mac;
    this.#counters = counters;
  }

  /** Who has `target`? Asked of everybody, or of `station`. */
  askArp(sender: IpAddress, target: IpAddress, station: MacAddress | undefined): void {
    this.#arp(ArpOperation.request, sender, { mac: zeroMac, address: target }, station ?? broadcast);
    this.#counters.arpRequests++;
  }

  /** `sender` is here. */
  replyArp(sender: IpAddress, target: { mac: MacAddress; address: IpAddress }): void {
    this.#arp(ArpOperation.reply, sender, target, target.mac);
    this.#counters.arpReplies++;
  }

  /** Who has `target`? Asked of its solicited-node group, or of `station`. */
  solicit(source: IpAddress, target: IpAddress, station: MacAddress | undefined): void {
    const destination = station === undefined ? solicitedNode(target) : target;
    const options: NdpFields['options'] = [{ kind: 'sourceLinkLayerAddress', address: this.#mac }];
    this.#ndp({ kind: 'neighborSolicitation', target, options }, source, destination, station ?? groupMac(destination));
    this.#counters.neighborSolicitations++;
  }

  /**
   * `target` is here. Without `to` it is said to all, unasked. The override flag is clear, as RFC 4861 section 7.2.8 wants it of
   * proxies: somebody who has the address himself comes first.
   */
  advertise(target: IpAddress, to: { mac: MacAddress; address: IpAddress } | undefined): void {
    const destination = to?.address ?? allNodes;
    const message: NdpFields = {
      kind: 'neighborAdvertisement',
      target,
      router: false,
      solicited: to !== undefined,
      override: false,
      options: [{ kind: 'targetLinkLayerAddress', address: this.#mac }],
    };
    this.#ndp(message, target, destination, to?.mac ?? groupMac(destination));
    this.#counters.neighborAdvertisements++;
  }

  #arp(
    operation: number,
    sender: IpAddress,
    target: { mac: MacAddress; address: IpAddress },
    station: MacAddress,
  ): void {
    const at = this.#open(ethernetHeaderLen + arpLen, station, EtherType.arp);
    if (at < 0) return;
    const fields = {
      operation,
      senderHardwareAddress: this.#mac,
      senderProtocolAddress: sender,
      targetHardwareAddress: target.mac,
      targetProtocolAddress: target.address,
    };
    emitArp(fields, this.#outbox.bytes, at);
  }

  #ndp(message: NdpFields, source: IpAddress, destination: IpAddress, station: MacAddress): void {
    const at = this.#open(ethernetHeaderLen + ipv6HeaderLen + NEIGHBOUR_MESSAGE_LEN, station, EtherType.ipv6);
    if (at < 0) return;
    const addresses = { source, destination };
    const payloadLen = NEIGHBOUR_MESSAGE_LEN;
    const header = { ...addresses, nextHeader: IpProtocol.icmpv6, payloadLen, hopLimit: NDP_HOP_LIMIT };
    emitIpv6(header, this.#outbox.bytes, at);
    emitNdp(message, this.#outbox.bytes, at + ipv6HeaderLen, addresses);
  }

  /** @returns where the payload goes; -1 when there is no room */
  #open(length: number, destination: MacAddress, etherType: number): number {
    const at = this.#outbox.reserve(length);
    if (at < 0) {
      this.#counters.dropped['outbox-full']++;
      return -1;
    }
    return at + emitEthernet({ destination, source: this.#mac, etherType }, this.#outbox.bytes, at);
  }
}

/** RFC 4291 section 2.7.1. */
function solicitedNode({ bytes }: IpAddress): IpAddress {
  const group = new Uint8Array(16);
  group.set([0xff, 0x02]);
  group.set([1, 0xff], 11);
  group.set(bytes.subarray(13), 13);
  return IpAddress.fromBytes(group);
}

/** RFC 2464 section 7. */
function groupMac({ bytes }: IpAddress): MacAddress {
  return MacAddress.fromBytes(Uint8Array.of(0x33, 0x33, ...bytes.subarray(12)));
}
