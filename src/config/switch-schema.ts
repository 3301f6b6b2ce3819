/** Switches in the file: what `vnic switch` takes as options, ports by name. */

import { IpAddress, invalidArgument, isVnicError } from '../base/index.ts';
import { parseEnd, writtenMedium } from '../ends/index.ts';
import { parseImpairment, parseShape } from '../middleware/index.ts';
import { end, linkName } from './end-schema.ts';
import { choice, flag, integer, list, object, record, type Schema, text } from './schema.ts';

/** A port of a switch. */
export interface SwitchPortConfig {
  /** As `vnic switch` takes it. */
  readonly end: string;
  readonly access?: number;
  /** VLANs, or `all`. */
  readonly trunk?: string;
  readonly tunnelPort?: boolean;
  readonly isolated?: boolean;
  /** Frames a second. */
  readonly storm?: number;
  readonly cost?: number;
  readonly priority?: number;
  readonly edge?: boolean;
  readonly bpduGuard?: boolean;
  readonly routerPort?: boolean;
  readonly fastLeave?: boolean;
  readonly trusted?: boolean;
  readonly impair?: string;
  readonly shape?: string;
  /** Names of the ports that it shows. */
  readonly mirror?: readonly string[];
}

/** Spanning tree of a switch. */
export interface SwitchTreeConfig {
  readonly priority?: number;
  /** Seconds. */
  readonly helloTime?: number;
  readonly forwardDelay?: number;
  readonly maxAge?: number;
}

/** A switch as it is read. */
export interface SwitchDocument {
  readonly ports: readonly (readonly [name: string, port: SwitchPortConfig])[];
  readonly stp?: SwitchTreeConfig;
  readonly vlanProtocol?: '802.1Q' | '802.1ad';
  readonly snooping?: boolean;
  /** Address that asks; implies snooping. */
  readonly querier?: string;
  readonly dhcpSnooping?: boolean;
  /** Implies DHCP snooping. */
  readonly arpInspection?: boolean;
  readonly hub?: boolean;
  /** Seconds. */
  readonly ageing?: number;
  readonly stations?: number;
}

const checked = (read: (written: string) => unknown, expected: string): Schema<string> =>
  text((value) => {
    read(value);
    return value;
  }, expected);

function ipv4Of(written: string): IpAddress {
  const address = IpAddress.parse(written);
  if (address.family === 4) return address;
  throw invalidArgument('read', 'an IPv4 address', written);
}

/** `10,20` or `all`; one VLAN may stand there as a number. */
const trunk: Schema<string> = text(
  (value) => {
    const vlans = value.split(',').map((word) => (/^\s*\d{1,4}\s*$/.test(word) ? Number(word) : 0));
    if (value === 'all' || vlans.every((vlan) => vlan >= 1 && vlan <= 4094)) return value;
    throw invalidArgument('read', 'VLANs such as "10,20", or all', value);
  },
  'VLANs such as "10,20", or all',
  { numbers: true },
);

const port: Schema<Partial<SwitchPortConfig>> = object<SwitchPortConfig>({
  end: { schema: end, about: 'What is plugged in, as `vnic switch` takes it', required: true },
  access: { schema: integer(1, 4094), about: 'VLAN of frames without a tag', default: 1 },
  trunk: { schema: trunk, about: 'VLANs whose frames have a tag: "10,20", or all' },
  tunnelPort: { schema: flag, about: 'Tags that come by it are payload (QinQ)', default: false },
  isolated: { schema: flag, about: 'No frames to other isolated ports', default: false },
  storm: { schema: integer(1, 1_000_000_000), about: 'Frames for many that it may send in a second' },
  cost: { schema: integer(1, 200_000_000), about: 'Spanning tree: cost of the way by it', default: 20_000 },
  priority: { schema: integer(0, 240), about: 'Spanning tree: priority, a multiple of 16', default: 128 },
  edge: { schema: flag, about: 'Spanning tree: no bridge is behind it; default found out' },
  bpduGuard: { schema: flag, about: 'Spanning tree: a BPDU shuts it', default: false },
  routerPort: { schema: flag, about: 'Snooping: it gets every group; default found out' },
  fastLeave: { schema: flag, about: 'Snooping: one host is behind it, and leaves at once', default: false },
  trusted: { schema: flag, about: 'Servers of DHCP and routers may be behind it', default: false },
  impair: { schema: checked(parseImpairment, 'settings such as delay=50ms,loss=1%'), about: 'A bad link to it' },
  shape: { schema: checked(parseShape, 'a rate such as 10mbit'), about: 'No more than so much to and from it' },
  mirror: { schema: list(linkName), about: 'Ports whose frames it shows; it does nothing else then' },
});

const tree: Schema<Partial<SwitchTreeConfig>> = object<SwitchTreeConfig>({
  priority: { schema: integer(0, 61_440), about: 'A multiple of 4096; the least is root', default: 32_768 },
  helloTime: { schema: integer(1, 10), about: 'Seconds between hellos, where this switch is root', default: 2 },
  forwardDelay: { schema: integer(4, 30), about: 'Seconds to listen and to learn', default: 15 },
  maxAge: { schema: integer(6, 40), about: 'Seconds for which a root is believed', default: 20 },
});

/** One switch. */
export const switchSchema: Schema<Partial<SwitchDocument>> = object<SwitchDocument>({
  ports: {
    schema: record(linkName, port) as Schema<[string, SwitchPortConfig][]>,
    about: 'Its ports by name',
    required: true,
  },
  stp: { schema: tree, about: 'Run rapid spanning tree; {} for its defaults' },
  vlanProtocol: {
    schema: choice('802.1Q', '802.1ad'),
    about: 'Which tags count: those of customers, or those of providers',
    default: '802.1Q',
  },
  snooping: { schema: flag, about: 'Frames to groups leave where they are wanted (IGMP, MLD)', default: false },
  querier: {
    schema: checked((written) => ipv4Of(written), 'an IPv4 address'),
    about: 'Ask for members of groups, from this address; implies snooping',
  },
  dhcpSnooping: { schema: flag, about: 'DHCP servers and routers at trusted ports alone', default: false },
  arpInspection: {
    schema: flag,
    about: 'ARP and neighbour discovery speak for the addresses that DHCP has bound; implies dhcpSnooping',
    default: false,
  },
  hub: { schema: flag, about: 'Learn nothing: every frame to every other port', default: false },
  ageing: {
    schema: integer(1, 1_000_000),
    about: 'Seconds of silence after which a station is forgotten',
    default: 300,
  },
  stations: { schema: integer(1, 4_194_304), about: 'Stations that are known at most', default: 16_384 },
});

/** Reports what contradicts itself in a switch. */
export function checkSwitch(
  { ports = [], stp }: Partial<SwitchDocument>,
  at: string,
  report: (path: string, message: string, hint?: string) => void,
): void {
  const names = new Set(ports.map(([name]) => name));
  const mirrors = new Set(ports.flatMap(([name, { mirror }]) => (mirror === undefined ? [] : [name])));
  if ((stp?.priority ?? 0) % 4096 !== 0) report(`${at}.stp.priority`, 'expected a multiple of 4096', 'Such as 4096.');
  for (const [name, { end: written, mirror = [], priority = 0 }] of ports) {
    const path = `${at}.ports.${name}`;
    if (priority % 16 !== 0) report(`${path}.priority`, 'expected a multiple of 16', 'Such as 112.');
    if (isOfIp(written)) report(`${path}.end`, 'a port carries Ethernet frames, and this end IP packets', 'Use tap:.');
    for (const source of mirror) {
      if (!names.has(source)) report(`${path}.mirror`, `there is no port ${source}`, 'Name ports of this switch.');
      else if (mirrors.has(source))
        report(`${path}.mirror`, `${source} shows others itself`, 'Name ports that show none.');
    }
  }
}

function isOfIp(written: string | undefined): boolean {
  if (written === undefined) return false;
  try {
    return writtenMedium(parseEnd(written)) === 'ip';
  } catch (error) {
    if (isVnicError(error)) return false;
    throw error;
  }
}
