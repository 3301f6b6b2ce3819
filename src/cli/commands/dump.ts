/** `vnic dump`: the packets of an interface, or of a device made for it, one decoded line each. */

import type { Command } from 'commander';

import type { PacketBatch, PacketLink } from '../../link/index.ts';
import { getLinkSync, openNetlink } from '../../netlink/index.ts';
import type { NetnsOptions } from '../../netns/index.ts';
import { checksumPending, openInterface, originalLength, packetDirection } from '../../transport/index.ts';
import { hexdump, summarizePacket } from '../../wire/index.ts';
import { interruption } from '../interruption.ts';
import { printNote, style } from '../output.ts';
import { addDeviceOptions, openPacketDevice, type PacketDeviceOptions } from '../packet-device.ts';
import { directionArrow, formatTime, type PacketDirection, packetText, wallClockMs } from '../packet-line.ts';
import { usageError } from '../report-error.ts';
import { option, parseText, wholeNumber } from '../values.ts';

interface DumpOptions extends PacketDeviceOptions {
  readonly count?: number;
  readonly hex?: boolean;
  readonly json?: boolean;
  readonly promisc?: boolean;
  readonly relative?: boolean;
}

/** Where the packets come from. */
interface Source {
  readonly link: PacketLink;
  directionOf(batch: PacketBatch, index: number): PacketDirection;
  /** Length on the interface, which may be more than what was captured. */
  lengthOf(batch: PacketBatch, index: number): number;
  /** True when the checksum above IP is left to the network card. */
  checksumPending(batch: PacketBatch, index: number): boolean;
  /** How many the kernel dropped because this program was too slow. */
  dropped(): Promise<number>;
  close(): Promise<void>;
}

export function define(command: Command): void {
  command
    .description(
      'Print the packets that pass an interface, one decoded line each. With --tun or --tap, or without NAME, a ' +
        'device is made for it and removed on exit: then it shows what the kernel sends to it.',
    )
    .argument('[NAME]', 'an existing interface, or the name of the device to make')
    .addOption(option('-c, --count <packets>', 'end after so many packets', wholeNumber(1, 1e12)))
    .option('-x, --hex', 'also print the octets')
    .option('--json', 'print one JSON object a line')
    .option('--promisc', 'also show frames for other stations')
    .option('--relative', 'print seconds since the first packet instead of the time of day')
    .addHelpText('after', HELP)
    .action(run);
  addDeviceOptions(command);
}

const HELP = `
Examples:
  sudo vnic dump eth0 -c 10        the next ten packets of an existing interface
  sudo vnic dump --tap             what the kernel sends to a new TAP device
  sudo vnic dump lo --json | jq .packet.ipv4

Arrows: -> the kernel sends it out of the interface, <- it receives it. Each packet of lo passes both ways.
A TCP or UDP checksum that the kernel has left to the network card is not judged; --json says "checksumPending".
Captured and dropped packets are counted on stderr at the end.`;

async function run(name: string | undefined, options: DumpOptions): Promise<void> {
  // Before anything is made, so that Ctrl-C from now on undoes it.
  const signal = interruption();
  const source = await openSource(name === undefined ? undefined : parseText(name), options);
  let captured = 0;
  try {
    captured = await printPackets(source, options, signal);
  } finally {
    const dropped = await source.dropped();
    await source.close();
    printNote(`${captured} ${captured === 1 ? 'packet' : 'packets'} captured, ${dropped} dropped by the kernel`);
  }
}

function openSource(name: string | undefined, options: DumpOptions): Promise<Source> {
  const wantsDevice = options.tun || options.tap || name === undefined || name.includes('%');
  if (!wantsDevice) return listen(name, options);
  if (name !== undefined && !name.includes('%') && getLinkSync(name, options) !== undefined) {
    const hint = `Leave --tun and --tap out to listen on ${name}, or choose another name.`;
    throw usageError(`make a device ${name}`, 'an interface of that name exists already', hint);
  }
  if (options.promisc) {
    throw usageError('run `vnic dump`', '--promisc is for an existing interface', 'Leave it out: a device sees all.');
  }
  return make(name, options);
}

async function listen(name: string, options: DumpOptions): Promise<Source> {
  const forDevice = (['address', 'mtu', 'mac'] as const).find((key) => options[key] !== undefined);
  if (forDevice !== undefined) {
    const hint = `Add --tun or --tap to make a device, or leave --${forDevice} out to listen on ${name}.`;
    throw usageError('run `vnic dump`', `--${forDevice} is for a device that is made`, hint);
  }
  const link = await openInterface({
    name,
    promiscuous: options.promisc ?? false,
    ...(options.netns !== undefined && { netns: options.netns }),
  });
  printNote(`listening on ${name} (${link.medium === 'ip' ? 'IP' : 'Ethernet'}); Ctrl-C ends it`);
  if (getLinkSync(link.ifindex, options)?.isUp === false)
    printNote(`${name} is down: no packets before \`vnic up ${name}\``);
  return {
    link,
    directionOf: (batch, index) => (packetDirection(batch, index) === 'outgoing' ? 'out' : 'in'),
    lengthOf: originalLength,
    checksumPending,
    dropped: async () => link.statistics().dropped,
    close: () => link.close(),
  };
}

async function make(name: string | undefined, options: DumpOptions): Promise<Source> {
  const { device, addresses, release } = await openPacketDevice(name, options);
  const kind = device.medium === 'ip' ? 'TUN' : 'TAP';
  printNote(`made ${kind} device ${device.name} with ${addresses.join(', ')}; Ctrl-C removes it`);
  return {
    link: device,
    directionOf: () => 'out',
    lengthOf: (batch, index) => batch.length(index),
    // The kernel completes what a device without offloads reads.
    checksumPending: () => false,
    dropped: () => txDropped(device.ifindex, options),
    close: release,
  };
}

/** Packets that found the queue of the device full. */
async function txDropped(ifindex: number, options: NetnsOptions): Promise<number> {
  const netlink = await openNetlink(options);
  try {
    return Number((await netlink.links.get(ifindex)).statistics?.txDropped ?? 0);
  } catch {
    // The device is gone, and its counters with it.
    return 0;
  } finally {
    await netlink.close();
  }
}

/** Prints until enough are captured, the command is interrupted, or the interface is gone. */
function printPackets(source: Source, options: DumpOptions, signal: AbortSignal): Promise<number> {
  const { count: wanted = Number.POSITIVE_INFINITY } = options;
  const format = options.json ? jsonLine(source) : textLine(source, options);
  let captured = 0;
  return new Promise((resolve, reject) => {
    const stop = source.link.onBatch(
      (batch) => {
        const timeMs = wallClockMs();
        let text = '';
        for (let i = 0; i < batch.count && captured < wanted; i++) text += format(batch, i, timeMs, ++captured);
        // One write a batch. It waits for a slow reader, meanwhile the kernel queues and then drops.
        process.stdout.write(text);
        if (captured >= wanted) stop();
      },
      (error) => (error === undefined ? resolve(captured) : reject(error)),
    );
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
}

type Formatter = (batch: PacketBatch, index: number, timeMs: number, number: number) => string;

function textLine(source: Source, options: DumpOptions): Formatter {
  const { link, directionOf, lengthOf } = source;
  let firstMs: number | undefined;
  return (batch, index, timeMs) => {
    firstMs ??= timeMs;
    const packet = batch.packet(index);
    const time = options.relative ? ((timeMs - firstMs) / 1000).toFixed(6).padStart(12) : formatTime(timeMs);
    const cut = lengthOf(batch, index) > packet.length ? ` (first ${packet.length} octets)` : '';
    const pending = source.checksumPending(batch, index);
    const text = packetText(summarizePacket(packet, link.medium, { checksumPending: pending }));
    const line = `${style('dim', time)} ${directionArrow(directionOf(batch, index))} ${text}${cut}\n`;
    return options.hex ? `${line}${hexdump(packet)}\n` : line;
  };
}

function jsonLine(source: Source): Formatter {
  const { link, directionOf, lengthOf } = source;
  return (batch, index, timeMs, number) => {
    const packet = batch.packet(index);
    const pending = source.checksumPending(batch, index);
    const line = {
      number,
      // Seconds since 1970, to the microsecond.
      time: Math.round(timeMs * 1000) / 1e6,
      interface: link.name,
      direction: directionOf(batch, index),
      length: lengthOf(batch, index),
      ...(pending && { checksumPending: true }),
      packet: summarizePacket(packet, link.medium, { checksumPending: pending }),
    };
    return `${JSON.stringify(line)}\n`;
  };
}
