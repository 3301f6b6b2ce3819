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

/** `_IOC(direction, 'T', number, size)`; most take an `int`. */
const request = (direction: number, number: number, size = 4): number =>
  (direction | (size << 16) | (0x54 << 8) | number) >>> 0;

/** ioctl requests; those with `set` write, those with `get` read. */
export const TunIoctl: Readonly<
  Record<
    | 'setDebug'
    | 'setIff'
    | 'setPersist'
    | 'setOwner'
    | 'setLink'
    | 'setGroup'
    | 'getFeatures'
    | 'setOffload'
    | 'setTxFilter'
    | 'getIff'
    | 'getSndBuf'
    | 'setSndBuf'
    | 'detachFilter'
    | 'getVnetHdrSz'
    | 'setVnetHdrSz'
    | 'setQueue'
    | 'setIfIndex'
    | 'setVnetLe'
    | 'getVnetLe'
    | 'setVnetBe'
    | 'getVnetBe'
    | 'setSteeringBpf'
    | 'setFilterBpf'
    | 'setCarrier'
    | 'getDevNetns',
    number
  >
> = {
  setDebug: request(WRITE, 201),
  setIff: request(WRITE, 202),
  setPersist: request(WRITE, 203),
  setOwner: request(WRITE, 204),
  setLink: request(WRITE, 205),
  setGroup: request(WRITE, 206),
  getFeatures: request(READ, 207),
  setOffload: request(WRITE, 208),
  setTxFilter: request(WRITE, 209),
  getIff: request(READ, 210),
  getSndBuf: request(READ, 211),
  setSndBuf: request(WRITE, 212),
  // Of `struct sock_fprog`.
  detachFilter: request(WRITE, 214, 16),
  getVnetHdrSz: request(READ, 215),
  setVnetHdrSz: request(WRITE, 216),
  setQueue: request(WRITE, 217),
  setIfIndex: request(WRITE, 218),
  setVnetLe: request(WRITE, 220),
  getVnetLe: request(READ, 221),
  setVnetBe: request(WRITE, 222),
  getVnetBe: request(READ, 223),
  setSteeringBpf: request(READ, 224),
  setFilterBpf: request(READ, 225),
  setCarrier: request(WRITE, 226),
  // `_IO('T', 227)`: gives a descriptor of the namespace.
  getDevNetns: request(0, 227, 0),
};

/** `SIOCGIFHWADDR` and `SIOCSIFHWADDR` of `linux/sockios.h`, which the driver takes on its own descriptor too. */
export const SocketIoctl: Readonly<Record<'getHwAddr' | 'setHwAddr', number>> = {
  getHwAddr: 0x8927,
  setHwAddr: 0x8924,
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
