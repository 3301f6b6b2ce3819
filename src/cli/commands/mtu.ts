/** `vnic mtu explain`: where the MTU of two ends is from. */

import { Argument, type Command } from 'commander';

import { type EndMtu, explainMtu, type MtuBasis, type MtuExplanation } from '../../ends/index.ts';
import { pointAtMistake } from '../end-mistake.ts';
import { print, printable, printJson, style } from '../output.ts';
import { formatTable } from '../table.ts';

interface MtuOptions {
  readonly json?: true;
}

export function define(command: Command): void {
  command
    .description(
      'Explain the MTU that `vnic link A B` would have: the path outside, what each layer takes of it, what is left, and what becomes of longer ' +
        'packets. Nothing is opened, made or sent.',
    )
    .addArgument(new Argument('<action>', 'explain').choices(['explain']))
    .argument('<a>', 'an end, as of `vnic link`')
    .argument('<b>', 'the other')
    .option('--json', 'an object')
    .addHelpText(
      'after',
      `
Examples:
  vnic mtu explain tun:tun0 udp:192.0.2.1:7000
  vnic mtu explain tap:tap0 'udp:[2001:db8::1]:7000,probe'
  vnic mtu explain tun:tun0,mtu=9000 tcp:192.0.2.1:7000 --json`,
    )
    .action(run);
}

async function run(_action: string, a: string, b: string, { json }: MtuOptions): Promise<void> {
  const explained = await explainMtu(a, b).catch((error: unknown) => {
    pointAtMistake(error);
    throw error;
  });
  if (json) printJson(asJson(explained));
  else printText(explained);
}

function asJson({ ends, ...rest }: MtuExplanation): object {
  return {
    ...rest,
    ends: ends.map(({ path, outerMtu, ...end }) => ({
      ...end,
      outerMtu: outerMtu ?? null,
      path:
        path === undefined
          ? null
          : {
              address: path.address.toString(),
              family: path.family,
              interface: path.interface ?? null,
              interfaceMtu: path.interfaceMtu ?? null,
              routeMtu: path.routeMtu ?? null,
              pathMtu: path.pathMtu ?? null,
            },
    })),
  };
}

function printText({ medium, ends, mtu, tcpMss4, tcpMss6, longer, hints }: MtuExplanation): void {
  for (const end of ends) {
    print(style('bold', printable(end.end)));
    print(formatTable(endRows(end).map((row) => ['', ...row])));
    print('');
  }
  print(`${style('bold', `MTU ${mtu}`)} for ${medium === 'ip' ? 'IP packets' : 'IP packets in Ethernet frames'}`);
  print(`  TCP segments of up to ${tcpMss4} bytes by IPv4, ${tcpMss6} by IPv6`);
  print('\nLonger packets:');
  for (const line of longer) print(`  ${line}`);
  print('\nHints:');
  for (const line of hints) print(`  ${printable(line)}`);
}

const bases: Readonly<Record<MtuBasis, string>> = {
  given: 'as given by mtu=',
  path: 'what the path leaves',
  assumed: 'what a path of 1500 bytes leaves; the peer is not known yet',
  device: 'that of the device, which exists',
  other: 'that of the other end',
  custom: 'the custom: this end carries any, since it is no packet outside',
};

function endRows({ path, layers, outerMtu, mtu, basis }: EndMtu): string[][] {
  const rows: string[][] = [];
  if (path !== undefined) {
    const { interfaceMtu, routeMtu, pathMtu } = path;
    const way = path.interface === undefined ? 'no route' : `by ${printable(path.interface)}`;
    if (interfaceMtu !== undefined) rows.push([String(interfaceMtu), `interface, to ${path.address} ${way}`]);
    if (routeMtu !== undefined) rows.push([String(routeMtu), 'route']);
    if (pathMtu !== undefined) rows.push([String(pathMtu), 'path, as far as the kernel knows']);
  }
  if (outerMtu !== undefined) {
    const isCapped = outerMtu < (path?.pathMtu ?? 0);
    rows.push([String(outerMtu), isCapped ? 'taken for the outside: more only by mtu=' : 'outside']);
  }
  for (const { name, bytes, source } of layers) rows.push([`- ${bytes}`, `${name} (${source})`]);
  rows.push([`= ${mtu}`, bases[basis]]);
  const width = Math.max(...rows.map(([number = '']) => number.length));
  return rows.map(([number = '', text = '']) => [number.padStart(width), text]);
}
