/** Tunnels of the file as things that run, told in the words of `vnic tunnel --json`. */

import { hostname } from 'node:os';

import { Cidr } from '../base/index.ts';
import type { Config, TunnelConfig } from '../config/index.ts';
import { formatTunnelWhere, parseTunnelWhere } from '../ends/index.ts';
import { readAuthorities, readIdentity } from '../identity/index.ts';
import { systemClock } from '../netdev/index.ts';
import type {
  TunnelClient,
  TunnelConnectOptions,
  TunnelListener,
  TunnelListenOptions,
  TunnelSessionStatus,
} from '../tunnel/index.ts';
import type { Runnable, Running, RunningEvent, RunningStatus } from './runnable.ts';

/** A client of a listening side, in the status. */
export interface TunnelClientDetail {
  readonly name: string;
  readonly fingerprint?: string;
  readonly peer: string;
  readonly addresses: readonly string[];
  /** ISO 8601. */
  readonly since: string;
  readonly packetsIn: number;
  readonly bytesIn: number;
  readonly packetsOut: number;
  readonly bytesOut: number;
  readonly dropped: Readonly<Record<string, number>>;
}

/** What a tunnel says while it runs: `detail` of its `RunnerStatus`. A side has what it knows. */
export interface TunnelDetail {
  readonly device?: string;
  readonly mtu?: number;
  readonly fingerprint?: string;
  readonly addresses?: readonly string[];
  /** The clients that are there now. */
  readonly clients?: readonly TunnelClientDetail[];
  readonly peer?: string;
  readonly connections?: number;
  readonly packetsIn?: number;
  readonly bytesIn?: number;
  readonly packetsOut?: number;
  readonly bytesOut?: number;
  readonly dropped?: Readonly<Record<string, number>>;
}

type Tell = (event: RunningEvent) => void;

/** The tunnels of a configuration. */
export function tunnelRunnables({ tunnels }: Config): readonly Runnable[] {
  return tunnels.map((tunnel) => {
    const { name, ...about } = tunnel;
    return {
      kind: 'tunnel',
      name,
      identity: JSON.stringify(about),
      about,
      start: (signal, tell) => (tunnel.listen === undefined ? connect(tunnel, signal, tell) : listen(tunnel, tell)),
    };
  });
}

function ofBoth({
  kind = 'tun',
  device,
  bridge,
  certificate,
  privateKey,
  insecure,
  offload,
}: TunnelConfig): Pick<
  TunnelListenOptions & TunnelConnectOptions,
  'device' | 'identity' | 'insecure' | 'superPackets' | 'clock'
> {
  return {
    device: { kind, ...(device !== undefined && { name: device }), ...(bridge !== undefined && { bridge }) },
    ...(certificate !== undefined &&
      privateKey !== undefined && { identity: readIdentity({ certificateFile: certificate, keyFile: privateKey }) }),
    ...(insecure !== undefined && { insecure }),
    ...(offload === false && { superPackets: false }),
    clock: systemClock,
  };
}

async function listen(tunnel: TunnelConfig, tell: Tell): Promise<Running> {
  const { listenForTunnels } = await import('../tunnel/index.ts');
  const where = parseTunnelWhere(tunnel.listen ?? '', 'listen');
  const {
    addresses = [],
    routes,
    mtu,
    allow,
    anyone,
    maxClients,
    keepAlive,
    forwarding,
    masquerade,
    ca,
    clients = [],
  } = tunnel;
  const listener = await listenForTunnels(where, {
    ...ofBoth(tunnel),
    addresses: parsed(addresses),
    clients: clients.map(([name, client]) => ({
      name,
      fingerprint: client.key,
      ...(client.addresses !== undefined && { addresses: parsed(client.addresses) }),
      ...(client.networks !== undefined && { networks: parsed(client.networks) }),
      ...(client.access !== undefined && { access: parsed(client.access) }),
    })),
    ...(routes !== undefined && { routes: parsed(routes) }),
    ...(mtu !== undefined && { mtu }),
    ...(allow !== undefined && { allow }),
    ...(anyone !== undefined && { anyone }),
    ...(maxClients !== undefined && { maxClients }),
    ...(keepAlive !== undefined && { keepAliveMs: keepAlive * 1000 }),
    ...(forwarding !== undefined && { forwarding }),
    ...(masquerade !== undefined && { masquerade }),
    ...(ca !== undefined && { ca: readAuthorities(ca) }),
    onEvent: (event) => {
      const { client, peer } = event;
      const level = event.event === 'refused' ? 'warn' : 'info';
      const reason = event.event === 'joined' ? '' : `: ${event.reason}`;
      tell({
        level,
        event: event.event,
        message: `${client} (${peer}) ${event.event}${reason}`,
        fields: { client, peer },
      });
    },
    onRefused: ({ peer, fingerprint = 'none', reason }) =>
      tell({
        level: 'warn',
        event: 'refused',
        message: `${peer} was turned away, since its key is not allowed: ${fingerprint}`,
        fields: { peer, fingerprint, reason },
      }),
  });
  return new RunningListener(listener);
}

async function connect(tunnel: TunnelConfig, signal: AbortSignal, tell: Tell): Promise<Running> {
  const { connectTunnel } = await import('../tunnel/index.ts');
  const where = parseTunnelWhere(tunnel.connect ?? '', 'connect');
  const { routes, pin, ca, servername, as = hostname(), acceptRoutes, defaultRoute, killSwitch } = tunnel;
  const state = new ConnectingState();
  const client = await connectTunnel(where, {
    ...ofBoth(tunnel),
    name: as.slice(0, 64),
    ...(routes !== undefined && { routes: parsed(routes) }),
    ...(pin !== undefined && { trust: { pin } }),
    ...(ca !== undefined && { trust: { ca: readAuthorities(ca) } }),
    ...(servername !== undefined && { servername }),
    ...(acceptRoutes !== undefined && { acceptRoutes }),
    ...(defaultRoute !== undefined && { defaultRoute }),
    ...(killSwitch !== undefined && { killSwitch }),
    onEvent: (event) => {
      if (event.event === 'established') {
        const { peer, device, welcome } = event;
        state.note('', undefined);
        const message = `connected to ${peer}: ${device} has ${welcome.addresses.join(', ')}`;
        tell({ level: 'info', event: 'up', message, fields: { peer, device } });
      } else if (event.event === 'lost') {
        tell({
          level: 'warn',
          event: 'down',
          message: `has lost ${event.peer}: ${event.reason}`,
          fields: { peer: event.peer },
        });
      } else {
        const { reason, code } = event.error;
        const isRepeated = state.reason === reason;
        state.note(reason, Date.now() + event.delayMs);
        tell({ level: 'warn', event: 'retry', message: reason, fields: { code, retryMs: event.delayMs }, isRepeated });
      }
    },
    onNewPeer: (place, fingerprint) =>
      tell({
        level: 'warn',
        event: 'pinned',
        message: `${place} was met for the first time, and has the key ${fingerprint}`,
        fields: { place, fingerprint },
      }),
  });
  if (signal.aborted) await client.close();
  return new RunningClient(client, state, formatTunnelWhere(where));
}

/** Why a connecting side waits. */
class ConnectingState {
  reason = 'not connected yet';
  againAtMs: number | undefined;

  note(reason: string, againAtMs: number | undefined): void {
    this.reason = reason;
    this.againAtMs = againAtMs;
  }
}

class RunningListener implements Running {
  readonly label: string;
  readonly done: Promise<void>;
  readonly #listener: TunnelListener;

  constructor(listener: TunnelListener) {
    this.#listener = listener;
    this.label = `tunnel on ${formatTunnelWhere(listener.where)}, device ${listener.server.device.name}`;
    this.done = listener.done;
  }

  status(): RunningStatus {
    const { server, fingerprint } = this.#listener;
    return {
      isUp: true,
      detail: {
        device: server.device.name,
        mtu: server.mtu,
        ...(fingerprint !== undefined && { fingerprint }),
        clients: server.clients.map(sessionDetail),
        dropped: occurred(server.dropped),
      },
    };
  }

  close(): Promise<void> {
    return this.#listener.close();
  }
}

class RunningClient implements Running {
  readonly label: string;
  readonly done: Promise<void>;
  readonly #client: TunnelClient;
  readonly #state: ConnectingState;

  constructor(client: TunnelClient, state: ConnectingState, where: string) {
    this.#client = client;
    this.#state = state;
    this.label = `tunnel to ${where}`;
    this.done = client.done;
  }

  status(): RunningStatus {
    const { state, peer, device, addresses, mtu, connections, dropped, ...counters } = this.#client.status;
    const detail: TunnelDetail = {
      ...(peer !== undefined && { peer }),
      ...(device !== undefined && { device }),
      ...(mtu !== undefined && { mtu }),
      addresses: addresses.map(String),
      connections,
      dropped,
      ...counters,
    };
    if (state === 'established') return { isUp: true, detail: { ...detail } };
    const { reason, againAtMs } = this.#state;
    return { isUp: false, reason, ...(againAtMs !== undefined && { againAtMs }), detail: { ...detail } };
  }

  close(): Promise<void> {
    return this.#client.close();
  }
}

function sessionDetail({
  addresses,
  dropped,
  sinceMs,
  fingerprint,
  ...session
}: TunnelSessionStatus): TunnelClientDetail {
  return {
    ...session,
    ...(fingerprint !== undefined && { fingerprint }),
    since: new Date(sinceMs).toISOString(),
    addresses: addresses.map(String),
    dropped: occurred(dropped),
  };
}

function occurred(dropped: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(dropped).filter(([, count]) => count > 0));
}

function parsed(texts: readonly string[]): Cidr[] {
  return texts.map((one) => Cidr.parse(one));
}
