/** The TUN/TAP part of the kernel's interface, with its names: `include/uapi/linux/if_tun.h`. */

/** Flags of `TUNSETIFF` and `TUNGETIFF`. */
export const Iff = {
  tun: 0x0001,
  tap: 0x0002,
  napi: 0x0010,
  napiFrags: 0x0020,
  noCarrier: 0x0040,
  multiQueue: 0x0100,
  /** For `TUNSETQUEUE`. */
  attachQueue: 0x0200,
  /** For `TUNSETQUEUE`; read back while the queue is detached. */
  detachQueue: 0x0400,
  /** Read only. */
  persist: 0x0800,
  noPi: 0x1000,
  vnetHdr: 0x4000,
  tunExcl: 0x8000,
} as const;

const WRITE = 1 << 30;
const READ = 2 << 30;

/** `_IOC(direction, 'T', number, sizeof(int))`. */
const request = (direction: number, number: number): number => (direction | (4 << 16) | (0x54 << 8) | number) >>> 0;

/** ioctl requests; those with `set` write, those with `get` read. */
export const TunIoctl: Readonly<
  Record<
    | 'setIff'
    | 'setPersist'
    | 'setOwner'
    | 'setGroup'
    | 'getFeatures'
    | 'setOffload'
    | 'getIff'
    | 'getVnetHdrSz'
    | 'setVnetHdrSz'
    | 'setQueue'
    | 'setIfIndex'
    | 'setSteeringBpf'
    | 'getDevNetns',
    number
  >
> = {
  setIff: request(WRITE, 202),
  setPersist: request(WRITE, 203),
  setOwner: request(WRITE, 204),
  setGroup: request(WRITE, 206),
  getFeatures: request(READ, 207),
  setOffload: request(WRITE, 208),
  getIff: request(READ, 210),
  getVnetHdrSz: request(READ, 215),
  setVnetHdrSz: request(WRITE, 216),
  setQueue: request(WRITE, 217),
  setIfIndex: request(WRITE, 218),
  setSteeringBpf: request(READ, 224),
  // `_IO('T', 227)`: gives a descriptor of the namespace.
  getDevNetns: 0x54e3,
};

/** Bits of `TUNSETOFFLOAD`, the packets that the program can take. */
export const TunOffload = {
  csum: 0x01,
  tso4: 0x02,
  tso6: 0x04,
  tsoEcn: 0x08,
  ufo: 0x10,
  uso4: 0x20,
  uso6: 0x40,
  udpTunnelGso: 0x80,
  udpTunnelGsoCsum: 0x100,
} as const;

/** `struct tun_pi`: 16 bits of flags, 16 bits of EtherType in network order, before each packet. */
export const PACKET_INFO_LEN = 4;

/** `struct virtio_net_hdr`, the size that a device starts with. */
export const VNET_HEADER_LEN = 10;

/** `struct ifreq`: 16 bytes of name, 24 of the union. */
export const IFREQ_LEN = 40;
export const IFNAMSIZ = 16;

/** The clone device through which every TUN/TAP device is opened. */
export const TUN_NODE = '/dev/net/tun';

/** The longest packet that IP knows. The kernel takes longer ones without a word. */
export const MAX_PACKET_LEN = 65_535;
