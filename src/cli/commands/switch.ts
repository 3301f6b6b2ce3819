/** `vnic switch`: an Ethernet switch whose ports are ends of links, and what is said to one that runs. */

import { type Command, Option } from 'commander';

import { IpAddress } from '../../base/index.ts';
import { usageError } from '../report-error.ts';
import { controlSwitch, type SwitchControlFlags, type SwitchVerb, switchVerbs } from '../switch-control.ts';
import { addPortOptions } from '../switch-port-options.ts';
import { runSwitch, type SwitchRunFlags } from '../switch-run.ts';
import { badValue, oneOf, option, parseValue, wholeNumber } from '../values.ts';

export function define(command: Command): void {
  command
    .description(
      'An Ethernet switch: learns where stations are, and sends frames on to the ports that they are for, until Ctrl-C. Ports are ends ' +
        'of links that carry Ethernet frames, numbered from 1 as they are given; one whose other side ends is taken out. ' +
        'While it runs, the same command shows and changes it.',
    )
    .argument(
      '<end...>',
      'ends, as of `vnic link`: tap:NAME, udp:HOST:PORT, vde:, qemu:, vxlan: …; or, of a switch that runs: ' +
        'list, show, add END, remove PORT, set PORT, fdb, groups, bindings, counters, events',
    )
    .addOption(option('--name <name>', 'what it is called, or which is meant; default switch0 and so on', parseName));
  addPortOptions(command)
    .addOption(
      option(
        '--vlan-protocol <protocol>',
        'which tags count: 802.1Q (default), or 802.1ad, those of providers',
        oneOf('802.1Q', '802.1ad'),
      ),
    )
    .addOption(
      new Option(
        '--stp [priority]',
        'run rapid spanning tree, with this priority, a multiple of 4096; default 32768; stands behind the ends',
      ).argParser((text) => parseValue('--stp', text, wholeNumber(0, 61_440))),
    )
    .addOption(option('--hello-time <seconds>', 'of --stp: between hellos; default 2', wholeNumber(1, 10)))
    .addOption(option('--forward-delay <seconds>', 'of --stp: to listen and to learn; default 15', wholeNumber(4, 30)))
    .addOption(option('--max-age <seconds>', 'of --stp: for which a root is believed; default 20', wholeNumber(6, 40)))
    .option('--snooping', 'frames to groups leave where they are wanted (IGMP, MLD)')
    .addOption(
      option('--querier <address>', 'ask for members of groups, from this IPv4 address; implies --snooping', parseIpv4),
    )
    .option('--dhcp-snooping', 'servers of DHCP and routers at --trusted ports alone')
    .option('--arp-inspection', 'ARP speaks for addresses that DHCP has bound; implies --dhcp-snooping')
    .option('--hub', 'learn nothing: every frame to every other port')
    .addOption(
      option('--ageing <seconds>', 'forget a station that was silent so long; default 300', wholeNumber(1, 1e6)),
    )
    .addOption(
      option('--stations <number>', 'stations that are known at most; default 16384', wholeNumber(1, 4_194_304)),
    )
    .option('--no-control', 'open no socket by which it can be asked and changed')
    .option('--flush', 'fdb: forget all stations')
    .option('-q, --quiet', 'print nothing')
    .option('--json', 'an object a line: what happens, and the totals at the end; of show and its like one object')
    .addHelpText('after', HELP)
    .action(run);
}

const HELP = `
With --access, --trunk or --tunnel-port the switch looks at VLAN tags (IEEE 802.1Q); ports that are not named are of VLAN 1. Without, tags pass as
they are. A port that takes nothing loses its own frames, and slows no other. Options of a port begin with its number and a colon; with add and
set there is one port, and no number.

Examples:
  sudo vnic switch tap:tap0 tap:tap1 tap:tap2
  sudo vnic switch tap:tap0,bridge=br0 udp:192.0.2.1:7000,medium=ethernet udp-listen:7001,medium=ethernet
  sudo vnic switch tap:a0 tap:b0 tap:up0 --access 1:10 --access 2:20 --trunk 3:10,20
  sudo vnic switch vde:/run/vde.ctl qemu-listen:/run/vm.sock vxlan:192.0.2.1,vni=42 --isolated 1 --isolated 2
  sudo vnic switch tap:a0 tap:b0 tap:probe0 --mirror 1,2:3 --impair 2:delay=20ms,loss=1%
  sudo vnic switch tap:a0 udp:192.0.2.1:7000,medium=ethernet udp:192.0.2.2:7000,medium=ethernet --stp 4096
  sudo vnic switch add tap:c0 --access 10        and: vnic switch set 4 --isolated on; vnic switch remove 4
  sudo vnic switch show                          ports, rates, losses; vnic switch fdb: who is where`;

const ofTree = ['helloTime', 'forwardDelay', 'maxAge'] as const;
const ofRun = [
  ...ofTree,
  'snooping',
  'querier',
  'dhcpSnooping',
  'arpInspection',
  'vlanProtocol',
  'stp',
  'hub',
  'ageing',
  'stations',
  'quiet',
] as const;

function parseIpv4(text: string): IpAddress {
  const address = IpAddress.parse(text);
  if (address.family === 4) return address;
  throw badValue(text, 'an IPv4 address');
}

function parseName(text: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(text)) return text;
  throw badValue(text, 'up to 64 letters, digits, dots, dashes and underscores');
}

async function run(words: readonly string[], flags: SwitchRunFlags & SwitchControlFlags): Promise<void> {
  const [first = '', ...rest] = words;
  const verb = switchVerbs.find((one) => one === first);
  if (verb === undefined) {
    if (flags.flush) throw usageError('run `vnic switch`', '--flush is of fdb', 'Write `vnic switch fdb --flush`.');
    if (flags.stp === undefined && ofTree.some((key) => flags[key] !== undefined))
      throw usageError('run `vnic switch`', 'times are of spanning tree', 'Add --stp, behind the ends.');
    await runSwitch(words, flags);
    return;
  }
  const foreign = ofRun.find((key) => flags[key] !== undefined);
  if (foreign !== undefined || flags.control === false) refuse(verb, foreign ?? 'control');
  await controlSwitch(verb, rest, flags);
}

function refuse(verb: SwitchVerb, key: string): never {
  const name = key === 'control' ? 'no-control' : key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  throw usageError(`run \`vnic switch ${verb}\``, `--${name} is of a switch that starts`, 'Leave it out.');
}
