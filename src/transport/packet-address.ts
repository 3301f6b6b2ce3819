/**
 * The packet-socket part of the kernel's interface, with its names: `include/uapi/linux/if_packet.h`.
 *
 *     struct sockaddr_ll
 *     0  sll_family    u16 host order, AF_PACKET
 *     2  sll_protocol  u16 network order, EtherType
 *     4  sll_ifindex   i32; -1 when the interface was deleted
 *     8  sll_hatype    u16, ARPHRD_*
 *     10 sll_pkttype   u8, PACKET_*
 *     11 sll_halen     u8
 *     12 sll_addr      8 bytes
 */

/** Size of `struct sockaddr_ll`. */
export const SOCKADDR_LL_LEN = 20;

/** `linux/if_ether.h`: every protocol. */
export const ETH_P_ALL = 0x0003;

/** `setsockopt` level and options. */
export const PacketSocketOption = {
  level: 263,
  addMembership: 1,
  statistics: 6,
  auxdata: 8,
  vnetHeader: 15,
  ignoreOutgoing: 23,
} as const;

const AF_PACKET = 17;
const PACKET_MR_PROMISC = 1;

const littleEndian = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/** An address that names a protocol on an interface. */
export function emitSocketAddress(protocol: number, ifindex: number): Uint8Array {
  const bytes = new Uint8Array(SOCKADDR_LL_LEN);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, AF_PACKET, littleEndian);
  view.setUint16(2, protocol, false);
  view.setInt32(4, ifindex, littleEndian);
  return bytes;
}

/** `sll_ifindex` of an address that the kernel filled in. */
export function interfaceIndexOf(address: Uint8Array): number {
  return new DataView(address.buffer, address.byteOffset).getInt32(4, littleEndian);
}

/** `sll_pkttype` of an address that the kernel filled in. */
export function packetTypeOf(address: Uint8Array): number {
  return address[10] as number;
}

/** `struct packet_mreq` for the promiscuous mode of an interface. */
export function emitPromiscuousMembership(ifindex: number): Uint8Array {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  view.setInt32(0, ifindex, littleEndian);
  view.setUint16(4, PACKET_MR_PROMISC, littleEndian);
  return bytes;
}
