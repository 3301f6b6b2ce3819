/** `vnic link`: two ends joined for as long as the command runs. */

import type { Command } from 'commander';

import { isVnicError } from '../../base/index.ts';
import { type CarrierEvent, endKinds, type JoinedEnds, type JoinOptions, joinEnds } from '../../ends/index.ts';
import type { ForwardCounters, ForwardPolicy } from '../../link/index.ts';
import { IPV6_MIN_MTU } from '../../mtu/index.ts';
import { pointAtMistake } from '../end-mistake.ts';
import { interruption } from '../interruption.ts';
import {
  addMiddlewareOptions,
  describeMiddleware,
  lostBy,
  type MiddlewareFlags,
  middlewareHelp,
  middlewareOf,
  withMiddleware,
} from '../link-middleware.ts';
import { printable, printNote, style } from '../output.ts';
import { usageError } from '../report-error.ts';
import { oneOf, option, parseText, wholeNumber } from '../values.ts';

interface LinkOptions extends MiddlewareFlags {
  readonly once?: true;
  readonly policy?: ForwardPolicy;
  readonly queue?: number;
  readonly quiet?: true;
  readonly json?: true;
  readonly capture?: string;
  readonly snaplen?: number;
  readonly captureSize?: number;
  readonly overwrite?: true;
}

const REDRAW_INTERVAL_MS = 500;
const KEEP_ALIVE_MS = 3_600_000;

export function define(command: Command): void {
  command
    .description(
      'Join two ends: what comes from one goes to the other, both ways, until Ctrl-C. Devices that it makes are removed on exit; ' +
        'a connection that ends is made again, and what is sent meanwhile is lost and counted. Only tls, wss, and ws-listen with tls encrypt.',
    )
    .argument('<a>', 'an end: KIND[:WHERE][,OPTION=VALUE…]')
    .argument('<b>', 'the other')
    .option('--once', 'end with the first connection that ends; with status 0 when the other side has ended it')
    .addOption(
      option(
        '--policy <policy>',
        'while an end takes nothing: wait, drop-newest or drop-oldest (default)',
        oneOf('wait', 'drop-newest', 'drop-oldest'),
      ),
    )
    .addOption(
      option('--queue <packets>', 'packets that wait meanwhile, each way; default 256', wholeNumber(1, 1_048_576)),
    )
    .addOption(
      option(
        '--capture <file>',
        'record what passes <a>, as pcapng, or as pcap if the name ends so; - for stdout',
        parseText,
      ),
    )
    .addOption(option('--snaplen <bytes>', 'record so much of each packet; default all', wholeNumber(1, 262_144)))
    .addOption(
      option(
        '--capture-size <MiB>',
        'begin a new file after so much, and keep one as FILE.1',
        wholeNumber(1, 1_048_576),
      ),
    )
    .option('--overwrite', 'let --capture replace a file')
    .option('-q, --quiet', 'print nothing')
    .option('--json', 'an object a line: what happens, and the totals at the end')
    .addHelpText('after', HELP)
    .action(run);
  addMiddlewareOptions(command);
}

/** A line for each kind of end, with its options. */
function listKinds(): string {
  const kinds = Object.entries(endKinds);
  const width = Math.max(...kinds.map(([kind]) => kind.length));
  const lines = kinds.map(([kind, { about, options }]) => {
    const names = Object.keys(options);
    return `  ${kind.padEnd(width)}  ${about}${names.length === 0 ? '' : `; ${names.join(', ')}`}`;
  });
  return lines.join('\n');
}

const HELP = `
Ends:
${listKinds()}
An end that can carry both takes mtu=, and medium=ip or medium=ethernet where the other does not say it. A device that is made
gets the MTU that the other end carries, and follows it; \`vnic mtu explain A B\` says where it is from. With probe at both UDP ends,
they find the MTU of their path by themselves.
IP beside Ethernet: the IP end looks like a host of the segment, which answers for the addresses of
its TUN device, or those of proxy=; gateway= and mac= are of that host. pcap: plays a file; with record it writes one.
${middlewareHelp}

Examples:
  sudo vnic link tun:tun0,address=10.0.0.1/24 echo:10.0.0.2
  sudo vnic link tun:tun0,address=10.9.0.1/24 udp:192.0.2.1:7000        one host
  sudo vnic link tun:tun0,address=10.9.0.2/24 udp-listen:7000           the other
  sudo vnic link tun:tun0,address=10.9.0.1/24 tls:192.0.2.1:7000
  sudo vnic link tap:tap0,bridge=br0 qemu-listen:/run/vm.sock
  sudo vnic link tun:tun0,address=10.0.0.1/24 echo:10.0.0.2 --impair delay=50ms,jitter=10ms,loss=1%
  sudo vnic link tun:tun0,address=10.0.0.1/24 echo:10.0.0.2 --capture - | wireshark -k -i -
  sudo vnic link pcap:trace.pcapng,speed=max tap:tap0,bridge=br0
  sudo vnic link tun:tun0,address=10.9.0.1/24 'exec:ssh host vnic link stdio tun:tun0'`;

async function run(a: string, b: string, options: LinkOptions): Promise<void> {
  // Before anything is made, so that Ctrl-C from now on undoes it.
  const signal = interruption();
  const tell = (event: CarrierEvent): void => {
    if (options.json) printLine({ ...event, ...('error' in event && { error: event.error.toJSON() }) });
    else if (!options.quiet) printNote(eventText(event));
  };
  const { policy, queue, once = false } = options;
  const joined = await joinEnds(a, b, {
    once,
    onEvent: tell,
    ...(policy !== undefined && { policy }),
    ...(queue !== undefined && { queuePackets: queue }),
    ...middlewareOf(options),
    ...captureOf(options),
  }).catch((error: unknown) => {
    pointAtMistake(error);
    if (!isOrderly(error)) throw error;
    return undefined;
  });
  if (joined === undefined) return;
  const stop = (): void => void joined.close();
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  const startedMs = performance.now();
  announce(joined, options);
  const stopLive = showLive(joined, options);
  // Ends that are in memory only keep no process alive.
  const alive = setInterval(() => undefined, KEEP_ALIVE_MS);
  try {
    await joined.done;
  } catch (error) {
    if (!isOrderly(error)) throw error;
  } finally {
    clearInterval(alive);
    stopLive();
    await joined.close();
    report(joined, performance.now() - startedMs, options);
  }
}

function captureOf({ capture, snaplen, captureSize, overwrite }: LinkOptions): Pick<JoinOptions, 'capture'> {
  if (capture === undefined) {
    const idle = snaplen ?? captureSize ?? overwrite;
    if (idle === undefined) return {};
    const name = snaplen !== undefined ? '--snaplen' : captureSize !== undefined ? '--capture-size' : '--overwrite';
    throw usageError('run `vnic link`', `${name} is of --capture`, `Add --capture FILE, or leave ${name} out.`);
  }
  return {
    capture: {
      path: capture,
      ...(snaplen !== undefined && { snapLen: snaplen }),
      ...(captureSize !== undefined && { maxFileLen: captureSize * 2 ** 20 }),
      overwrite: overwrite ?? false,
    },
  };
}

/** The other side has ended the only stream that there is to be: with `--once`, or standard input. */
function isOrderly(error: unknown): boolean {
  return isVnicError(error, 'VNIC_DEVICE_GONE') && error.errno === undefined && error.cause === undefined;
}

/** Standard output may be an end: all that is told goes to standard error. */
function printLine(value: object): void {
  printNote(JSON.stringify(value));
}

function announce({ a, b, medium }: JoinedEnds, { quiet, json }: LinkOptions): void {
  if (json) printLine({ event: 'joined', medium, ends: [a, b].map(({ label, link }) => ({ label, mtu: link.mtu })) });
  else if (!quiet) {
    const packets = medium === 'ip' ? 'IP packets' : 'Ethernet frames';
    printNote(
      `joined ${style('bold', printable(a.label))} and ${style('bold', printable(b.label))}: ${packets}, MTU ${b.link.mtu}`,
    );
    printNote('Ctrl-C ends this');
  }
}

function eventText(event: CarrierEvent): string {
  const link = printable(event.link);
  switch (event.event) {
    case 'up':
      return `${style('green', 'up')}      ${link}: ${printable(event.peer)}`;
    case 'down':
      return `${style('yellow', 'down')}    ${link}: ${printable(event.error.reason)}`;
    case 'retry':
      return `${style('dim', 'waiting')} ${link}: ${printable(event.error.reason)}; again in ${(event.delayMs / 1000).toFixed(1)} s`;
    case 'mtu':
      return `${style('dim', 'MTU')}     ${link}: ${event.mtu}${event.mtu < IPV6_MIN_MTU ? ', which is too little for IPv6' : ''}`;
    case 'played':
      return `played  ${link}: ${event.packets} packets${leftOut(event.skipped)}`;
    case 'recording-ended':
      return `${style('yellow', 'ended')}   recording ${link}: ${printable(event.error.reason)}; the packets pass on`;
    case 'refused':
      return `${style('yellow', 'refused')} ${link}: ${printable(event.peer)}, since another is connected`;
    case 'identity':
      return identityText(link, event.fingerprint, event.allowed);
    case 'pinned':
      return (
        `${style('yellow', 'new')}     ${link}: ${printable(event.peer)} has the key ${event.fingerprint}, which is expected from now on; ` +
        'compare it with `vnic identity` there'
      );
    case 'unallowed':
      return unallowedText(link, event);
  }
}

function identityText(link: string, fingerprint: string, allowed: number | undefined): string {
  const own = `${style('dim', 'key')}     ${link}: ${fingerprint}`;
  if (allowed === undefined) return own;
  if (allowed > 0) return `${own}; ${allowed} ${allowed === 1 ? 'key' : 'keys'} may connect`;
  return `${own}; no key may connect yet: \`vnic identity allow FINGERPRINT\` with that of \`vnic identity\` on the other side`;
}

function unallowedText(link: string, event: Extract<CarrierEvent, { readonly event: 'unallowed' }>): string {
  const { peer, fingerprint, untold } = event;
  const why =
    fingerprint === undefined
      ? 'it has shown no certificate'
      : `its key is not allowed; to let it in: \`vnic identity allow ${fingerprint}\``;
  const more = untold === 0 ? '' : ` (and ${untold} more)`;
  return `${style('yellow', 'refused')} ${link}: ${printable(peer)}, ${why}${more}`;
}

function leftOut(skipped: Readonly<Record<string, number>>): string {
  const reasons = Object.entries(skipped).map(([reason, count]) => `${reason} ${count}`);
  return reasons.length === 0 ? '' : `, left out: ${reasons.join(', ')}`;
}

/** A line of rates at the bottom of a terminal; returns what takes it away. */
function showLive({ forwarding, middleware }: JoinedEnds, { quiet, json }: LinkOptions): () => void {
  const terminal = process.stderr;
  if (!terminal.isTTY || process.env['TERM'] === 'dumb' || quiet || json) return () => undefined;
  let before = { ab: 0, ba: 0, atMs: performance.now() };
  const draw = (): void => {
    const [ab, ba, atMs] = [forwarding.aToB.bytes, forwarding.bToA.bytes, performance.now()];
    const rate = (bytes: number): string =>
      `${((bytes * 8) / 1000 / Math.max(1, atMs - before.atMs)).toFixed(1)} Mbit/s`;
    const queued = forwarding.aToB.queued + forwarding.bToA.queued;
    const lostInside = lostBy(middleware, 'aToB') + lostBy(middleware, 'bToA');
    const line = `→ ${rate(ab - before.ab)}  ← ${rate(ba - before.ba)}  queued ${queued}  lost ${lost(forwarding.aToB) + lost(forwarding.bToA) + lostInside}`;
    before = { ab, ba, atMs };
    terminal.write(`\r${style('dim', line.slice(0, (terminal.columns ?? 80) - 1), terminal)}\x1b[K`);
  };
  const timer = setInterval(draw, REDRAW_INTERVAL_MS);
  return () => {
    clearInterval(timer);
    terminal.write('\r\x1b[K');
  };
}

function report(joined: JoinedEnds, elapsedMs: number, { quiet, json }: LinkOptions): void {
  const { a, b, forwarding, recorder } = joined;
  const ways = [
    { from: a.label, to: b.label, ...withMiddleware(plain(forwarding.aToB), joined, 'aToB') },
    { from: b.label, to: a.label, ...withMiddleware(plain(forwarding.bToA), joined, 'bToA') },
  ];
  if (json) printLine({ event: 'ended', durationMs: Math.round(elapsedMs), ways, recorded: recorder?.counters });
  else if (!quiet) {
    for (const { from, to, packets, bytes, replies, fragments, dropped, middleware = {} } of ways) {
      const drops = Object.entries(dropped).map(([reason, count]) => `${reason} ${count}`);
      const done = [
        drops.length === 0 ? 'nothing lost' : `lost: ${drops.join(', ')}`,
        ...describeMiddleware(middleware),
        ...(replies === 0 ? [] : [`${replies} times a sender was told that a packet is too long`]),
        ...(fragments === 0 ? [] : [`${fragments} fragments were made`]),
      ].join('; ');
      printNote(`${printable(from)} → ${printable(to)}: ${packets} packets, ${bytes} bytes, ${done}`);
    }
    if (recorder !== undefined) {
      const { packets, dropped } = recorder.counters;
      printNote(`recorded ${packets} packets${dropped === 0 ? '' : `, lost ${dropped}`}`);
    }
  }
}

/** With the reasons that have occurred. */
function plain({ packets, bytes, stalls, replies, fragments, dropped }: ForwardCounters): {
  packets: number;
  bytes: number;
  stalls: number;
  replies: number;
  fragments: number;
  dropped: Record<string, number>;
} {
  return {
    packets,
    bytes,
    stalls,
    replies,
    fragments,
    dropped: Object.fromEntries(Object.entries(dropped).filter(([, count]) => count > 0)),
  };
}

function lost({ dropped }: ForwardCounters): number {
  return Object.values(dropped).reduce((sum, count) => sum + count, 0);
}
