/** A switch that runs until it is stopped. */

import { type IpAddress, isVnicError } from '../base/index.ts';
import { parseEnd } from '../ends/index.ts';
import {
  openSwitchControl,
  ownSwitchMac,
  querierOf,
  type SwitchControl,
  type SwitchNote,
  type SwitchOfEnds,
  type SwitchPortSpec,
  type SwitchStatus,
  vlansOfPorts,
} from '../service/index.ts';
import type { PacketSwitchOptions } from '../switch/index.ts';
import { pointAtMistake } from './end-mistake.ts';
import { interruption } from './interruption.ts';
import { showLiveLine } from './live-line.ts';
import { printable, printNote, style } from './output.ts';
import {
  checkPortNumbers,
  middlewareOfPort,
  type PortFlags,
  settingsOfPort,
  wantsVlans,
} from './switch-port-options.ts';
import { portTable } from './switch-tables.ts';

/** Options of a switch that starts. */
export interface SwitchRunFlags extends PortFlags {
  readonly name?: string;
  readonly control?: false;
  readonly vlanProtocol?: '802.1Q' | '802.1ad';
  readonly stp?: true | number;
  readonly helloTime?: number;
  readonly forwardDelay?: number;
  readonly maxAge?: number;
  readonly snooping?: true;
  readonly querier?: IpAddress;
  readonly dhcpSnooping?: true;
  readonly arpInspection?: true;
  readonly hub?: true;
  readonly ageing?: number;
  readonly stations?: number;
  readonly quiet?: true;
  readonly json?: true;
}

/** Opens the ends, and switches until Ctrl-C, or until no port is left. */
export async function runSwitch(texts: readonly string[], flags: SwitchRunFlags): Promise<void> {
  // Before anything is made, so that Ctrl-C from now on undoes it.
  const signal = interruption();
  checkPortNumbers(flags, texts.length);
  const ports = texts.map((text, i) => portOf(text, flags, i + 1));
  const { SwitchOfEnds: Running } = await import('../service/index.ts');
  let control: SwitchControl | undefined;
  const onNote = (note: SwitchNote): void => {
    control?.note(note);
    tell(note, flags);
  };
  const running = new Running({ ...optionsOf(flags, ports), onNote });
  const startedMs = performance.now();
  let stopLive: () => void = () => undefined;
  try {
    if (flags.control !== false) control = await openControl(running, flags);
    for (const port of ports) await running.add(port);
    for (const { to, from } of flags.mirror ?? []) running.setMirror(to, from);
    const ended = untilEnded(running, signal);
    announce(running, control, flags);
    if (!flags.quiet && !flags.json) stopLive = showLiveLine(() => totalsOf(running.status()));
    await ended;
  } finally {
    stopLive();
    report(running, performance.now() - startedMs, flags);
    await control?.close();
    await running.close();
  }
}

function portOf(text: string, flags: PortFlags, port: number): SwitchPortSpec {
  const { impair, shape } = middlewareOfPort(flags, port);
  try {
    return {
      end: parseEnd(text),
      settings: settingsOfPort(flags, port),
      ...(impair && { impair: impair.settings }),
      ...(shape && { shape: shape.settings }),
    };
  } catch (error) {
    pointAtMistake(error);
    throw error;
  }
}

function optionsOf(flags: SwitchRunFlags, ports: readonly SwitchPortSpec[]): PacketSwitchOptions {
  const { hub, ageing, stations, vlanProtocol, stp, helloTime, forwardDelay, maxAge } = flags;
  const vlanAware = wantsVlans(flags) || vlanProtocol !== undefined;
  const mac = ownSwitchMac();
  const vlans = vlansOfPorts(
    vlanAware,
    ports.map(({ settings = {} }) => settings),
  );
  return {
    ...((flags.snooping || flags.querier !== undefined) && {
      snooping: { ...(flags.querier !== undefined && { querier: querierOf(mac, flags.querier, vlans) }) },
    }),
    ...((flags.dhcpSnooping || flags.arpInspection) && { inspection: { arp: flags.arpInspection ?? false } }),
    ...(stp !== undefined && {
      spanningTree: {
        mac,
        ...(typeof stp === 'number' && { priority: stp }),
        ...(helloTime !== undefined && { helloTime }),
        ...(forwardDelay !== undefined && { forwardDelay }),
        ...(maxAge !== undefined && { maxAge }),
      },
    }),
    vlanAware,
    ...(vlanProtocol !== undefined && { vlanProtocol }),
    ...(hub && { isHub: true }),
    ...(ageing !== undefined && { ageingMs: ageing * 1000 }),
    ...(stations !== undefined && { capacity: stations }),
  };
}

/** Without a name that was asked for, it runs uncontrolled where there is no place for a socket. */
async function openControl(running: SwitchOfEnds, { name, quiet }: SwitchRunFlags): Promise<SwitchControl | undefined> {
  try {
    return await openSwitchControl(running, name);
  } catch (error) {
    if (name !== undefined || !isVnicError(error, 'VNIC_SYSTEM_CALL')) throw error;
    if (!quiet)
      printNote(`${style('yellow', 'note', process.stderr)}    it cannot be changed while it runs: ${error.reason}`);
    return undefined;
  }
}

/** Until it is stopped, or the last port has gone by itself. */
function untilEnded({ under }: SwitchOfEnds, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
    under.on('portGone', ({ error }) => {
      if (under.ports.length > 0) return;
      if (error === undefined) resolve();
      else reject(error);
    });
  });
}

function announce(running: SwitchOfEnds, control: SwitchControl | undefined, { quiet, json }: SwitchRunFlags): void {
  const { ports } = running.status();
  if (json) {
    const shown = ports.map(({ port, name, mtu }) => ({ port, name, mtu }));
    printNote(JSON.stringify({ event: 'switching', ...(control && { name: control.name }), ports: shown }));
  } else if (!quiet) {
    for (const { port, name, mtu } of ports) {
      printNote(`port ${port}: ${style('bold', printable(name), process.stderr)}, MTU ${mtu}`);
    }
    const change =
      control === undefined ? '' : ` as ${control.name}; change it with \`vnic switch add\`, \`set\`, \`remove\``;
    printNote(`switching${change}; Ctrl-C ends this`);
  }
}

/** Lines of what happens; ports that are added before it says `switching` go without saying. */
function tell(note: SwitchNote, { quiet, json }: SwitchRunFlags): void {
  if (note.event === 'port-added') return;
  if (json) {
    printNote(JSON.stringify({ ...note, ...('error' in note && note.error && { error: note.error.toJSON() }) }));
  } else if (!quiet) printNote(noteLine(note));
}

/** One event for people. */
export function noteLine(note: SwitchNote): string {
  switch (note.event) {
    case 'port-added':
      return `added   port ${note.port}, ${printable(note.name)}`;
    case 'port-removed':
      return `removed port ${note.port}, ${printable(note.name)}`;
    case 'port-gone': {
      const why = note.error === undefined ? 'it has ended' : printable(note.error.reason);
      return `${style('yellow', 'gone', process.stderr)}    port ${note.port}, ${printable(note.name)}: ${why}`;
    }
    case 'spanning-tree':
      return `tree    port ${note.port}, ${printable(note.name)}: ${note.role}, ${note.state}`;
    case 'flapping': {
      const where = `${note.mac}${note.vlan === 0 ? '' : ` of VLAN ${note.vlan}`}`;
      return `${style('yellow', 'flaps', process.stderr)}   ${where} is at ports ${note.from} and ${note.port} in turn: a loop, or two of one address`;
    }
    default: {
      const detail = 'error' in note ? note.error.reason : 'peer' in note ? note.peer : '';
      return `${note.event.padEnd(7)} ${printable(note.link)}${detail === '' ? '' : `: ${printable(detail)}`}`;
    }
  }
}

function totalsOf({ ports, flaps }: SwitchStatus): ReturnType<Parameters<typeof showLiveLine>[0]> {
  const sum = (of: (one: SwitchStatus['ports'][number]) => number): number =>
    ports.reduce((total, one) => total + of(one), 0);
  return {
    before: `${ports.length} ports`,
    outBytes: sum(({ bytesOut }) => bytesOut),
    inBytes: sum(({ bytesIn }) => bytesIn),
    lost: sum(({ dropped }) => Object.values(dropped).reduce((total, count) => total + count, 0)),
    after: flaps === 0 ? '' : `flapping ${flaps}`,
  };
}

function report(running: SwitchOfEnds, elapsedMs: number, { quiet, json }: SwitchRunFlags): void {
  const status = running.status();
  const { ports, flaps } = status;
  if (json) {
    const durationMs = Math.round(elapsedMs);
    printNote(JSON.stringify({ event: 'ended', durationMs, ports, stations: running.stations(), flaps }));
  } else if (!quiet && ports.length > 0) printNote(portTable(status, 'totals'));
}
