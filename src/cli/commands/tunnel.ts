/** `vnic tunnel`: two hosts, one line at each end. */

import { Argument, type Command } from 'commander';

import { usageError } from '../report-error.ts';
import { parseTunnelClient } from '../tunnel-client-entry.ts';
import { runTunnelConnect } from '../tunnel-connect.ts';
import { runTunnelListen } from '../tunnel-listen.ts';
import type { TunnelOptions } from '../tunnel-options.ts';
import { oneOf, option, parseCidr, parseText, repeatableOption, wholeNumber } from '../values.ts';

const ofBoth = [
  'tap',
  'name',
  'deviceNetns',
  'bridge',
  'route',
  'cert',
  'key',
  'ca',
  'insecure',
  'offload',
  'quiet',
  'json',
] as const;
const ofListen = [
  'address',
  'mtu',
  'client',
  'allow',
  'anyone',
  'maxClients',
  'keepAlive',
  'forwarding',
  'nat',
] as const;
const ofConnect = ['pin', 'servername', 'as', 'routes', 'defaultRoute', 'killSwitch', 'once'] as const;

export function define(command: Command): void {
  command
    .description(
      'A tunnel between hosts: a device at each end, and TLS 1.3 between them, where each side knows the other by its key. ' +
        'One side listens and hands out addresses and routes; others connect to it, and again whenever the connection ends.',
    )
    .addArgument(new Argument('<side>', 'listen or connect').choices(['listen', 'connect']))
    .argument(
      '<where>',
      'listen: [HOST:]PORT; connect: HOST:PORT; before it tls: (default), wss:, or udp: with --insecure',
    )
    .option('--tap', 'a TAP device, for Ethernet frames; default a TUN device, for IP packets')
    .addOption(option('--name <device>', 'name of the device; default tun0 and so on', parseText))
    .addOption(option('--device-netns <netns>', 'network namespace of the device, by name, pid or path', parseText))
    .addOption(option('--bridge <bridge>', 'with --tap: bridge that the device becomes a port of', parseText))
    .addOption(
      repeatableOption(
        '--route <prefix>',
        'listen: what clients reach through this side; connect: a route more',
        parseCidr,
      ),
    )
    .addOption(option('--cert <file>', 'certificate to show instead of the own one, PEM', parseText))
    .addOption(option('--key <file>', 'its private key, PEM', parseText))
    .addOption(option('--ca <file>', 'trust certificates that one of these has signed, PEM', parseText))
    .option('--insecure', 'allow udp:, where nothing is encrypted and nobody proves who it is')
    .addOption(
      repeatableOption(
        '--address <address>',
        'listen: address of this side; default 10.9.0.1/24, fd09::1/64',
        parseCidr,
      ),
    )
    .addOption(option('--mtu <bytes>', 'listen: MTU of all devices; default what fits', wholeNumber(68, 65_535)))
    .addOption(
      repeatableOption(
        '--client <client>',
        'listen: NAME,key=sha256:…[,address=ADDRESS][,network=PREFIX][,access=PREFIX]',
        parseTunnelClient,
      ),
    )
    .addOption(repeatableOption('--allow <fingerprint>', 'listen: let the client of this key in', parseText))
    .option('--anyone', 'listen: let everybody in')
    .addOption(option('--max-clients <number>', 'listen: default 256', wholeNumber(1, 65_000)))
    .addOption(
      option('--keep-alive <seconds>', 'listen: ask a side that was silent so long; default 10', wholeNumber(1, 3600)),
    )
    .option('--forwarding', 'listen: forward packets between tunnel and network')
    .option('--nat', 'listen: and send what leaves with the address of this machine')
    .addOption(repeatableOption('--pin <fingerprint>', 'connect: the key that the other side must have', parseText))
    .addOption(
      option('--servername <name>', 'connect: name in the certificate, with --ca; default the host', parseText),
    )
    .addOption(option('--as <name>', 'connect: what this side calls itself; default the host name', parseText))
    .option('--no-routes', 'connect: take no routes from the other side')
    .option('--default-route', 'connect: send everything through the tunnel, but for its own connection')
    .option('--kill-switch', 'connect: with --default-route: let nothing past it, also while it is down')
    .option('--once', 'connect: end with the first connection that ends')
    .addOption(
      option('--offload <offload>', 'off: carry no super-packets, 64 KiB of a flow at once', oneOf('on', 'off')),
    )
    .option('-q, --quiet', 'print nothing')
    .option('--json', 'an object a line: what happens, and the totals at the end')
    .addHelpText('after', HELP)
    .action(run);
}

const HELP = `
Keys are made on first use and kept in /etc/vnic (of other users in ~/.config/vnic). A listening side lets in the clients that are
named by --client or --allow, or by \`vnic identity allow\`; one that is turned away is told with its fingerprint. A connecting side
notes the key of the other one when it meets it first, and refuses another one later, unless --pin or --ca says whom to expect.

Examples:
  sudo vnic tunnel listen 7000 --allow sha256:…                 one host
  sudo vnic tunnel connect 192.0.2.1:7000                       the other; then: ping 10.9.0.1
  sudo vnic tunnel listen 7000 --address 10.8.0.1/24 --route 10.0.0.0/8 --nat \\
      --client laptop,key=sha256:…,address=10.8.0.7/24 --client branch,key=sha256:…,network=192.168.7.0/24,access=10.0.5.0/24
  sudo vnic tunnel connect vpn.example:7000 --default-route --kill-switch
  sudo vnic tunnel listen 7000 --tap --bridge br0 --allow sha256:…
  sudo vnic tunnel connect wss:vpn.example:443/tunnel           through a network that lets only the web pass
  sudo vnic tunnel listen udp:7000 --insecure                   in the clear, inside a network that you trust`;

async function run(side: 'listen' | 'connect', where: string, options: TunnelOptions): Promise<void> {
  refuseContradictions(side, options);
  await (side === 'listen' ? runTunnelListen(where, options) : runTunnelConnect(where, options));
}

function refuseContradictions(side: 'listen' | 'connect', options: TunnelOptions): void {
  const attempted = `run \`vnic tunnel ${side}\``;
  const known: readonly string[] = [...ofBoth, ...(side === 'listen' ? ofListen : ofConnect)];
  // Commander gives `routes` a value of its own.
  const stray = Object.keys(options).find((key) => !known.includes(key) && !(key === 'routes' && options.routes));
  const refuse = (reason: string, hint: string): never => {
    throw usageError(attempted, reason, hint);
  };
  if (stray !== undefined) {
    const flag = `--${stray.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
    refuse(`${flag} is for \`vnic tunnel ${side === 'listen' ? 'connect' : 'listen'}\``, 'Leave it out.');
  }
  if (options.bridge !== undefined && !options.tap) refuse('a TUN device cannot be a port of a bridge', 'Add --tap.');
  if ((options.cert === undefined) !== (options.key === undefined)) {
    refuse('a certificate and its key belong together', 'Give both --cert and --key.');
  }
  if (options.killSwitch && !options.defaultRoute)
    refuse('--kill-switch needs --default-route', 'Add --default-route.');
  if (options.defaultRoute && options.deviceNetns !== undefined) {
    refuse('the device is in another namespace', 'Leave --device-netns or --default-route out.');
  }
  if (options.pin !== undefined && options.ca !== undefined) {
    refuse('--pin and --ca both say whom to expect', 'Give one of them.');
  }
  if (options.quiet && options.json) refuse('--quiet and --json exclude each other', 'Give one of them.');
}
