/**
 * The connecting side of a tunnel: a device that stays while connections under it come and go.
 *
 * Theory of operation
 *
 *   connecting   connect -> hello -> welcome -> the device is made, or changed to what was handed out -> established -> the connection
 *                ends -> wait -> connect …; the wait doubles from half a second to half a minute, each time by chance up to a
 *                quarter less, and begins anew once a connection has lasted.
 *   device       Made with the first welcome, and there until `close`: connections through it only pause. What the kernel
 *                wants to send meanwhile waits in the queue of the device, which loses what finds no room.
 *   roaming      When addresses or routes of the machine change, the other side is asked at once; without an answer within three
 *                seconds it is connected to anew, from wherever this side is now.
 *   full tunnel  see `default-route.ts`. The endpoints are known beforehand, since names cannot be asked for past the tunnel.
 *   end          `close`, a refusal that waiting does not mend, or an error of the device: what was made is removed, what was
 *                changed is undone.
 */

import { type Cidr, isVnicError, type VnicError } from '../base/index.ts';
import { type Forwarding, type ForwardOptions, forward, type Medium, type TooLongHandler } from '../link/index.ts';
import { createTooLongHandler } from '../mtu/index.ts';
import { type LinkEvents, openLinkEvents } from '../netlink/index.ts';
import type { TunTapDevice } from '../tun/index.ts';
import type { TunnelCarrier } from './carrier.ts';
import { type ClientAction, ClientCore, type EndReason } from './client-core.ts';
import { ClientDevice } from './client-device.ts';
import { ControlDriver, type TunnelClock } from './control-driver.ts';
import type { Welcome } from './control-message.ts';
import { ControlledLink } from './controlled-link.ts';
import { endError, isFinal } from './end-reason.ts';
import { FullTunnel, type FullTunnelOptions } from './full-tunnel.ts';
import type { TunnelDeviceOptions } from './server.ts';

/** A connecting side. */
export interface TunnelClientOptions extends Pick<ForwardOptions, 'policy' | 'queuePackets'> {
  readonly device: TunnelDeviceOptions;
  /** What this side calls itself, up to 64 characters; default nothing. */
  readonly name?: string;
  /** Take the routes that are handed out; default true. */
  readonly acceptRoutes?: boolean;
  /** Further routes through the tunnel. */
  readonly routes?: readonly Cidr[];
  /** Everything goes through the tunnel. */
  readonly defaultRoute?: FullTunnelOptions;
  /** Carry super-packets as they are, where the listening side does; default true. */
  readonly superPackets?: boolean;
  /** End with the first connection; default false. */
  readonly once?: boolean;
  readonly clock: TunnelClock;
  /** Connects. What it throws is a reason to try again, but for a few codes (`isFinal`). */
  connect(signal: AbortSignal): Promise<TunnelCarrier>;
  /** Told of what happens, as it happens. */
  onEvent?(event: TunnelClientEvent): void;
}

/** What happens to a tunnel. */
export type TunnelClientEvent =
  | { readonly event: 'established'; readonly peer: string; readonly device: string; readonly welcome: Welcome }
  | { readonly event: 'lost'; readonly peer: string; readonly reason: EndReason }
  | { readonly event: 'retry'; readonly error: VnicError; readonly delayMs: number };

/** How a tunnel stands. */
export interface TunnelClientStatus {
  readonly state: 'connecting' | 'established' | 'closed';
  readonly peer: string | undefined;
  readonly device: string | undefined;
  readonly addresses: readonly Cidr[];
  readonly mtu: number | undefined;
  /** Connections that were established. */
  readonly connections: number;
  /** Totals over all connections, seen from the device. */
  readonly packetsOut: number;
  readonly bytesOut: number;
  readonly packetsIn: number;
  readonly bytesIn: number;
  /** By reason, over both directions. */
  readonly dropped: Readonly<Record<string, number>>;
}

const FIRST_DELAY_MS = 500;
const LAST_DELAY_MS = 30_000;
const LASTED_MS = 10_000;

/** Starts to connect. Nothing is waited for; `done` tells the end. */
export function openTunnelClient(options: TunnelClientOptions): TunnelClient {
  return new TunnelClient(options);
}

/** A connecting side at work. */
export class TunnelClient implements AsyncDisposable {
  /** Resolves when it was closed, or with `once` when the connection has ended; rejects with what ended it otherwise. */
  readonly done: Promise<void>;

  readonly #options: TunnelClientOptions;
  readonly #stopped = new AbortController();
  readonly #own: ClientDevice;
  readonly #full: FullTunnel | undefined;
  readonly #totals = { connections: 0, packetsOut: 0, bytesOut: 0, packetsIn: 0, bytesIn: 0 };
  readonly #dropped: Record<string, number> = {};
  #forwarding: Forwarding | undefined;
  #peer: string | undefined;
  #events: LinkEvents | undefined;
  #suspect: () => void = () => undefined;

  /** Use `openTunnelClient`. */
  constructor(options: TunnelClientOptions) {
    this.#options = options;
    this.#own = new ClientDevice(options.device);
    this.#full = options.defaultRoute === undefined ? undefined : new FullTunnel(options.defaultRoute);
    this.done = this.#run();
    this.done.catch(() => undefined);
  }

  /** As it is now. */
  get status(): TunnelClientStatus {
    const { aToB, bToA } = this.#forwarding ?? {};
    const dropped = { ...this.#dropped };
    addDrops(dropped, this.#forwarding);
    return {
      state: this.#stopped.signal.aborted ? 'closed' : this.#forwarding === undefined ? 'connecting' : 'established',
      peer: this.#peer,
      device: this.#own.device?.name,
      addresses: this.#own.addresses,
      mtu: this.#own.mtu,
      connections: this.#totals.connections,
      packetsOut: this.#totals.packetsOut + (aToB?.packets ?? 0),
      bytesOut: this.#totals.bytesOut + (aToB?.bytes ?? 0),
      packetsIn: this.#totals.packetsIn + (bToA?.packets ?? 0),
      bytesIn: this.#totals.bytesIn + (bToA?.bytes ?? 0),
      dropped,
    };
  }

  /** Says goodbye, removes the device and undoes what was changed of the machine. Idempotent. */
  async close(): Promise<void> {
    this.#stopped.abort();
    await this.done.catch(() => undefined);
  }

  /** As `close()`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #run(): Promise<void> {
    try {
      await this.#full?.guard();
      this.#watchNetwork();
      await this.#keepConnected();
    } finally {
      this.#stopped.abort();
      await this.#events?.close();
      await this.#own.close();
      await this.#full?.giveBack();
    }
  }

  async #keepConnected(): Promise<void> {
    const { signal } = this.#stopped;
    const { once = false, onEvent } = this.#options;
    for (let delayMs = FIRST_DELAY_MS; !signal.aborted; ) {
      const sinceMs = this.#options.clock.nowMs();
      const error = await this.#connectOnce().catch((thrown: unknown) => {
        if (signal.aborted) return undefined;
        if (!isVnicError(thrown) || once || isFinal(thrown) || this.#own.device?.closed) throw thrown;
        return thrown;
      });
      if (signal.aborted || once) return;
      if (this.#options.clock.nowMs() - sinceMs > LASTED_MS) delayMs = FIRST_DELAY_MS;
      const wait = Math.round(delayMs * (0.75 + Math.random() / 4));
      if (error !== undefined) onEvent?.({ event: 'retry', error, delayMs: wait });
      await this.#delay(wait);
      delayMs = Math.min(LAST_DELAY_MS, delayMs * 2);
    }
  }

  /** One connection, from its beginning to its end. @returns why there will be another */
  async #connectOnce(): Promise<VnicError | undefined> {
    const { signal } = this.#stopped;
    const carrier = await this.#options.connect(signal);
    const link = new ControlledLink(carrier.link);
    try {
      const { reason, wasEstablished } = await this.#converse(link, carrier);
      if (wasEstablished && !signal.aborted) this.#options.onEvent?.({ event: 'lost', peer: carrier.peer, reason });
      if (signal.aborted) link.send({ type: 'bye' });
      const error = endError(carrier.peer, reason);
      if (!wasEstablished && !signal.aborted) throw error;
      return error;
    } finally {
      await link.close();
    }
  }

  async #converse(
    link: ControlledLink,
    carrier: TunnelCarrier,
  ): Promise<{ readonly reason: EndReason; readonly wasEstablished: boolean }> {
    const { clock, name = '', device } = this.#options;
    const medium: Medium = device.kind === 'tun' ? 'ip' : 'ethernet';
    const { signal } = this.#stopped;
    let wasEstablished = false;
    let stopReading: () => void = () => undefined;
    let stopFollowing: () => void = () => undefined;
    let onAbort: () => void = () => undefined;
    let driver: ControlDriver<Exclude<ClientAction, { do: 'send' }>> | undefined;
    try {
      const reason = await new Promise<EndReason>((resolve, reject) => {
        onAbort = (): void => resolve('bye');
        signal.addEventListener('abort', onAbort, { once: true });
        // Until the device is there, what comes is read for its messages only.
        stopReading = link.onBatch(
          () => undefined,
          // Stopping calls this as well.
          () => link.closed && resolve('disconnected'),
        );
        const establish = async (welcome: Welcome): Promise<void> => {
          const opened = await this.#setUp(welcome, carrier);
          link.offload = opened.offload;
          if (signal.aborted || link.closed) return resolve('bye');
          stopReading();
          wasEstablished = true;
          this.#peer = carrier.peer;
          this.#totals.connections++;
          // While the connection takes nothing, packets wait in the queue of the device, whose senders see it.
          const { policy = 'wait', queuePackets } = this.#options;
          this.#forwarding = forward(opened, link, {
            policy,
            onTooLong: this.#tooLongHandler(opened, medium),
            ...(queuePackets !== undefined && { queuePackets }),
          });
          stopFollowing = link.on('mtu', () => void this.#own.followMtu(Math.min(welcome.mtu, link.mtu)));
          this.#options.onEvent?.({ event: 'established', peer: carrier.peer, device: opened.name, welcome });
          this.#forwarding.done.then(
            () => resolve('disconnected'),
            (error: unknown) => (opened.closed ? reject(error) : resolve('disconnected')),
          );
        };
        driver = new ControlDriver(
          link,
          new ClientCore({ medium, name, superPackets: this.#options.superPackets ?? true }, clock.nowMs()),
          clock,
          (action) => {
            if (action.do === 'end') resolve(action.reason);
            else establish(action.welcome).catch(reject);
          },
        );
        this.#suspect = (): void => driver?.suspect();
      });
      return { reason, wasEstablished };
    } finally {
      signal.removeEventListener('abort', onAbort);
      this.#suspect = () => undefined;
      driver?.stop();
      stopReading();
      stopFollowing();
      await this.#forgetForwarding();
    }
  }

  /** Packets that were queued before the MTU became less; the kernel takes what is too long for the device. */
  #tooLongHandler(device: TunTapDevice, medium: Medium): TooLongHandler {
    const handle = createTooLongHandler({ medium, nowMs: () => this.#options.clock.nowMs() });
    return (packet, sink, out) => (sink === device ? 'fits' : handle(packet, sink, out));
  }

  async #forgetForwarding(): Promise<void> {
    const forwarding = this.#forwarding;
    this.#forwarding = undefined;
    this.#peer = undefined;
    if (forwarding === undefined) return;
    await forwarding.close();
    this.#totals.packetsOut += forwarding.aToB.packets;
    this.#totals.bytesOut += forwarding.aToB.bytes;
    this.#totals.packetsIn += forwarding.bToA.packets;
    this.#totals.bytesIn += forwarding.bToA.bytes;
    addDrops(this.#dropped, forwarding);
  }

  /** The device as the welcome says, and everything through it where that is asked for. */
  async #setUp(welcome: Welcome, carrier: TunnelCarrier): Promise<TunTapDevice> {
    const { acceptRoutes = true, routes: own = [] } = this.#options;
    const routes = [...(acceptRoutes ? welcome.routes : []), ...own];
    const device = await this.#own.settle({ welcome, routes, mtu: Math.min(welcome.mtu, carrier.mtu ?? welcome.mtu) });
    await this.#full?.route(device, welcome);
    return device;
  }

  /** Addresses and routes of the machine that come and go; those of the device are its own doing. */
  #watchNetwork(): void {
    this.#events = openLinkEvents({ groups: ['address', 'route'] });
    this.#events.onEvent((event) => {
      const own = this.#own.device?.ifindex;
      const index =
        event.type === 'address' ? event.address.linkIndex : event.type === 'route' ? event.route.linkIndex : own;
      if (index !== own) this.#suspect();
    });
  }

  #delay(ms: number): Promise<void> {
    const { signal } = this.#stopped;
    return new Promise((resolve) => {
      const cancel = this.#options.clock.setTimer(ms, () => finish());
      const finish = (): void => {
        cancel();
        signal.removeEventListener('abort', finish);
        resolve();
      };
      signal.addEventListener('abort', finish, { once: true });
    });
  }
}

function addDrops(sum: Record<string, number>, forwarding: Forwarding | undefined): void {
  for (const { dropped } of forwarding === undefined ? [] : [forwarding.aToB, forwarding.bToA])
    for (const [reason, count] of Object.entries(dropped)) if (count > 0) sum[reason] = (sum[reason] ?? 0) + count;
}
