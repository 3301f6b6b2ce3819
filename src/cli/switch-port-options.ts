/** Options of ports: when a switch starts, each names its port; of `add` and `set` there is one port anyway. */

import type { Command } from 'commander';

import { invalidArgument } from '../base/index.ts';
import { type ImpairmentSettings, parseImpairment, parseShape, type ShapeSettings } from '../middleware/index.ts';
import type { MirrorSource, SwitchPortSettings } from '../switch/index.ts';
import { usageError } from './report-error.ts';
import { type Parser, parseOnOff, repeatableOption, wholeNumber } from './values.ts';

/** A value, and the port that it is for. */
export interface OfPort<T> {
  readonly port: number | undefined;
  readonly value: T;
}

/** A port that shows what others carry. */
export interface MirrorOption {
  readonly to: number;
  readonly from: readonly MirrorSource[];
}

/** What `addPortOptions` parses. */
export interface PortFlags {
  readonly access?: readonly OfPort<number>[];
  readonly trunk?: readonly OfPort<readonly number[] | 'all'>[];
  readonly tunnelPort?: readonly OfPort<boolean>[];
  readonly isolated?: readonly OfPort<boolean>[];
  readonly storm?: readonly OfPort<number>[];
  readonly cost?: readonly OfPort<number>[];
  readonly portPriority?: readonly OfPort<number>[];
  readonly edge?: readonly OfPort<boolean>[];
  readonly bpduGuard?: readonly OfPort<boolean>[];
  readonly routerPort?: readonly OfPort<boolean>[];
  readonly fastLeave?: readonly OfPort<boolean>[];
  readonly trusted?: readonly OfPort<boolean>[];
  readonly impair?: readonly OfPort<string>[];
  readonly shape?: readonly OfPort<string>[];
  readonly mirror?: readonly MirrorOption[];
}

/** What lies between the switch and a port's end. */
export interface PortMiddleware {
  readonly impair?: { readonly text: string; readonly settings: ImpairmentSettings };
  readonly shape?: { readonly text: string; readonly settings: ShapeSettings };
}

const MAX_PORTS = 256;
const portNumber = wholeNumber(1, MAX_PORTS);
const vlan = wholeNumber(1, 4094);

/** Adds the options to the command. */
export function addPortOptions(command: Command): Command {
  return command
    .addOption(repeatableOption('--access <[port:]vlan>', 'the port is of this VLAN, without tags', ofPort(vlan)))
    .addOption(
      repeatableOption(
        '--trunk <[port:]vlans>',
        'the port has these VLANs with tags: 10,20 or all',
        ofPort((text) => (text === 'all' ? 'all' : text.split(',').map(vlan))),
      ),
    )
    .addOption(repeatableOption('--tunnel-port <port>', 'tags that come by the port are payload (QinQ)', flagOfPort))
    .addOption(repeatableOption('--isolated <port>', 'no frames to other isolated ports', flagOfPort))
    .addOption(
      repeatableOption(
        '--storm <[port:]frames>',
        'frames for many that the port, or each, may send in a second; default all',
        ofPort(wholeNumber(1, 1e9)),
      ),
    )
    .addOption(
      repeatableOption(
        '--cost <[port:]cost>',
        'spanning tree: what the way by the port costs; default 20000',
        ofPort(wholeNumber(1, 200_000_000)),
      ),
    )
    .addOption(
      repeatableOption(
        '--port-priority <[port:]priority>',
        'spanning tree: which of equal ports is better, a multiple of 16; default 128',
        ofPort(wholeNumber(0, 240)),
      ),
    )
    .addOption(repeatableOption('--edge <port>', 'spanning tree: no bridge is behind the port', flagOfPort))
    .addOption(repeatableOption('--bpdu-guard <port>', 'spanning tree: a BPDU shuts the port', flagOfPort))
    .addOption(repeatableOption('--router-port <port>', 'snooping: the port gets every group', flagOfPort))
    .addOption(
      repeatableOption('--fast-leave <port>', 'snooping: one host is behind it, and leaves at once', flagOfPort),
    )
    .addOption(repeatableOption('--trusted <port>', 'servers of DHCP and routers may be behind the port', flagOfPort))
    .addOption(
      repeatableOption(
        '--mirror <ports:port>',
        'show at the second what the first carry: 1,2:3, or 1:3:in and 1:3:out',
        parseMirror,
      ),
    )
    .addOption(
      repeatableOption(
        '--impair <[port:]settings>',
        'a bad link to the port, as of `vnic link`',
        ofPort(text(parseImpairment)),
      ),
    )
    .addOption(
      repeatableOption('--shape <[port:]rate>', 'no more than so much to and from the port', ofPort(text(parseShape))),
    );
}

/** The text itself, once it has been read without a mistake. */
function text(read: (text: string) => unknown): Parser<string> {
  return (value) => {
    read(value);
    return value;
  };
}

function ofPort<T>(parse: Parser<T>): Parser<OfPort<T>> {
  return (value) => {
    const [, port, rest = value] = /^(\d{1,4}):(.+)$/.exec(value) ?? [];
    return { port: port === undefined ? undefined : portNumber(port), value: parse(rest) };
  };
}

/** `3`, `3:off`; of one port `on` and `off`. */
function flagOfPort(value: string): OfPort<boolean> {
  if (/^\d+$/.test(value)) return { port: portNumber(value), value: true };
  return ofPort(parseOnOff)(value);
}

function parseMirror(value: string): MirrorOption {
  const [, sources, to, direction = 'both'] = /^([\d,]+):(\d+)(?::(in|out|both))?$/.exec(value) ?? [];
  if (sources === undefined || to === undefined)
    throw invalidArgument('read a mirror', 'PORTS:PORT, such as 1,2:3', value);
  return {
    to: portNumber(to),
    from: sources
      .split(',')
      .map((port) => ({ port: portNumber(port), direction: direction as MirrorSource['direction'] })),
  };
}

/** True when ports are given VLANs, so that the switch has to look at tags. */
export function wantsVlans({ access, trunk, tunnelPort }: PortFlags): boolean {
  return access !== undefined || trunk !== undefined || tunnelPort !== undefined;
}

/** @throws VNIC_INVALID_ARGUMENT when an option names no port, or one that there is not */
export function checkPortNumbers(flags: PortFlags, count: number): void {
  const { access, trunk, tunnelPort, isolated, cost, portPriority, edge, bpduGuard, impair, shape } = flags;
  const ofTree = [cost, portPriority, edge, bpduGuard];
  const ofGroups = [flags.routerPort, flags.fastLeave, flags.trusted];
  const all = [access, trunk, tunnelPort, isolated, ...ofTree, ...ofGroups, impair, shape].flatMap(
    (list): readonly OfPort<unknown>[] => list ?? [],
  );
  if (all.some(({ port }) => port === undefined)) {
    throw usageError(
      'run `vnic switch`',
      'an option does not say of which port it is',
      'Put the number before it: 1:10.',
    );
  }
  const numbers = [
    ...[...all, ...(flags.storm ?? [])].map(({ port }) => port ?? 1),
    ...(flags.mirror ?? []).flatMap(({ to, from }) => [to, ...from.map(({ port }) => port)]),
  ];
  const wrong = numbers.find((number) => number > count);
  if (wrong === undefined) return;
  throw usageError('run `vnic switch`', `there is no port ${wrong}`, `Ports are 1 to ${count}, as the ends are given.`);
}

/** What the options say of a port; with `one` those are meant that name none. */
export function settingsOfPort(flags: PortFlags, port: number | 'one'): SwitchPortSettings {
  const pvid = ofThis(flags.access, port);
  const vlans = ofThis(flags.trunk, port);
  const isTunnel = ofThis(flags.tunnelPort, port);
  const isIsolated = ofThis(flags.isolated, port);
  const pathCost = ofThis(flags.cost, port);
  const stpPriority = ofThis(flags.portPriority, port);
  const isEdge = ofThis(flags.edge, port);
  const bpduGuard = ofThis(flags.bpduGuard, port);
  const isMulticastRouter = ofThis(flags.routerPort, port);
  const fastLeave = ofThis(flags.fastLeave, port);
  const isTrusted = ofThis(flags.trusted, port);
  const storm = ofThis(flags.storm, port) ?? flags.storm?.find((one) => one.port === undefined)?.value;
  return {
    ...(pvid !== undefined && { pvid }),
    ...(vlans !== undefined && { vlans }),
    ...(isTunnel !== undefined && { isTunnel }),
    ...(isIsolated !== undefined && { isIsolated }),
    ...(storm !== undefined && { stormPacketsPerSec: storm }),
    ...(pathCost !== undefined && { pathCost }),
    ...(stpPriority !== undefined && { stpPriority }),
    ...(isEdge !== undefined && { isEdge }),
    ...(bpduGuard !== undefined && { bpduGuard }),
    ...(isMulticastRouter !== undefined && { isMulticastRouter }),
    ...(fastLeave !== undefined && { fastLeave }),
    ...(isTrusted !== undefined && { isTrusted }),
  };
}

/** What lies before a port. */
export function middlewareOfPort(flags: PortFlags, port: number | 'one'): PortMiddleware {
  const impair = ofThis(flags.impair, port);
  const shape = ofThis(flags.shape, port);
  return {
    ...(impair !== undefined && { impair: { text: impair, settings: parseImpairment(impair) } }),
    ...(shape !== undefined && { shape: { text: shape, settings: parseShape(shape) } }),
  };
}

function ofThis<T>(list: readonly OfPort<T>[] | undefined, port: number | 'one'): T | undefined {
  return list?.find((one) => (port === 'one' ? one.port === undefined : one.port === port))?.value;
}
