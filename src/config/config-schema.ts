/** The one description of the configuration file, of which the reader and the JSON Schema are made. */

import { Cidr, IpAddress, invalidArgument, MacAddress } from '../base/index.ts';
import { type BridgeSettings, checkInterfaceName } from '../netlink/index.ts';
import type { DeviceConfig, MasqueradeConfig, NeighbourConfig, PortConfig, RouteConfig, RuleConfig } from './config.ts';
import { linkName } from './end-schema.ts';
import { type LinkDocument, link } from './link-schema.ts';
import {
  choice,
  either,
  flag,
  integer,
  type JsonSchema,
  list,
  mapped,
  object,
  record,
  type Schema,
  text,
} from './schema.ts';
import { type SwitchDocument, switchSchema } from './switch-schema.ts';
import { type TunnelDocument, tunnel } from './tunnel-schema.ts';

/** The file as it is read: devices by name, sections that are there. */
export interface ConfigDocument {
  readonly version?: number;
  readonly devices?: [id: string, device: Partial<DeviceDocument>][];
  readonly namespaces?: [name: string, namespace: Partial<NamespaceDocument>][];
  readonly sysctls?: [name: string, value: string][];
  readonly rules?: RuleConfig[];
  readonly masquerade?: MasqueradeConfig[];
  readonly links?: [name: string, link: Partial<LinkDocument>][];
  readonly tunnels?: [name: string, tunnel: Partial<TunnelDocument>][];
  readonly switches?: [name: string, one: Partial<SwitchDocument>][];
}

/** A namespace as it is read. */
export interface NamespaceDocument {
  readonly sysctls: [name: string, value: string][];
  readonly rules: RuleConfig[];
  readonly masquerade: MasqueradeConfig[];
}

/** A device as it is read. */
export interface DeviceDocument extends Omit<DeviceConfig, 'id' | 'name' | 'sysctls'> {
  readonly name?: string;
  readonly sysctls: [name: string, value: string][];
}

const MAX_U32 = 0xffff_ffff;
const MAX_NAME = 15;

const interfaceName: Schema<string> = text(
  (value) => {
    checkInterfaceName(value, 'read the name');
    return value;
  },
  'the name of an interface',
  { json: { minLength: 1, maxLength: MAX_NAME, pattern: '^[^\\s/:%]+$' } },
);

const namespaceName: Schema<string> = text(
  (value) => {
    if (/^[^/\0]{1,255}$/.test(value) && value !== '.' && value !== '..') return value;
    throw invalidArgument('read', 'the name of a network namespace, such as lab', value);
  },
  'the name of a network namespace',
  { json: { minLength: 1, maxLength: 255, pattern: '^[^/]+$' } },
);

const address: Schema<string> = text((value) => IpAddress.parse(value).toString(), 'an IP address', {
  json: { examples: ['10.0.0.2', 'fd00::2'] },
});

const prefix: Schema<string> = text(readPrefix, 'a prefix', { json: { examples: ['10.1.0.0/16', 'fd01::/48'] } });

/** The same prefix, and `default` for that of IPv4. */
const destination: Schema<string> = text(
  (value) => (value === 'default' ? value : readPrefix(value)),
  'a prefix or default',
  {
    json: { examples: ['10.1.0.0/16', 'default'] },
  },
);

const hostCidr: Schema<string> = text(
  (value) => {
    const cidr = Cidr.parse(value);
    if (!value.includes('/'))
      throw invalidArgument('read', `an address with its prefix length, such as ${cidr.address}/24`, value);
    if (cidr.address.isUnspecified || cidr.address.isMulticast)
      throw invalidArgument('read', 'the address of one host', value);
    return cidr.toString();
  },
  'an address with its prefix length',
  { json: { examples: ['10.0.0.1/24', 'fd00::1/64'] } },
);

const mac: Schema<string> = text(
  (value) => {
    const parsed = MacAddress.parse(value);
    if (parsed.isMulticast || parsed.isUnspecified)
      throw invalidArgument('read', 'the MAC address of one interface', value);
    return parsed.toString();
  },
  'a MAC address',
  { json: { examples: ['02:00:00:00:00:01'] } },
);

const account: Schema<string> = text((value) => value, 'a name or a number', { numbers: true, json: { minLength: 1 } });

const sysctlValue: Schema<string> = text((value) => value.trim().replace(/\s+/g, ' '), 'a number or text', {
  numbers: true,
});

const sysctlName: Schema<string> = text(
  (value) => {
    if (/^net[./][\w.-]+([./][\w.-]+)*$/.test(value) && !/(^|[./])\.\.?([./]|$)/.test(value)) return value;
    throw invalidArgument('read', 'the name of a kernel setting, such as net.ipv4.ip_forward', value);
  },
  'the name of a kernel setting',
  { json: { pattern: '^net[./]' } },
);

const deviceSysctlName: Schema<string> = text(
  (value) => {
    if (/^ipv[46]\.[a-z0-9_]+$/.test(value)) return value;
    throw invalidArgument('read', 'ipv4.NAME or ipv6.NAME of net.ipv4.conf and net.ipv6.conf', value);
  },
  'the name of a setting',
  { json: { pattern: '^ipv[46]\\.[a-z0-9_]+$' } },
);

const routeFields = object<RouteConfig>({
  to: { schema: destination, about: 'Where to: a prefix without host bits, or default', required: true },
  via: { schema: address, about: 'The gateway' },
  metric: { schema: integer(0, MAX_U32), about: 'Lower is preferred' },
  table: { schema: integer(1, MAX_U32), about: 'Number of the routing table', default: 254 },
  source: { schema: address, about: 'Preferred source address' },
  onlink: { schema: flag, about: 'Take the gateway as reachable although no subnet has it', default: false },
  mtu: { schema: integer(68, 65_535), about: 'Path MTU in bytes' },
});

const route: Schema<RouteConfig> = mapped(
  either<Partial<RouteConfig>>(
    mapped(destination, (to): Partial<RouteConfig> => ({ to })),
    routeFields,
  ),
  (value) => writtenOut(value as RouteConfig),
);

const neighbour: Schema<NeighbourConfig> = mapped(
  object<NeighbourConfig>({
    address: { schema: address, about: 'IP address of the neighbour', required: true },
    mac: { schema: mac, about: 'Its MAC address', required: true },
  }),
  (value) => value as NeighbourConfig,
);

const bridgeSettings = object<BridgeSettings>({
  stp: { schema: flag, about: 'Spanning tree (IEEE 802.1D)' },
  ageingTimeSec: { schema: integer(0, 1_000_000), about: 'Until a learned address is forgotten' },
  forwardDelaySec: { schema: integer(0, 30), about: 'In each of listening and learning; 2 or more with stp' },
  helloTimeSec: { schema: integer(1, 10), about: 'Between hellos' },
  maxAgeSec: { schema: integer(6, 40), about: 'Until a lost root is noticed' },
  priority: { schema: integer(0, 0xffff), about: 'Of the election of the root; lower wins' },
  vlanFiltering: { schema: flag, about: 'Look at VLAN tags' },
  vlanDefaultPvid: { schema: integer(0, 4094), about: 'VLAN of untagged frames of new ports' },
  multicastSnooping: { schema: flag, about: 'Send multicast only where it was asked for' },
  groupForwardMask: { schema: integer(0, 0xffff), about: 'Link-local groups that are forwarded, as a bit mask' },
});

const portSettings = object<PortConfig>({
  isolated: { schema: flag, about: 'No frames to other isolated ports' },
  hairpin: { schema: flag, about: 'Send frames back out of the port that they came from' },
  learning: { schema: flag, about: 'Learn addresses from frames' },
  flood: { schema: flag, about: 'Send frames for unknown addresses' },
  multicastFlood: { schema: flag, about: 'Send multicast that nobody asked for' },
  broadcastFlood: { schema: flag, about: 'Send broadcast' },
  neighbourSuppress: { schema: flag, about: 'Answer ARP and neighbour discovery in place of the ports' },
  locked: { schema: flag, about: 'Only take frames whose source address is known at this port' },
  fastLeave: { schema: flag, about: 'Forget a multicast group with the first that leaves' },
  priority: { schema: integer(0, 63), about: 'Of the port in the spanning tree' },
  cost: { schema: integer(1, 0xffff), about: 'Of the path in the spanning tree' },
  guard: { schema: flag, about: 'Drop frames of the spanning tree, and block who sends them' },
  rootBlock: { schema: flag, about: 'Never let the port become the root port' },
});

const device: Schema<Partial<DeviceDocument>> = object<DeviceDocument>({
  kind: {
    schema: choice('tun', 'tap', 'bridge', 'veth'),
    about: 'What to make; left out, the device must exist and is never made or deleted',
  },
  name: { schema: interfaceName, about: 'Its name in the kernel, where the key is another' },
  namespace: { schema: namespaceName, about: 'The network namespace that it is in; made if it is missing' },
  owner: { schema: account, about: 'User, by name or uid, who may attach to a TUN/TAP device without privilege' },
  group: { schema: account, about: 'Group, by name or gid, whose members may attach without privilege' },
  multiQueue: { schema: flag, about: 'Let several programs or threads attach, one a queue', default: false },
  vnetHeader: {
    schema: flag,
    about: 'Packets carry a virtio-net header; whoever attaches decides anew',
    default: false,
  },
  packetInfo: {
    schema: flag,
    about: 'Packets carry four bytes of flags and type; whoever attaches decides anew',
    default: false,
  },
  peer: { schema: interfaceName, about: 'The other end of a veth pair' },
  peerNamespace: { schema: namespaceName, about: 'The network namespace of the other end, where it is another' },
  mac: { schema: mac, about: 'MAC address; not of a TUN device' },
  mtu: { schema: integer(68, 65_535), about: 'Longest packet in bytes; 1280 or more with an IPv6 address' },
  txQueueLen: { schema: integer(1, 1_000_000), about: 'Packets that the kernel queues for the reader' },
  promisc: { schema: flag, about: 'Take frames for other MAC addresses' },
  bridge: { schema: interfaceName, about: 'The bridge that it is a port of' },
  bridgeSettings: { schema: bridgeSettings, about: 'Of a bridge' },
  portSettings: { schema: portSettings, about: 'Of a port of a bridge' },
  altNames: {
    schema: list(text((value) => value, 'a name', { json: { minLength: 1, maxLength: 127 } })),
    about: 'Further names of up to 127 bytes',
  },
  addresses: { schema: list(hostCidr), about: 'Addresses with their prefix lengths' },
  routes: { schema: list(route), about: 'Routes through the device, as a prefix or with a gateway and more' },
  neighbours: { schema: list(neighbour), about: 'Permanent entries of the ARP or neighbour cache' },
  sysctls: {
    schema: record(deviceSysctlName, sysctlValue),
    about: 'Settings of net.ipv4.conf and net.ipv6.conf of the device',
  },
  up: { schema: flag, about: 'Bring it up; true unless the kind is left out' },
});

const rule: Schema<RuleConfig> = mapped(
  object<RuleConfig>({
    priority: { schema: integer(1, 32_765), about: 'Lower is asked first', required: true },
    table: { schema: integer(1, MAX_U32), about: 'Number of the routing table', required: true },
    from: { schema: prefix, about: 'Packets from these addresses' },
    to: { schema: prefix, about: 'Packets to these addresses' },
    in: { schema: interfaceName, about: 'Packets that came in by this interface' },
    mark: { schema: integer(1, MAX_U32), about: 'Packets with this mark' },
  }),
  (value) => value as RuleConfig,
);

const sysctls: Schema<[string, string][]> = record(sysctlName, sysctlValue);

const masquerade: Schema<MasqueradeConfig> = mapped(
  object<MasqueradeConfig>({
    from: { schema: prefix, about: 'Sources whose packets leave with the address of the interface', required: true },
    out: { schema: interfaceName, about: 'Only by this interface' },
    notOut: { schema: interfaceName, about: 'Only by another interface than this' },
  }),
  (value) => value as MasqueradeConfig,
);

const namespace: Schema<Partial<NamespaceDocument>> = object<NamespaceDocument>({
  sysctls: { schema: sysctls, about: 'Kernel settings of the namespace by name' },
  rules: { schema: list(rule), about: 'Policy rules of the namespace' },
  masquerade: { schema: list(masquerade), about: 'Sources that leave the namespace with the address of the interface' },
});

/** Sections that later versions fill; named so that nobody takes them for a typing mistake. */
const later = {
  machines: 'Machines come with a later version.',
};

/** The whole file. */
export const configSchema: Schema<Partial<ConfigDocument>> = object<ConfigDocument>(
  {
    version: { schema: integer(1, 1), about: 'Version of the format', default: 1 },
    devices: { schema: record(interfaceName, device), about: 'Network interfaces by name' },
    namespaces: {
      schema: record(namespaceName, namespace),
      about: 'Further network namespaces by name; made where they are missing',
    },
    sysctls: { schema: sysctls, about: 'Kernel settings by name, such as net.ipv4.ip_forward' },
    rules: { schema: list(rule), about: 'Policy rules: which table a packet is routed by' },
    masquerade: { schema: list(masquerade), about: 'Sources that leave with the address of the interface' },
    links: { schema: record(linkName, link), about: 'Links by name, which `vnic run` carries while it runs' },
    tunnels: { schema: record(linkName, tunnel), about: 'Tunnels by name, which `vnic run` carries while it runs' },
    switches: { schema: record(linkName, switchSchema), about: 'Switches by name, which `vnic run` runs' },
  },
  { later },
);

/** The file as JSON Schema, for editors: `# yaml-language-server: $schema=…`. */
export const configJsonSchema: JsonSchema = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'vnic configuration',
  description: 'Network interfaces that vnic makes and keeps; see docs/config.md.',
  ...configSchema.jsonSchema,
};

function readPrefix(value: string): string {
  const cidr = Cidr.parse(value);
  if (cidr.equals(cidr.network)) return cidr.toString();
  throw invalidArgument('read', `a prefix without host bits, ${cidr.network}`, value);
}

/** A default route takes its family from what stands beside it. */
function writtenOut(value: RouteConfig): RouteConfig {
  if (value.to !== 'default') return value;
  const beside = value.via ?? value.source;
  return { ...value, to: beside?.includes(':') ? '::/0' : '0.0.0.0/0' };
}
