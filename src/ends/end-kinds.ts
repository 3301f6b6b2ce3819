/** Every kind of end: what stands behind its colon, its options, and what it carries. */

import { vxlanPort } from '../wire/index.ts';

/** What is known of a kind. */
export interface EndKindInfo {
  /** In a few words, for the help. */
  readonly about: string;
  /** What stands behind the colon, in words; undefined where nothing does. */
  readonly where: string | undefined;
  readonly whereOptional?: true;
  /** Everything behind the first colon, commas too. */
  readonly whereIsRest?: true;
  readonly isHostPort?: true;
  /** Of a host that stands without a port. */
  readonly defaultPort?: number;
  readonly isListener?: true;
  /** The port may be followed by the path of a request. */
  readonly hasPath?: true;
  /** Names of options with what they take: `flag` for nothing. */
  readonly options: Readonly<Record<string, string>>;
  /** `any`: whatever the other end carries. `own`: what is found there, by a look. */
  readonly medium: 'ip' | 'ethernet' | 'any' | 'own';
  readonly example: string;
}

const ofDevice = {
  address: '10.0.0.1/24',
  route: '10.1.0.0/16',
  mtu: '1400',
  netns: 'blue',
  offload: 'off',
} as const;
/** Of an end that carries IP packets and is joined with one that carries Ethernet frames. */
const ofProxy = { proxy: '10.0.0.2', gateway: '10.0.0.1', mac: '02:00:00:00:00:01' } as const;
const ofStream = { framing: 'length', mtu: '1400', medium: 'ip', ...ofProxy } as const;
const ofIdentity = { cert: '/etc/vnic/host.pem', key: '/etc/vnic/host.key' } as const;
const ofTlsClient = {
  pin: 'sha256:…',
  ca: '/etc/vnic/ca.pem',
  servername: 'vpn.example',
  insecure: 'flag',
  ...ofIdentity,
} as const;
const ofTlsListener = { allow: 'sha256:…', ca: '/etc/vnic/ca.pem', insecure: 'flag', ...ofIdentity } as const;
const ofDatagrams = { mtu: '1400', medium: 'ip', probe: 'flag', ...ofProxy } as const;

/** The word that an end begins with. */
export type EndKind =
  | 'tun'
  | 'tap'
  | 'udp'
  | 'udp-listen'
  | 'vxlan'
  | 'vxlan-listen'
  | 'tcp'
  | 'tcp-listen'
  | 'tls'
  | 'tls-listen'
  | 'ws'
  | 'wss'
  | 'ws-listen'
  | 'unix'
  | 'unix-listen'
  | 'qemu'
  | 'qemu-listen'
  | 'qemu-dgram'
  | 'vde'
  | 'serial'
  | 'stdio'
  | 'exec'
  | 'if'
  | 'pcap'
  | 'pair'
  | 'echo'
  | 'null';

/** What there is, in the order of the help. */
export const endKinds: Readonly<Record<EndKind, EndKindInfo>> = {
  tun: {
    about: 'a TUN device, made unless it exists',
    where: 'the name of a device',
    whereOptional: true,
    options: { ...ofDevice, ...ofProxy },
    medium: 'ip',
    example: 'tun:tun0,address=10.0.0.1/24',
  },
  tap: {
    about: 'a TAP device, made unless it exists',
    where: 'the name of a device',
    whereOptional: true,
    options: { ...ofDevice, mac: '02:00:00:00:00:01', bridge: 'br0' },
    medium: 'ethernet',
    example: 'tap:tap0,bridge=br0',
  },
  udp: {
    about: 'a packet a datagram, to a host',
    where: 'HOST:PORT',
    isHostPort: true,
    options: { ...ofDatagrams, port: '7000' },
    medium: 'any',
    example: 'udp:192.0.2.1:7000',
  },
  'udp-listen': {
    about: 'a packet a datagram, with the first that sends',
    where: '[HOST:]PORT',
    isHostPort: true,
    isListener: true,
    options: ofDatagrams,
    medium: 'any',
    example: 'udp-listen:7000',
  },
  vxlan: {
    about: 'VXLAN with a host, as the kernel has it',
    where: 'HOST[:PORT]',
    isHostPort: true,
    defaultPort: vxlanPort,
    options: { vni: '42', port: '4789', mtu: '1450' },
    medium: 'ethernet',
    example: 'vxlan:192.0.2.1,vni=42',
  },
  'vxlan-listen': {
    about: 'VXLAN with the first that sends',
    where: '[HOST:]PORT',
    whereOptional: true,
    isHostPort: true,
    isListener: true,
    defaultPort: vxlanPort,
    options: { vni: '42', mtu: '1450' },
    medium: 'ethernet',
    example: 'vxlan-listen,vni=42',
  },
  tcp: {
    about: 'a TCP connection, made again when it ends',
    where: 'HOST:PORT',
    isHostPort: true,
    options: ofStream,
    medium: 'any',
    example: 'tcp:192.0.2.1:7000',
  },
  'tcp-listen': {
    about: 'a TCP connection that somebody else makes',
    where: '[HOST:]PORT',
    isHostPort: true,
    isListener: true,
    options: ofStream,
    medium: 'any',
    example: 'tcp-listen:7000',
  },
  tls: {
    about: 'a TLS 1.3 connection to a server whose key is pinned, made again when it ends',
    where: 'HOST:PORT',
    isHostPort: true,
    options: { ...ofTlsClient, ...ofStream },
    medium: 'any',
    example: 'tls:192.0.2.1:7000',
  },
  'tls-listen': {
    about: 'a TLS 1.3 connection that a client with an allowed key makes',
    where: '[HOST:]PORT',
    isHostPort: true,
    isListener: true,
    options: { ...ofTlsListener, ...ofStream },
    medium: 'any',
    example: 'tls-listen:7000',
  },
  ws: {
    about: 'a packet a WebSocket message, in the clear',
    where: 'HOST:PORT[/PATH]',
    isHostPort: true,
    hasPath: true,
    options: ofDatagrams,
    medium: 'any',
    example: 'ws:192.0.2.1:8080/vnic',
  },
  wss: {
    about: 'the same over TLS, to a server whose key is pinned',
    where: 'HOST:PORT[/PATH]',
    isHostPort: true,
    hasPath: true,
    options: { ...ofTlsClient, ...ofDatagrams },
    medium: 'any',
    example: 'wss:192.0.2.1:443/vnic',
  },
  'ws-listen': {
    about: 'a WebSocket that somebody opens; with the flag tls, a client with an allowed key',
    where: '[HOST:]PORT[/PATH]',
    isHostPort: true,
    hasPath: true,
    isListener: true,
    options: { tls: 'flag', origin: 'https://vpn.example', ...ofTlsListener, ...ofDatagrams },
    medium: 'any',
    example: 'ws-listen:8080/vnic',
  },
  unix: {
    about: 'a connection to a Unix socket',
    where: 'the path of a socket',
    options: ofStream,
    medium: 'any',
    example: 'unix:/run/lab.sock',
  },
  'unix-listen': {
    about: 'a Unix socket that somebody connects to',
    where: 'the path of a socket',
    isListener: true,
    options: ofStream,
    medium: 'any',
    example: 'unix-listen:/run/lab.sock',
  },
  qemu: {
    about: 'the stream netdev of a QEMU that listens',
    where: 'HOST:PORT, or the path of a socket',
    options: { mtu: '1500' },
    medium: 'ethernet',
    example: 'qemu:127.0.0.1:5000',
  },
  'qemu-listen': {
    about: 'the stream netdev of a QEMU that connects',
    where: '[HOST:]PORT, or the path of a socket',
    isListener: true,
    options: { mtu: '1500' },
    medium: 'ethernet',
    example: 'qemu-listen:5000',
  },
  'qemu-dgram': {
    about: 'the dgram netdev of a QEMU',
    where: 'HOST:PORT, or the path of a socket',
    options: { port: '5002', local: '/run/vnic.sock', mtu: '1500' },
    medium: 'ethernet',
    example: 'qemu-dgram:127.0.0.1:5001,port=5002',
  },
  vde: {
    about: 'a port of a running vde_switch',
    where: 'the folder of a switch',
    options: { port: '3', mtu: '1500' },
    medium: 'ethernet',
    example: 'vde:/run/vde.ctl',
  },
  serial: {
    about: 'a serial line, opened again when it comes back',
    where: 'the path of a device, and perhaps @BAUD',
    options: { framing: 'hdlc', flow: 'hardware', mtu: '1400', medium: 'ip' },
    medium: 'any',
    example: 'serial:/dev/ttyUSB0@115200',
  },
  stdio: {
    about: 'standard input and output',
    where: undefined,
    options: ofStream,
    medium: 'any',
    example: 'stdio,framing=slip',
  },
  exec: {
    about: 'standard input and output of a program',
    where: 'a command',
    whereIsRest: true,
    options: ofStream,
    medium: 'any',
    example: 'exec:ssh host vnic link stdio tun:tun0',
  },
  if: {
    about: 'an existing interface, used as it is',
    where: 'the name of an interface',
    options: { promisc: 'flag', netns: 'blue', ...ofProxy },
    medium: 'own',
    example: 'if:eth1',
  },
  pcap: {
    about: 'a capture file, played, or with record written',
    where: 'the path of a file',
    options: {
      record: 'flag',
      speed: 'max',
      loop: 'flag',
      format: 'pcap',
      snaplen: '128',
      overwrite: 'flag',
      mtu: '1500',
      medium: 'ip',
      ...ofProxy,
    },
    medium: 'own',
    example: 'pcap:trace.pcapng',
  },
  pair: {
    about: 'joined in memory with the other end of that name in this process',
    where: 'a name',
    options: { mtu: '1500', medium: 'ip', ...ofProxy },
    medium: 'any',
    example: 'pair:inner',
  },
  echo: {
    about: 'hosts that answer ping, ARP and neighbour discovery',
    where: 'an address or a subnet',
    options: { also: 'fd00::2', medium: 'ip' },
    medium: 'any',
    example: 'echo:10.0.0.2',
  },
  null: {
    about: 'takes everything and gives nothing',
    where: undefined,
    options: {},
    medium: 'any',
    example: 'null',
  },
};
