/** What the demo shows, from within a network of its own. */

import { Cidr } from '../../base/index.ts';
import { type AttachedResponder, attachResponder, createResponder } from '../../host/index.ts';
import { openDevice, systemClock } from '../../netdev/index.ts';
import type { TunTapDevice } from '../../tun/index.ts';
import { summarizePacket } from '../../wire/index.ts';
import { ObservedLink } from '../observed-link.ts';
import { print, printable, style } from '../output.ts';
import { directionArrow, type PacketDirection, packetText } from '../packet-line.ts';
import { symbols } from '../symbols.ts';
import { formatTable } from '../table.ts';
import { kindOf, noteOf, type PacketKind } from './packet-notes.ts';
import { type PingResult, runPing } from './ping.ts';

const ADDRESSES = ['10.0.0.1/24', 'fd00::1/64'] as const;
const PINGS: readonly (readonly string[])[] = [
  ['-c', '3', '-i', '0.3', '10.0.0.2'],
  ['-6', '-c', '3', '-i', '0.3', 'fd00::2'],
];

/** What was seen on one device. */
interface PhaseResult {
  readonly kind: 'tun' | 'tap';
  readonly packetsIn: number;
  readonly packetsOut: number;
  readonly kinds: ReadonlyMap<PacketKind, number>;
  readonly pings: readonly PingResult[];
}

/**
 * Runs the demo to its end, or to that of the signal.
 * @param names how the user calls this program, for what to type next
 * @returns whether every ping was answered
 * @throws VNIC_PROGRAM_MISSING, what `openDevice` throws
 */
export async function runDemo(signal: AbortSignal, names: { readonly command: string }): Promise<boolean> {
  print(style('bold', 'vnic: a virtual network interface that answers ping'));
  print('The kernel sends the pings, this TypeScript program answers them. All of it happens in a network');
  print('namespace of its own: nothing on this machine changes, and nothing is left behind.');
  print(
    `${directionArrow('out')} from the kernel to this program   ${directionArrow('in')} from this program to the kernel`,
  );

  const results: PhaseResult[] = [];
  for (const kind of ['tun', 'tap'] as const) {
    if (signal.aborted) return false;
    results.push(await runPhase(kind, signal));
  }
  if (signal.aborted) return false;
  const ok = results.every(({ pings }) => pings.every(isComplete));
  printSummary(results, ok);
  printNext(names.command);
  return ok;
}

async function runPhase(kind: 'tun' | 'tap', signal: AbortSignal): Promise<PhaseResult> {
  const device = await openDevice({ kind, name: `${kind}%d`, addresses: ADDRESSES, up: true });
  const kinds = new Map<PacketKind, number>();
  const pings: PingResult[] = [];
  try {
    printHeading(kind, device);
    const attachment = answer(device, kinds);
    for (const args of PINGS) {
      if (signal.aborted) break;
      print(`\n  ${style('bold', `$ ping ${args.join(' ')}`)}`);
      pings.push(await runPing(args, { onLine: printPingLine, signal }));
    }
    attachment.close();
  } finally {
    await device.close();
  }
  const { packetsRead, packetsWritten } = device.counters;
  return { kind, packetsIn: packetsRead, packetsOut: packetsWritten, kinds, pings };
}

function printHeading(kind: 'tun' | 'tap', device: TunTapDevice): void {
  const title = kind === 'tun' ? 'TUN: the kernel hands over IP packets' : 'TAP: the kernel hands over Ethernet frames';
  print(`\n${style(['bold', 'cyan'], title)}`);
  print(
    `  ${device.name} is up with ${ADDRESSES.join(' and ')}; this program is every other address of those subnets.`,
  );
  if (kind === 'tap') print('  On Ethernet the kernel first has to find out the MAC address of whom it talks to.');
}

/** Answers on the device, showing and counting every packet. */
function answer(device: TunTapDevice, kinds: Map<PacketKind, number>): AttachedResponder {
  const show = (direction: PacketDirection, packet: Uint8Array): void => {
    const summary = summarizePacket(packet, device.medium);
    const kind = kindOf(summary);
    const isFirst = !kinds.has(kind);
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    print(`  ${directionArrow(direction)} ${packetText(summary)}`);
    const note = isFirst ? noteOf(kind) : undefined;
    if (note !== undefined) print(style('dim', `      ${note}`));
  };
  const link = new ObservedLink(device, {
    onRead: (packet) => show('out', packet),
    onWritten: (packet) => show('in', packet),
  });
  const responder = createResponder({
    medium: device.medium,
    mtu: device.mtu,
    answer: ADDRESSES.map((text) => Cidr.parse(text).network),
    except: ADDRESSES.map((text) => Cidr.parse(text).address),
  });
  return attachResponder(link, responder, systemClock);
}

/** The lines of `ping` that say something new. */
function printPingLine(line: string): void {
  if (line === '' || line.startsWith('PING ') || line.startsWith('--- ')) return;
  print(style('dim', `    ${printable(line)}`));
}

function isComplete({ transmitted, received }: PingResult): boolean {
  return transmitted > 0 && received === transmitted;
}

function printSummary(results: readonly PhaseResult[], ok: boolean): void {
  const pings = results.flatMap((result) => result.pings);
  const transmitted = pings.reduce((sum, ping) => sum + ping.transmitted, 0);
  const received = pings.reduce((sum, ping) => sum + ping.received, 0);
  print(`\n${style(['bold', 'cyan'], 'What you have just seen')}`);
  const mark = ok ? style('green', symbols().ok) : style('red', symbols().fail);
  print(`  ${mark} ${received} of ${transmitted} pings answered, IPv4 and IPv6, on a TUN and on a TAP device`);
  print(formatTable(results.map(summaryRow)));
}

function summaryRow({ kind, packetsIn, packetsOut, kinds }: PhaseResult): string[] {
  const count = (...names: readonly PacketKind[]): number =>
    names.reduce((sum, name) => sum + (kinds.get(name) ?? 0), 0);
  const parts = [`${count('echo reply')} echo replies`];
  const neighbours = count('arp reply');
  const advertisements = count('neighbor advertisement');
  if (neighbours > 0) parts.push(`${neighbours} ARP`);
  if (advertisements > 0) parts.push(`${advertisements} neighbor discovery`);
  return [`  ${kind.toUpperCase()}`, `${packetsIn} packets in`, `${packetsOut} out:`, parts.join(', ')];
}

function printNext(command: string): void {
  print(`\n${style(['bold', 'cyan'], 'What to type next')}`);
  const rows = [
    [`sudo ${command} echo`, 'a device on this machine whose hosts answer ping'],
    [`sudo ${command} dump --tap`, 'what the kernel sends to a new device'],
    [`${command} doctor`, 'what this machine allows'],
    ['examples/answer-ping.ts', 'the same in 20 lines of TypeScript'],
  ];
  print(formatTable(rows.map(([name = '', what = '']) => [`  ${style('bold', name)}`, what])));
}
