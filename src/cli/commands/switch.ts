/** `vnic switch`: an Ethernet switch whose ports are ends of links. */

import type { Command } from 'commander';

import { formatMac, invalidArgument } from '../../base/index.ts';
import { type CarrierEvent, carriesSuperPackets, type OpenEnd, openEnd, parseEnd } from '../../ends/index.ts';
import type { PacketSwitch, SwitchPort, SwitchPortSettings } from '../../switch/index.ts';
import { pointAtMistake } from '../end-mistake.ts';
import { interruption } from '../interruption.ts';
import { showLiveLine } from '../live-line.ts';
import { printable, printNote, style } from '../output.ts';
import { usageError } from '../report-error.ts';
import { formatTable } from '../table.ts';
import { option, repeatableOption, wholeNumber } from '../values.ts';

interface SwitchOptions {
  readonly access?: readonly PortVlans[];
  readonly trunk?: readonly PortVlans[];
  readonly isolated?: readonly number[];
  readonly hub?: true;
  readonly storm?: number;
  readonly ageing?: number;
  readonly stations?: number;
  readonly quiet?: true;
  readonly json?: true;
}

interface PortVlans {
  readonly port: number;
  readonly vlans: readonly number[] | 'all';
}

const KEEP_ALIVE_MS = 1000;
const MAX_PORTS = 256;
const port = wholeNumber(1, MAX_PORTS);
const vlan = wholeNumber(1, 4094);

export function define(command: Command): void {
  command
    .description(
      'An Ethernet switch: learns where stations are, and sends frames on to the ports that they are for, until Ctrl-C. Ports are ends ' +
        'of links that carry Ethernet frames, numbered from 1 as they are given; one whose other side ends is taken out.',
    )
    .argument('<end...>', 'ends, as of `vnic link`: tap:NAME, udp:HOST:PORT, vde:, qemu:, vxlan: …')
    .addOption(repeatableOption('--access <port:vlan>', 'the port is of this VLAN, without tags', parsePortVlans))
    .addOption(
      repeatableOption('--trunk <port:vlans>', 'the port has these VLANs with tags: 10,20 or all', parsePortVlans),
    )
    .addOption(repeatableOption('--isolated <port>', 'no frames to other isolated ports', port))
    .option('--hub', 'learn nothing: every frame to every other port')
    .addOption(
      option('--storm <frames>', 'frames for many that a port may send in a second; default all', wholeNumber(1, 1e9)),
    )
    .addOption(
      option('--ageing <seconds>', 'forget a station that was silent so long; default 300', wholeNumber(1, 1e6)),
    )
    .addOption(
      option('--stations <number>', 'stations that are known at most; default 16384', wholeNumber(1, 4_194_304)),
    )
    .option('-q, --quiet', 'print nothing')
    .option('--json', 'an object a line: what happens, and the totals at the end')
    .addHelpText('after', HELP)
    .action(run);
}

const HELP = `
With --access or --trunk the switch looks at VLAN tags (IEEE 802.1Q); ports that are not named are of VLAN 1. Without, tags pass as they are.
A port that takes nothing loses its own frames, and slows no other.

Examples:
  sudo vnic switch tap:tap0 tap:tap1 tap:tap2
  sudo vnic switch tap:tap0,bridge=br0 udp:192.0.2.1:7000,medium=ethernet udp-listen:7001,medium=ethernet
  sudo vnic switch tap:a0 tap:b0 tap:up0 --access 1:10 --access 2:20 --trunk 3:10,20
  sudo vnic switch vde:/run/vde.ctl qemu-listen:/run/vm.sock vxlan:192.0.2.1,vni=42 --isolated 1 --isolated 2`;

async function run(ends: readonly string[], options: SwitchOptions): Promise<void> {
  // Before anything is made, so that Ctrl-C from now on undoes it.
  const signal = interruption();
  const settings = settingsOf(ends.length, options);
  const { PacketSwitch } = await import('../../switch/index.ts');
  const under = new PacketSwitch({
    vlanAware: options.access !== undefined || options.trunk !== undefined,
    ...(options.hub && { isHub: true }),
    ...(options.ageing !== undefined && { ageingMs: options.ageing * 1000 }),
    ...(options.stations !== undefined && { capacity: options.stations }),
  });
  const opened: OpenEnd[] = [];
  const startedMs = performance.now();
  const alive = setInterval(() => undefined, KEEP_ALIVE_MS);
  let stopLive: () => void = () => undefined;
  try {
    for (const [i, text] of ends.entries()) {
      const end = await open(text, options);
      opened.push(end);
      under.addPort(end.link, settings[i], end.label);
    }
    const ended = untilEnded(under, signal, options);
    announce(under, options);
    stopLive = options.quiet || options.json ? stopLive : showLiveLine(() => totalsOf(under));
    await ended;
  } finally {
    clearInterval(alive);
    stopLive();
    report(under, performance.now() - startedMs, options);
    await under.close();
    await Promise.allSettled(opened.map((end) => end.close()));
  }
}

async function open(text: string, options: SwitchOptions): Promise<OpenEnd> {
  try {
    const spec = parseEnd(text);
    return await openEnd(spec, {
      medium: 'ethernet',
      once: false,
      superPackets: carriesSuperPackets(spec),
      onEvent: (event) => tell(event, options),
    });
  } catch (error) {
    pointAtMistake(error);
    throw error;
  }
}

/** Until it is stopped, or no port is left. */
function untilEnded(under: PacketSwitch, signal: AbortSignal, options: SwitchOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
    under.on('portGone', ({ port: gone, error }) => {
      if (options.json) printNote(JSON.stringify({ event: 'port-gone', port: gone.id + 1, name: gone.name, error }));
      else if (!options.quiet) {
        const why = error === undefined ? 'it has ended' : printable(error.reason);
        printNote(`${style('yellow', 'gone', process.stderr)}    port ${gone.id + 1}, ${printable(gone.name)}: ${why}`);
      }
      if (under.ports.length > 0) return;
      if (error === undefined) resolve();
      else reject(error);
    });
  });
}

function settingsOf(
  count: number,
  { access = [], trunk = [], isolated = [], storm }: SwitchOptions,
): SwitchPortSettings[] {
  for (const number of [...access.map((one) => one.port), ...trunk.map((one) => one.port), ...isolated]) {
    if (number > count) {
      throw usageError(
        'run `vnic switch`',
        `there is no port ${number}`,
        `Ports are 1 to ${count}, as the ends are given.`,
      );
    }
  }
  return Array.from({ length: count }, (_, i): SwitchPortSettings => {
    const own = access.find((one) => one.port === i + 1)?.vlans;
    const tagged = trunk.find((one) => one.port === i + 1)?.vlans;
    if (own === 'all' || (own !== undefined && own.length > 1)) {
      throw usageError('run `vnic switch`', 'a port has one VLAN without tags', 'Give the others with --trunk.');
    }
    return {
      ...(own?.[0] !== undefined && { pvid: own[0] }),
      ...(tagged !== undefined && { vlans: tagged }),
      ...(isolated.includes(i + 1) && { isIsolated: true }),
      ...(storm !== undefined && { stormPacketsPerSec: storm }),
    };
  });
}

function parsePortVlans(text: string): PortVlans {
  const [, number, list] = /^(\d+):(.+)$/.exec(text) ?? [];
  if (number === undefined || list === undefined) throw invalidArgument('read a port', 'PORT:VLAN, such as 1:10', text);
  return { port: port(number), vlans: list === 'all' ? 'all' : list.split(',').map(vlan) };
}

function announce(under: PacketSwitch, { quiet, json }: SwitchOptions): void {
  const ports = under.ports.map(({ id, name, link }) => ({ port: id + 1, name, mtu: link.mtu }));
  if (json) printNote(JSON.stringify({ event: 'switching', ports }));
  else if (!quiet) {
    for (const { port: number, name, mtu } of ports) {
      printNote(`port ${number}: ${style('bold', printable(name), process.stderr)}, MTU ${mtu}`);
    }
    printNote('switching; Ctrl-C ends this');
  }
}

function tell(event: CarrierEvent, { quiet, json }: SwitchOptions): void {
  if (json) printNote(JSON.stringify({ ...event, ...('error' in event && { error: event.error.toJSON() }) }));
  else if (!quiet) {
    const detail = 'error' in event ? event.error.reason : 'peer' in event ? event.peer : '';
    printNote(`${event.event.padEnd(7)} ${printable(event.link)}${detail === '' ? '' : `: ${printable(detail)}`}`);
  }
}

function totalsOf({ ports, core }: PacketSwitch): Parameters<typeof showLiveLine>[0] extends () => infer T ? T : never {
  const sum = (of: (one: SwitchPort) => number): number => ports.reduce((total, one) => total + of(one), 0);
  return {
    before: `${ports.length} ports`,
    outBytes: sum(({ counters }) => counters.bytesOut),
    inBytes: sum(({ counters }) => counters.bytesIn),
    lost: sum(({ counters }) => Object.values(counters.dropped).reduce((total, count) => total + count, 0)),
    after: core.flaps === 0 ? '' : `flapping ${core.flaps}`,
  };
}

function report(under: PacketSwitch, elapsedMs: number, { quiet, json }: SwitchOptions): void {
  const ports = under.ports.map(({ id, name, counters }) => {
    const dropped = Object.fromEntries(Object.entries(counters.dropped).filter(([, count]) => count > 0));
    return { port: id + 1, name, ...counters, dropped };
  });
  if (json) {
    const nowMs = performance.now();
    const stations = [...under.core.fdb.entries(nowMs)].map((entry) => ({
      vlan: entry.vlan,
      mac: formatMac(entry.mac),
      port: entry.port + 1,
      ageMs: Math.round(entry.ageMs),
    }));
    const { flaps } = under.core;
    printNote(JSON.stringify({ event: 'ended', durationMs: Math.round(elapsedMs), ports, stations, flaps }));
  } else if (!quiet && ports.length > 0) {
    const head = ['port', 'end', 'frames in', 'bytes in', 'frames out', 'bytes out', 'lost'];
    const rows = ports.map((one) => [
      String(one.port),
      printable(one.name),
      ...[one.framesIn, one.bytesIn, one.framesOut, one.bytesOut].map(String),
      Object.entries(one.dropped)
        .map(([reason, count]) => `${reason} ${count}`)
        .join(', '),
    ]);
    printNote(formatTable([head, ...rows]));
  }
}
