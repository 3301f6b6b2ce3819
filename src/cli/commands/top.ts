/** `vnic top`: rates, drops and queues of devices as they change. */

import { type Command, Option } from 'commander';

import { VnicError } from '../../base/index.ts';
import { type LinkRates, type LinkSample, linkRates, sampleLinks } from '../../netdev/index.ts';
import { type Netlink, openNetlink } from '../../netlink/index.ts';
import type { NetnsOptions } from '../../netns/index.ts';
import { interrupt, interruption } from '../interruption.ts';
import { print, style } from '../output.ts';
import { rateLines, Screen, type SortKey, sortKeys, sortRates } from '../top-screen.ts';
import { decimalNumber, option, wholeNumber } from '../values.ts';

interface TopOptions extends NetnsOptions {
  readonly all?: true;
  readonly interval: number;
  readonly samples?: number;
  readonly once?: true;
  readonly sort: SortKey;
  readonly json?: true;
}

/** What keys change while it runs. */
interface View {
  sort: SortKey;
  rates: readonly LinkRates[];
  /** Over which the rates are. */
  seconds: number;
}

export function define(command: Command): void {
  command
    .description(
      'Watch what devices carry: packets and bits per second each way, drops, errors, and how many packets wait. On a terminal ' +
        'the table is redrawn in place; in a pipe each sample is printed. In is what the kernel receives from the device.',
    )
    .argument('[interface...]', 'default: every TUN/TAP device')
    .option('-a, --all', 'every interface')
    .addOption(
      option('-i, --interval <seconds>', 'time between samples', decimalNumber(0.05, 3600, 'seconds')).default(1),
    )
    .addOption(option('-n, --samples <count>', 'end after so many', wholeNumber(1, 1_000_000_000)))
    .addOption(new Option('--once', 'one sample').conflicts('samples'))
    .addOption(new Option('--sort <key>', 'order of the lines').choices(sortKeys).default('rate'))
    .option('--json', 'an object a line for each sample')
    .addHelpText(
      'after',
      `
Keys on a terminal: r rate, p packets, d drops, u queue, n name; q or Ctrl-C ends it.
The queue is that of the queueing discipline; what the driver itself holds back is not told by the kernel, and what it drops is.

Examples:
  vnic top
  vnic top tap0 tap1 --interval 0.5
  vnic top --all --once --json | jq '.devices[] | {name, rxBps, txBps}'`,
    )
    .action(top);
}

async function top(names: readonly string[], options: TopOptions): Promise<void> {
  const signal = interruption();
  await using netlink = await openNetlink(options.netns === undefined ? {} : { netns: options.netns });
  // A name that is wrong is said before the first interval is over.
  for (const name of names) await netlink.links.get(name);
  const view: View = { sort: options.sort, rates: [], seconds: 0 };
  const isScreen = process.stdout.isTTY && !options.json && !options.once;
  const screen = isScreen ? new Screen(process.stdout) : undefined;
  const draw = (): void => screen?.draw(screenLines(view, options));
  const stopKeys = screen === undefined ? () => undefined : watchKeys(view, draw);
  try {
    await sampleLoop(netlink, { names, options, signal }, (rates, seconds) => {
      Object.assign(view, { rates, seconds });
      if (screen !== undefined) draw();
      else printSample(view, options);
    });
  } finally {
    stopKeys();
    screen?.close();
  }
}

async function sampleLoop(
  netlink: Netlink,
  {
    names,
    options,
    signal,
  }: { readonly names: readonly string[]; readonly options: TopOptions; readonly signal: AbortSignal },
  onRates: (rates: LinkRates[], seconds: number) => void,
): Promise<void> {
  const nowMs = (): number => performance.now();
  const count = options.once ? 1 : (options.samples ?? Number.POSITIVE_INFINITY);
  let before = await sampleLinks(netlink, nowMs);
  for (let i = 0; i < count && !signal.aborted; i++) {
    await pause(options.interval * 1000, signal);
    if (signal.aborted) return;
    const after = await sampleLinks(netlink, nowMs);
    onRates(chosen(before, after, names, options), (after.atMs - before.atMs) / 1000);
    before = after;
  }
}

function chosen(before: LinkSample, after: LinkSample, names: readonly string[], { all }: TopOptions): LinkRates[] {
  const links = after.links.filter((link) => {
    if (names.length > 0) return [link.name, ...link.altNames].some((name) => names.includes(name));
    return all || link.tun !== undefined;
  });
  if (names.length > 0 && links.length === 0) throw allGone(names);
  return linkRates(before, { ...after, links });
}

function printSample({ rates, seconds, sort }: View, { json }: TopOptions): void {
  const sorted = sortRates(rates, sort);
  if (json) print(JSON.stringify({ time: new Date().toISOString(), seconds, devices: sorted }));
  else print(rateLines(sorted).join('\n'));
}

function screenLines({ rates, sort }: View, { interval }: TopOptions): string[] {
  const time = new Date().toTimeString().slice(0, 8);
  const title = `vnic top  ${time}  every ${interval} s  by ${sort}  ${style('dim', 'r p d u n: order   q: quit')}`;
  return [title, '', ...(rates.length === 0 ? ['no device'] : rateLines(sortRates(rates, sort)))];
}

const keys: Readonly<Record<string, SortKey>> = { r: 'rate', p: 'packets', d: 'drops', u: 'queue', n: 'name' };

/** In raw mode the terminal sends Ctrl-C as a byte. */
function watchKeys(view: View, draw: () => void): () => void {
  const { stdin } = process;
  if (!stdin.isTTY) return () => undefined;
  const onData = (bytes: Buffer): void => {
    for (const key of bytes.toString('latin1')) {
      if (key === 'q') interrupt(0);
      if (key === '\x03') interrupt(130);
      view.sort = keys[key] ?? view.sort;
    }
    draw();
  };
  stdin.setRawMode(true).resume().on('data', onData);
  return () => {
    stdin.off('data', onData).setRawMode(false).pause();
  };
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done, { once: true });
  });
}

function allGone(names: readonly string[]): VnicError {
  return new VnicError('VNIC_NO_SUCH_INTERFACE', {
    attempted: `watch ${names.join(', ')}`,
    reason: 'none of them exists any more',
    hint: 'See what there is with `vnic list --all`.',
  });
}
