/** `vnic echo`: a device whose other addresses answer ping, for as long as the command runs. */

import type { Command } from 'commander';

import { type Cidr, seededRandom } from '../../base/index.ts';
import { attachResponder, createResponder, type Responder } from '../../host/index.ts';
import type { PacketLink } from '../../link/index.ts';
import { systemClock } from '../../netdev/index.ts';
import { summarizePacket } from '../../wire/index.ts';
import { interruption } from '../interruption.ts';
import { occurredDrops, showLiveCounters, summaryLines } from '../live-counters.ts';
import { ObservedLink } from '../observed-link.ts';
import { print, printJson, style } from '../output.ts';
import { addDeviceOptions, openPacketDevice, type PacketDevice, type PacketDeviceOptions } from '../packet-device.ts';
import { directionArrow, formatTime, type PacketDirection, packetText, wallClockMs } from '../packet-line.ts';
import { pingCommand, pingTargets } from '../ping-hint.ts';
import { usageError } from '../report-error.ts';
import { decimalNumber, option, parseCidr, parseText, repeatableOption, wholeNumber } from '../values.ts';

interface EchoOptions extends PacketDeviceOptions {
  readonly answer?: readonly Cidr[];
  readonly delay?: number;
  readonly jitter?: number;
  readonly loss?: number;
  readonly ttl?: number;
  readonly seed?: number;
  readonly quiet?: boolean;
  readonly print?: boolean;
  readonly json?: boolean;
}

const MAX_DELAY_MS = 3_600_000;

export function define(command: Command): void {
  command
    .description(
      'Make a device, configure it and answer ping, ARP and neighbour discovery for the other addresses of its subnets, ' +
        'until Ctrl-C. The device is removed on exit. NAME may be a device that exists: it is attached to, and ' +
        'keeps all but what this command added to it.',
    )
    .argument('[NAME]', 'name of the device, "%d" stands for a number; default tun%d or tap%d')
    .addOption(
      repeatableOption('--answer <address>', 'address or subnet to answer for, instead of all others', parseCidr),
    )
    .addOption(option('--delay <ms>', 'hold echo replies back', decimalNumber(0, MAX_DELAY_MS, 'ms')))
    .addOption(option('--jitter <ms>', 'vary the delay by up to so much', decimalNumber(0, MAX_DELAY_MS, 'ms')))
    .addOption(option('--loss <percent>', 'lose so many of the echo replies', decimalNumber(0, 100, 'percent')))
    .addOption(option('--ttl <hops>', 'TTL or hop limit of replies; default 64', wholeNumber(1, 255)))
    .addOption(option('--seed <number>', 'repeat the same losses and jitter', wholeNumber(0, 0xffff_ffff)))
    .option('--print', 'print every packet, decoded')
    .option('--quiet', 'print nothing')
    .option('--json', 'print one JSON object at the end')
    .addHelpText('after', HELP)
    .action(run);
  addDeviceOptions(command);
}

const HELP = `
Without --address the device has 10.0.0.1/24 and fd00::1/64, or others where this machine uses those. What
--answer names outside of its subnets is routed to the device for as long as the command runs.

Examples:
  sudo vnic echo                                      then, in another terminal: ping 10.0.0.2
  sudo vnic echo --tap --print                        see ARP and neighbour discovery
  sudo vnic echo --delay 80 --jitter 5 --loss 2 --ttl 52    a host far away
  sudo vnic echo --address 192.168.77.1/24 --answer 192.168.77.9
  unshare --user --map-root-user --net vnic echo      without root, in a network of its own`;

async function run(name: string | undefined, options: EchoOptions): Promise<void> {
  refuseContradictions(options);
  // Before anything is made, so that Ctrl-C from now on undoes it.
  const signal = interruption();
  const opened = await openPacketDevice(name === undefined ? undefined : parseText(name), {
    ...options,
    ...(options.answer && { routes: options.answer.map(({ network }) => network) }),
  });
  try {
    await answer(opened, options, signal);
  } finally {
    await opened.release();
  }
}

async function answer(opened: PacketDevice, options: EchoOptions, signal: AbortSignal): Promise<void> {
  const { device, addresses } = opened;
  const answers = options.answer ?? addresses.filter((cidr) => !cidr.isHost).map(({ network }) => network);
  const responder = respond(opened, answers, options);
  const link = options.print ? printing(device) : device;
  if (!options.quiet && !options.json) printStart(opened, answers);
  const startedMs = performance.now();
  const stopLive = wantsLive(options)
    ? showLiveCounters({ link: link.counters, responder: responder.counters }, process.stdout)
    : () => undefined;
  try {
    await answerUntil(signal, link, responder);
  } finally {
    stopLive();
    report(opened, answers, responder, performance.now() - startedMs, options);
  }
}

function refuseContradictions({ quiet, print: printPackets, json, delay = 0, jitter = 0 }: EchoOptions): void {
  const attempted = 'run `vnic echo`';
  if (Number(quiet ?? 0) + Number(printPackets ?? 0) + Number(json ?? 0) > 1) {
    throw usageError(attempted, '--print, --quiet and --json exclude each other', 'Give one of them.');
  }
  if (jitter > delay) {
    throw usageError(attempted, `a jitter of ${jitter} ms is more than the delay of ${delay} ms`, 'Raise --delay.');
  }
}

function respond(opened: PacketDevice, answers: readonly Cidr[], options: EchoOptions): Responder {
  const { device, addresses } = opened;
  if (answers.length === 0) {
    const reason = `${addresses.join(', ')} leaves no other address in its subnet`;
    throw usageError(`answer on ${device.name}`, reason, 'Name them with --answer, or give --address a subnet.');
  }
  return createResponder({
    medium: device.medium,
    mtu: device.mtu,
    answer: answers,
    except: addresses.map(({ address }) => address),
    ...(options.delay !== undefined && { delayMs: options.delay }),
    ...(options.jitter !== undefined && { jitterMs: options.jitter }),
    ...(options.loss !== undefined && { loss: options.loss / 100 }),
    ...(options.ttl !== undefined && { hopLimit: options.ttl }),
    random: seededRandom(options.seed ?? Date.now()),
  });
}

/** Until the signal fires. @throws VNIC_DEVICE_GONE */
async function answerUntil(signal: AbortSignal, link: PacketLink, responder: Responder): Promise<void> {
  const attachment = attachResponder(link, responder, systemClock);
  const interrupted = new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
  await Promise.race([attachment.done, interrupted]);
}

function printing(link: PacketLink): PacketLink {
  const line = (direction: PacketDirection, packet: Uint8Array): void => {
    const time = style('dim', formatTime(wallClockMs()));
    print(`${time} ${directionArrow(direction)} ${packetText(summarizePacket(packet, link.medium))}`);
  };
  return new ObservedLink(link, {
    onRead: (packet) => line('out', packet),
    onWritten: (packet) => line('in', packet),
  });
}

/** A line of counters needs a terminal that can be written over. */
function wantsLive({ quiet, json, print: printPackets }: EchoOptions): boolean {
  return process.stdout.isTTY && process.env['TERM'] !== 'dumb' && !quiet && !json && !printPackets;
}

function printStart({ device, created, addresses, routes }: PacketDevice, answers: readonly Cidr[]): void {
  const kind = device.medium === 'ip' ? 'TUN' : 'TAP';
  const own = addresses.map(({ address }) => address);
  const verb = created ? 'made' : 'attached to';
  print(
    `${verb} ${kind} device ${style('bold', device.name)} (${addresses.join(', ')}), answering for ${answers.join(', ')}`,
  );
  if (routes.length > 0) print(`routed to it: ${routes.join(', ')}`);
  const targets = pingTargets(answers, own);
  if (targets.length > 0) print('in another terminal:');
  for (const target of targets) print(`  ${style('cyan', pingCommand(target))}`);
  print(created ? 'Ctrl-C ends this and removes the device' : 'Ctrl-C ends this; the device stays');
}

function report(
  opened: PacketDevice,
  answers: readonly Cidr[],
  responder: Responder,
  elapsedMs: number,
  options: EchoOptions,
): void {
  const { device, created, addresses } = opened;
  const sources = { link: device.counters, responder: responder.counters };
  if (options.json) {
    const { dropped: _, ...counters } = responder.counters;
    printJson({
      device: { name: device.name, kind: device.medium === 'ip' ? 'tun' : 'tap', created, addresses, mtu: device.mtu },
      answers,
      durationMs: Math.round(elapsedMs),
      link: device.counters,
      responder: { ...counters, dropped: occurredDrops(responder.counters) },
    });
  } else if (!options.quiet) {
    for (const line of summaryLines(sources, elapsedMs / 1000)) print(line);
  }
}
