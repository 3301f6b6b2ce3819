/** `vnic tunnel connect`. */

import { hostname } from 'node:os';

import { isVnicError } from '../base/index.ts';
import type { TunnelClient, TunnelClientEvent, TunnelConnectOptions } from '../tunnel/index.ts';
import { interruption } from './interruption.ts';
import { showLiveLine } from './live-line.ts';
import { printable, printNote, style } from './output.ts';
import { authoritiesFrom, deviceFrom, identityFrom, type TunnelOptions } from './tunnel-options.ts';

const MAX_NAME_LEN = 64;
const KEEP_ALIVE_MS = 1000;

/** Runs until it is stopped, or cannot go on. */
export async function runTunnelConnect(text: string, options: TunnelOptions): Promise<void> {
  // Before anything is made, so that Ctrl-C from now on undoes it.
  const signal = interruption();
  const { connectTunnel, parseTunnelWhere } = await import('../tunnel/index.ts');
  const { systemClock } = await import('../netdev/index.ts');
  const client = await connectTunnel(parseTunnelWhere(text, 'connect'), {
    device: deviceFrom(options),
    name: (options.as ?? hostname()).slice(0, MAX_NAME_LEN),
    ...(await identityFrom(options)),
    ...trustFrom(options),
    ...networkFrom(options),
    clock: systemClock,
    onEvent: (event) => tell(event, options),
    onNewPeer: (place, fingerprint) => tellNewPeer(place, fingerprint, options),
  });
  const stop = (): void => void client.close();
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  const startedMs = performance.now();
  const stopLive = showLive(client, options);
  // Waiting for a device keeps no process alive.
  const alive = setInterval(() => undefined, KEEP_ALIVE_MS);
  try {
    await client.done;
  } catch (error) {
    // With `--once`, an end in good order.
    if (!(options.once && isVnicError(error, 'VNIC_TUNNEL_ENDED') && client.status.connections > 0)) throw error;
  } finally {
    clearInterval(alive);
    stopLive();
    report(client, performance.now() - startedMs, options);
  }
}

function trustFrom({ pin, ca, servername }: TunnelOptions): Partial<TunnelConnectOptions> {
  return {
    ...(pin !== undefined && { trust: { pin } }),
    ...(ca !== undefined && { trust: { ca: authoritiesFrom(ca) } }),
    ...(servername !== undefined && { servername }),
  };
}

function networkFrom(options: TunnelOptions): Partial<TunnelConnectOptions> {
  const { route, insecure, once, defaultRoute, killSwitch, offload } = options;
  return {
    ...(offload === 'off' && { superPackets: false }),
    ...(route !== undefined && { routes: route.map(({ network }) => network) }),
    ...(options.routes === false && { acceptRoutes: false }),
    ...(insecure !== undefined && { insecure }),
    ...(once !== undefined && { once }),
    ...(defaultRoute !== undefined && { defaultRoute }),
    ...(killSwitch !== undefined && { killSwitch }),
  };
}

function showLive(client: TunnelClient, { quiet, json }: TunnelOptions): () => void {
  if (quiet || json) return () => undefined;
  return showLiveLine(() => {
    const { state, bytesOut, bytesIn, dropped } = client.status;
    const lost = Object.values(dropped).reduce((sum, count) => sum + count, 0);
    return { before: state, outBytes: bytesOut, inBytes: bytesIn, lost };
  });
}

function tellNewPeer(place: string, fingerprint: string, { quiet, json }: TunnelOptions): void {
  if (json) printNote(JSON.stringify({ event: 'new-peer', place, fingerprint }));
  else if (!quiet) {
    printNote(`${style('yellow', 'new', process.stderr)}     ${place} has the key ${fingerprint}`);
    printNote('        noted, and expected from now on; compare it with what `vnic tunnel listen` says there');
  }
}

function tell(event: TunnelClientEvent, { quiet, json }: TunnelOptions): void {
  if (json) printNote(JSON.stringify({ ...event, ...('error' in event && { error: event.error.toJSON() }) }));
  else if (!quiet) printNote(textOf(event));
}

function textOf(event: TunnelClientEvent): string {
  switch (event.event) {
    case 'established': {
      const { addresses, routes, mtu } = event.welcome;
      const also = routes.length === 0 ? '' : `, routes ${routes.join(', ')}`;
      const has = addresses.length === 0 ? '' : ` has ${addresses.join(', ')}`;
      return `${style('green', 'up', process.stderr)}      ${event.peer}: ${printable(event.device)}${has}${also}, MTU ${mtu}`;
    }
    case 'lost':
      return `${style('yellow', 'down', process.stderr)}    ${event.peer}: ${event.reason}`;
    case 'retry':
      return `${style('dim', 'waiting', process.stderr)} ${printable(event.error.reason)}; again in ${(event.delayMs / 1000).toFixed(1)} s`;
  }
}

function report(client: TunnelClient, elapsedMs: number, { quiet, json }: TunnelOptions): void {
  const { connections, packetsOut, bytesOut, packetsIn, bytesIn, dropped } = client.status;
  if (json) {
    const totals = { connections, packetsOut, bytesOut, packetsIn, bytesIn, dropped };
    printNote(JSON.stringify({ event: 'ended', durationMs: Math.round(elapsedMs), ...totals }));
  } else if (!quiet) {
    const drops = Object.entries(dropped).map(([reason, count]) => `${reason} ${count}`);
    const losses = drops.length === 0 ? 'nothing lost' : `lost: ${drops.join(', ')}`;
    printNote(`out ${packetsOut} packets, ${bytesOut} bytes; in ${packetsIn} packets, ${bytesIn} bytes; ${losses}`);
  }
}
