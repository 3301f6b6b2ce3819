/**
 * The listening side of tunnels: one device, many clients.
 *
 * Theory of operation
 *
 *   admission   Who a client is, its carrier has proved (`fingerprint`). It gets the addresses of its entry, or of the pool, and the
 *               same ones again when it comes back. A second connection of a client takes the place of the first: it has
 *               moved, or its connection has died without a word.
 *   packets     Each is looked at once, by the fabric, and written in runs. A client that takes nothing loses its own
 *               packets (`queue-full`), and nobody else's.
 *   end         `close` says goodbye to all, removes the device, and undoes what was changed of the machine.
 */

import { Cidr, type IpAddress, invalidArgument, isVnicError } from '../base/index.ts';
import type { Change, SysctlChange } from '../changes/index.ts';
import { type Loan, openLoan } from '../journal/index.ts';
import type { PacketBatch } from '../link/index.ts';
import { openDevice } from '../netdev/index.ts';
import { readForwarding } from '../netns/index.ts';
import type { TunTapDevice } from '../tun/index.ts';
import { virtioNetHeaderLen } from '../wire/index.ts';
import { AddressPool } from './address-pool.ts';
import type { TunnelCarrier } from './carrier.ts';
import type { EndReason } from './client-core.ts';
import type { TunnelClock } from './control-driver.ts';
import type { Hello, RefusalReason, Welcome } from './control-message.ts';
import { isEnded } from './controlled-link.ts';
import {
  DROP_ACCESS,
  DROP_MALFORMED,
  DROP_NO_CLIENT,
  DROP_SOURCE,
  EthernetFabric,
  type Fabric,
  IpFabric,
  TO_ALL,
  TO_DEVICE,
} from './fabric.ts';
import { Session, type TunnelClientStatus, type TunnelDropReason, zeroDrops } from './session.ts';

/** A client that is known beforehand. */
export interface TunnelClientEntry {
  /** For people. */
  readonly name: string;
  /** Of its public key: `sha256:…`. */
  readonly fingerprint: string;
  /** Its addresses in the tunnel; default from the pool. */
  readonly addresses?: readonly Cidr[];
  /** Networks behind it. */
  readonly networks?: readonly Cidr[];
  /** Where it may send to and hear from; default everywhere. */
  readonly access?: readonly Cidr[];
}

/** The device of a side. */
export interface TunnelDeviceOptions {
  readonly kind: 'tun' | 'tap';
  /** Default chosen by the kernel. */
  readonly name?: string;
  /** Network namespace of the device. */
  readonly netns?: string;
  /** TAP: the bridge that it becomes a port of. */
  readonly bridge?: string;
}

/** A listening side. */
export interface TunnelServerOptions {
  readonly device: TunnelDeviceOptions;
  /** Addresses of this side; clients get others of the same subnets. */
  readonly addresses: readonly Cidr[];
  /** What clients reach through this side. */
  readonly routes?: readonly Cidr[];
  /** Longest payload in bytes; default 1500, or what the carrier takes. */
  readonly mtu?: number;
  readonly clients?: readonly TunnelClientEntry[];
  /** Connections at the same time; default 256. */
  readonly maxClients?: number;
  /** A side is asked for a sign of life when it was silent for so long; default 10,000. */
  readonly keepAliveMs?: number;
  /**
   * Carry super-packets as they are, 64 KiB of a flow at once: for carriers that cut nothing, which streams are. Every client has to
   * be able to. Default false.
   */
  readonly superPackets?: boolean;
  /** Switch forwarding on, for both families, as long as the tunnel is there; default false. */
  readonly forwarding?: boolean;
  /** What leaves this machine from the tunnel's subnets has this machine's address; implies `forwarding`. Default false. */
  readonly masquerade?: boolean;
  readonly clock: TunnelClock;
  /** Told of what happens, as it happens. */
  onEvent?(event: TunnelServerEvent): void;
}

/** What happens to clients. */
export type TunnelServerEvent =
  | { readonly event: 'joined'; readonly client: string; readonly peer: string; readonly addresses: readonly Cidr[] }
  | { readonly event: 'left'; readonly client: string; readonly peer: string; readonly reason: EndReason | 'closed' }
  | { readonly event: 'refused'; readonly client: string; readonly peer: string; readonly reason: RefusalReason };

const DEFAULT_MTU = 1500;
const DEFAULT_MAX_CLIENTS = 256;
const DEFAULT_KEEP_ALIVE_MS = 10_000;

const dropReasons: Readonly<Record<number, TunnelDropReason>> = {
  [DROP_NO_CLIENT]: 'no-client',
  [DROP_SOURCE]: 'source',
  [DROP_ACCESS]: 'access',
  [DROP_MALFORMED]: 'malformed',
};

/**
 * Makes the device and waits for clients, which `serve` brings.
 * @throws what `openDevice` throws; VNIC_JOURNAL
 */
export async function openTunnelServer(options: TunnelServerOptions): Promise<TunnelServer> {
  const { device: wanted, addresses, mtu = DEFAULT_MTU } = options;
  if (wanted.kind === 'tun' && addresses.length === 0) {
    throw invalidArgument('listen for tunnels', 'an address for a TUN device', 'none');
  }
  const device = await openDevice({
    kind: wanted.kind,
    ...(wanted.name !== undefined && { name: wanted.name }),
    ...(wanted.netns !== undefined && { netns: wanted.netns }),
    ...(wanted.bridge !== undefined && { master: wanted.bridge }),
    exclusive: true,
    vnetHeader: true,
    ...(options.superPackets ? { superPackets: true } : { offload: 'auto' }),
    addresses,
    mtu,
    up: true,
  });
  const loan = openLoan();
  try {
    await loan.change(machineChanges(device, options));
  } catch (error) {
    await device.close();
    throw error;
  }
  return new TunnelServer(device, loan, options);
}

function machineChanges(
  device: TunTapDevice,
  { addresses, masquerade = false, forwarding = masquerade, device: { netns } }: TunnelServerOptions,
): Change[] {
  const place = netns === undefined ? {} : { netns };
  const now = readForwarding(place);
  const change = (name: string, on: boolean): SysctlChange[] =>
    on || !forwarding ? [] : [{ resource: 'sysctl', name, before: '0', after: '1' }];
  const families = new Set(addresses.map(({ family }) => family));
  return [
    ...(families.has(4) || families.size === 0 ? change('net.ipv4.ip_forward', now.ipv4) : []),
    ...(families.has(6) ? change('net.ipv6.conf.all.forwarding', now.ipv6) : []),
    ...(masquerade
      ? addresses.map(
          ({ network }): Change => ({
            resource: 'masquerade',
            action: 'add',
            from: network.toString(),
            notOut: device.name,
          }),
        )
      : []),
  ];
}

/** An open listening side. */
export class TunnelServer implements AsyncDisposable {
  readonly device: TunTapDevice;
  /** Resolves when it was closed; rejects with VNIC_DEVICE_GONE when the device was deleted. */
  readonly done: Promise<void>;
  /** Packets of the device for which no client was there. */
  readonly dropped: Record<TunnelDropReason, number> = zeroDrops();

  readonly #options: TunnelServerOptions;
  readonly #loan: Loan;
  readonly #fabric: Fabric;
  /** Bytes in front of each packet that are not of the packet. */
  readonly #headerLen: number;
  readonly #pool: AddressPool;
  readonly #entries: Map<string, TunnelClientEntry>;
  /** By id; a free place is undefined. */
  readonly #sessions: (Session | undefined)[] = [];
  readonly #waiting = new Set<Session>();
  readonly #stopReading: () => void;
  #mtu: number;
  #settle: (error?: unknown) => void = () => undefined;
  #closed: Promise<void> | undefined;

  /** Use `openTunnelServer`. */
  constructor(device: TunTapDevice, loan: Loan, options: TunnelServerOptions) {
    this.device = device;
    this.#loan = loan;
    this.#options = options;
    this.#fabric = options.device.kind === 'tun' ? new IpFabric() : new EthernetFabric();
    this.#headerLen = device.offload ? virtioNetHeaderLen : 0;
    this.#pool = new AddressPool(options.addresses);
    this.#mtu = options.mtu ?? DEFAULT_MTU;
    // Somebody may change it; who comes from then on gets the new one.
    device.on('mtu', (mtu) => {
      this.#mtu = mtu;
    });
    this.#entries = new Map(options.clients?.map((entry) => [entry.fingerprint, entry]));
    for (const { addresses = [] } of this.#entries.values())
      for (const { address } of addresses) this.#pool.reserve(address);
    this.done = new Promise((resolve, reject) => {
      this.#settle = (error) => (error === undefined ? resolve() : reject(error));
    });
    this.done.catch(() => undefined);
    this.#stopReading = device.onBatch(
      (batch) => this.#onDeviceBatch(batch),
      (error) => void this.#end(error),
    );
  }

  /** Longest payload in bytes. */
  get mtu(): number {
    return this.#mtu;
  }

  /** The clients that are there now. */
  get clients(): readonly TunnelClientStatus[] {
    return this.#sessions.flatMap((session) => (session === undefined ? [] : [session.status]));
  }

  /** Takes a connection over, which is closed when it ends, or when the tunnel is closed. */
  serve(carrier: TunnelCarrier): void {
    const { maxClients = DEFAULT_MAX_CLIENTS } = this.#options;
    if (this.#closed !== undefined || this.#waiting.size >= maxClients) {
      void carrier.link.close();
      return;
    }
    const session: Session = new Session(carrier, this.#options.clock, {
      admit: (hello): Welcome | RefusalReason => this.#admit(session, hello),
      onEstablished: () => this.#onEstablished(session),
      onBatch: (batch) => this.#onClientBatch(session, batch),
      onEnd: (reason) => this.#onEnd(session, reason),
    });
    this.#waiting.add(session);
    session.start();
  }

  /** Says goodbye to the clients, removes the device and undoes what was changed of the machine. Idempotent. */
  close(): Promise<void> {
    return this.#end(undefined);
  }

  /** As `close()`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #end(error: unknown): Promise<void> {
    this.#closed ??= (async (): Promise<void> => {
      this.#stopReading();
      const open = [...this.#waiting, ...this.#sessions.flatMap((session) => session ?? [])];
      await Promise.allSettled(open.map((session) => session.close('closed')));
      await this.device.close();
      await this.#loan.giveBack();
      this.#settle(isVnicError(error, 'VNIC_LINK_CLOSED') ? undefined : error);
    })();
    return this.#closed;
  }

  #admit(session: Session, hello: Hello): Welcome | RefusalReason {
    const { device, addresses, routes = [], keepAliveMs = DEFAULT_KEEP_ALIVE_MS } = this.#options;
    const { maxClients = DEFAULT_MAX_CLIENTS } = this.#options;
    session.name = hello.name;
    const { fingerprint } = session;
    const entry = fingerprint === undefined ? undefined : this.#entries.get(fingerprint);
    if (entry !== undefined) session.name = entry.name;
    session.key = fingerprint ?? `name ${hello.name}`;
    const answer = ((): Welcome | RefusalReason => {
      if (this.device.offload && !hello.superPackets) return 'super-packets';
      if (hello.medium !== (device.kind === 'tun' ? 'ip' : 'ethernet')) return 'medium';
      const before = this.#sessions.find((other) => other?.key === session.key);
      if (before === undefined && this.clients.length >= maxClients) return 'busy';
      const own = entry?.addresses ?? this.#pool.lease(session.key);
      if (own === undefined) return 'no-address';
      session.addresses = own;
      session.networks = [...own.map(hostOf), ...(entry?.networks ?? [])];
      session.access = entry?.access;
      return {
        type: 'welcome',
        addresses: own,
        routes,
        gateways: addresses.map(({ address }): IpAddress => address),
        mtu: this.#mtu,
        keepAliveMs,
        superPackets: this.device.offload,
      };
    })();
    if (typeof answer === 'string') {
      this.#options.onEvent?.({ event: 'refused', client: session.name, peer: session.peer, reason: answer });
    }
    return answer;
  }

  #onEstablished(session: Session): void {
    const before = this.#sessions.find((other) => other?.key === session.key);
    if (before !== undefined) void before.close('replaced');
    this.#waiting.delete(session);
    const free = this.#sessions.indexOf(undefined);
    session.id = free < 0 ? this.#sessions.length : free;
    this.#sessions[session.id] = session;
    const { networks, access } = session;
    this.#fabric.attach(session.id, { networks, ...(access !== undefined && { access }) });
    const { name, peer, addresses } = session;
    this.#options.onEvent?.({ event: 'joined', client: name, peer, addresses });
  }

  #onEnd(session: Session, reason: EndReason | 'closed'): void {
    this.#waiting.delete(session);
    if (session.id < 0) return;
    this.#sessions[session.id] = undefined;
    this.#fabric.detach(session.id);
    if (reason !== 'replaced') this.#pool.release(session.key);
    this.#options.onEvent?.({ event: 'left', client: session.name, peer: session.peer, reason });
  }

  /** Hot. Runs of packets for the same client are written together. */
  #onDeviceBatch(batch: PacketBatch): void {
    const nowMs = this.#options.clock.nowMs();
    const headerLen = this.#headerLen;
    let start = 0;
    let current = DROP_NO_CLIENT;
    for (let i = 0; i < batch.count; i++) {
      const at = batch.offset(i) + headerLen;
      const to = this.#fabric.fromDevice(batch.bytes, at, batch.length(i) - headerLen, nowMs);
      if (to !== current) {
        this.#writeRun(current, batch, start, i);
        start = i;
        current = to;
      }
    }
    this.#writeRun(current, batch, start, batch.count);
  }

  /** Hot. */
  #writeRun(to: number, batch: PacketBatch, start: number, end: number): void {
    if (start === end) return;
    if (to >= 0) this.#sessions[to]?.write(batch, start, end);
    else if (to === TO_ALL) for (const session of this.#sessions) session?.write(batch, start, end);
    else this.dropped[dropReasons[to] ?? 'malformed'] += end - start;
  }

  /** Hot. */
  #onClientBatch(session: Session, batch: PacketBatch): void {
    const headerLen = this.#headerLen;
    const nowMs = this.#options.clock.nowMs();
    for (let i = 0; i < batch.count; i++) {
      const length = batch.length(i);
      if (length === 0) continue;
      session.packetsIn++;
      session.bytesIn += length;
      const at = batch.offset(i) + headerLen;
      const to = this.#fabric.fromClient(session.id, batch.bytes, at, length - headerLen, nowMs);
      if (to !== TO_DEVICE) this.#turnAside(session, batch, i, to);
    }
    this.#writeToDevice(session, batch);
  }

  #writeToDevice(session: Session, batch: PacketBatch): void {
    try {
      const taken = this.device.closed ? batch.count : this.device.write(batch);
      for (let i = taken; i < batch.count; i++) if (batch.length(i) > 0) session.dropped['queue-full']++;
    } catch (error) {
      // Its reader is told as well, and ends everything.
      if (!isEnded(error)) throw error;
    }
  }

  /** What does not go to the device, or not there alone. */
  #turnAside(session: Session, batch: PacketBatch, index: number, to: number): void {
    if (to === TO_ALL) {
      for (const other of this.#sessions) if (other !== session) other?.write(batch, index, index + 1);
      return;
    }
    if (to >= 0) this.#sessions[to]?.write(batch, index, index + 1);
    else session.dropped[dropReasons[to] ?? 'malformed']++;
    batch.drop(index);
  }
}

function hostOf({ address }: Cidr): Cidr {
  return new Cidr(address, address.bytes.length * 8);
}
