/** `vnic tunnel listen`. */

import { Cidr } from '../base/index.ts';
import type { RefusedClient } from '../secure/index.ts';
import type { TunnelListener, TunnelListenOptions, TunnelServerEvent } from '../tunnel/index.ts';
import { interruption } from './interruption.ts';
import { showLiveLine } from './live-line.ts';
import { print, printable, printNote, style } from './output.ts';
import { authoritiesFrom, deviceFrom, identityFrom, type TunnelOptions } from './tunnel-options.ts';

const DEFAULT_ADDRESSES = ['10.9.0.1/24', 'fd09::1/64'];
const KEEP_ALIVE_MS = 1000;

/** Runs until it is stopped, or the device is gone. */
export async function runTunnelListen(text: string, options: TunnelOptions): Promise<void> {
  // Before anything is made, so that Ctrl-C from now on undoes it.
  const signal = interruption();
  const { listenForTunnels, parseTunnelWhere } = await import('../tunnel/index.ts');
  const { systemClock } = await import('../netdev/index.ts');
  const addresses =
    options.address ?? (options.bridge === undefined ? DEFAULT_ADDRESSES.map((one) => Cidr.parse(one)) : []);
  const listener = await listenForTunnels(parseTunnelWhere(text, 'listen'), {
    device: deviceFrom(options),
    addresses,
    ...(await identityFrom(options)),
    ...admissionFrom(options),
    ...networkFrom(options),
    clock: systemClock,
    onEvent: (event) => tell(event, options),
    onRefused: (client) => tellRefused(client, options),
  });
  const stop = (): void => void listener.close();
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  announce(listener, addresses, options);
  const stopLive = showLive(listener, options);
  // A port keeps the process alive, a device that nobody reads does not.
  const alive = setInterval(() => undefined, KEEP_ALIVE_MS);
  try {
    await listener.done;
  } finally {
    clearInterval(alive);
    stopLive();
    await listener.close();
  }
}

function admissionFrom({
  ca,
  insecure,
  client,
  allow,
  anyone,
  maxClients,
}: TunnelOptions): Partial<TunnelListenOptions> {
  return {
    ...(ca !== undefined && { ca: authoritiesFrom(ca) }),
    ...(insecure !== undefined && { insecure }),
    ...(client !== undefined && { clients: client }),
    ...(allow !== undefined && { allow }),
    ...(anyone !== undefined && { anyone }),
    ...(maxClients !== undefined && { maxClients }),
  };
}

function networkFrom({ route, mtu, keepAlive, forwarding, nat, offload }: TunnelOptions): Partial<TunnelListenOptions> {
  return {
    ...(offload === 'off' && { superPackets: false }),
    ...(route !== undefined && { routes: route.map(({ network }) => network) }),
    ...(mtu !== undefined && { mtu }),
    ...(keepAlive !== undefined && { keepAliveMs: keepAlive * 1000 }),
    ...(forwarding !== undefined && { forwarding }),
    ...(nat !== undefined && { masquerade: nat }),
  };
}

function showLive({ server }: TunnelListener, { quiet, json }: TunnelOptions): () => void {
  if (quiet || json) return () => undefined;
  return showLiveLine(() => {
    const { clients } = server;
    const sum = (of: (client: (typeof clients)[number]) => number): number =>
      clients.reduce((total, one) => total + of(one), 0);
    return {
      before: `${clients.length} ${clients.length === 1 ? 'client' : 'clients'}`,
      outBytes: sum(({ bytesOut }) => bytesOut),
      inBytes: sum(({ bytesIn }) => bytesIn),
      lost: sum(({ dropped }) => Object.values(dropped).reduce((total, count) => total + count, 0)),
    };
  });
}

function tellRefused({ peer, fingerprint, reason }: RefusedClient, { quiet, json }: TunnelOptions): void {
  if (json) printNote(JSON.stringify({ event: 'refused', peer, fingerprint: fingerprint ?? null, reason }));
  else if (!quiet) {
    const key = fingerprint === undefined ? 'no key at all' : `the key ${fingerprint} is not allowed`;
    printNote(`${style('yellow', 'refused', process.stderr)} ${peer}: ${key}`);
    if (fingerprint !== undefined) printNote(`        to let it in: sudo vnic identity allow ${fingerprint}`);
  }
}

function announce(
  { server, where, fingerprint }: TunnelListener,
  addresses: readonly Cidr[],
  options: TunnelOptions,
): void {
  const { device } = server;
  if (options.json) {
    printNote(
      JSON.stringify({
        event: 'listening',
        port: where.port,
        device: device.name,
        addresses,
        mtu: server.mtu,
        fingerprint,
      }),
    );
    return;
  }
  if (options.quiet) return;
  const kind = device.medium === 'ip' ? 'TUN' : 'TAP';
  const has = addresses.length === 0 ? '' : ` (${addresses.join(', ')})`;
  printNote(`${kind} device ${style('bold', device.name, process.stderr)}${has}, MTU ${server.mtu}`);
  const host = where.host === '' ? 'any address' : where.host;
  printNote(`listening on port ${where.port} of ${host}${where.carrier === 'tls' ? '' : `, ${where.carrier}`}`);
  if (fingerprint === undefined)
    printNote(style('yellow', 'in the clear: anybody can join, read and change everything', process.stderr));
  else {
    printNote('at the other side:');
    print(
      `  ${style('cyan', `sudo vnic tunnel connect HOST:${where.port} --pin ${fingerprint}${options.tap ? ' --tap' : ''}`)}`,
    );
  }
  printNote('Ctrl-C ends this and removes the device');
}

function tell(event: TunnelServerEvent, { quiet, json }: TunnelOptions): void {
  if (json) printNote(JSON.stringify(event));
  else if (!quiet) printNote(textOf(event));
}

function textOf(event: TunnelServerEvent): string {
  const who = `${printable(event.client) || 'somebody'} (${event.peer})`;
  switch (event.event) {
    case 'joined':
      return `${style('green', 'joined', process.stderr)}  ${who}: ${event.addresses.map(({ address }) => address).join(', ')}`;
    case 'left':
      return `${style('yellow', 'left', process.stderr)}    ${who}: ${event.reason}`;
    case 'refused':
      return `${style('yellow', 'refused', process.stderr)} ${who}: ${event.reason}`;
  }
}
