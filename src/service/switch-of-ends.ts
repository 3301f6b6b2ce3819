/**
 * A switch whose ports are ends of links: opened, added, changed and taken out while it runs. What `vnic switch` and the service run.
 *
 * Ports are numbered from 1 here, as people count. A port owns its end: both go together.
 */

import { formatMac, invalidArgument, VnicError } from '../base/index.ts';
import { type CarrierEvent, carriesSuperPackets, type EndSpec, type OpenEnd, openEnd } from '../ends/index.ts';
import type { PacketLink } from '../link/index.ts';
import { type ImpairmentSettings, impair, type ShapeSettings, shape } from '../middleware/index.ts';
import {
  type MirrorSource,
  PacketSwitch,
  type PacketSwitchOptions,
  type SpanningTreePortStatus,
  type SpanningTreeStatus,
  type SwitchPort,
  type SwitchPortSettings,
} from '../switch/index.ts';
import { RateMeter } from './rate-meter.ts';

/** A port that is to be. */
export interface SwitchPortSpec {
  readonly end: EndSpec;
  /** For people; default what the end calls itself. */
  readonly name?: string;
  readonly settings?: SwitchPortSettings;
  /** A bad link between the switch and the end, each way. */
  readonly impair?: ImpairmentSettings;
  /** No more than so much, each way. */
  readonly shape?: ShapeSettings;
}

/** Something that happened to a switch, for people and programs. */
export type SwitchNote =
  | CarrierEvent
  | { readonly event: 'port-added' | 'port-removed'; readonly port: number; readonly name: string }
  | { readonly event: 'port-gone'; readonly port: number; readonly name: string; readonly error?: VnicError }
  | {
      readonly event: 'spanning-tree';
      readonly port: number;
      readonly name: string;
      readonly role: string;
      readonly state: string;
    }
  | {
      readonly event: 'flapping';
      readonly vlan: number;
      readonly mac: string;
      readonly port: number;
      readonly from: number;
    };

/** A port, as plain data. */
export interface SwitchPortStatus {
  readonly port: number;
  readonly name: string;
  /** As it was asked for. */
  readonly end: string;
  readonly mtu: number;
  readonly isUp: boolean;
  readonly superPackets: boolean;
  readonly settings: SwitchPortSettings;
  readonly framesIn: number;
  readonly bytesIn: number;
  readonly framesOut: number;
  readonly bytesOut: number;
  readonly bitsInPerSec: number;
  readonly bitsOutPerSec: number;
  /** By reason; those that have occurred. */
  readonly dropped: Readonly<Record<string, number>>;
  /** Where spanning tree is run. */
  readonly spanningTree?: SpanningTreePortStatus;
  /** What the port shows, if it is a mirror. */
  readonly mirrors?: readonly MirrorSource[];
}

/** A switch, as plain data. */
export interface SwitchStatus {
  readonly vlanAware: boolean;
  /** Where it is run; its root port is numbered from 1. */
  readonly spanningTree?: SpanningTreeStatus;
  readonly ports: readonly SwitchPortStatus[];
  readonly stations: number;
  /** Stations that were seen at two ports in turn, and those that had to make room. */
  readonly flaps: number;
  readonly evicted: number;
}

/** A station that is known, as plain data. */
export interface SwitchStation {
  readonly vlan: number;
  readonly mac: string;
  readonly port: number;
  readonly ageMs: number;
}

/** A group that is wanted, as plain data; ports are numbered from 1. */
export interface SwitchGroup {
  readonly vlan: number;
  readonly mac: string;
  readonly ports: readonly number[];
}

/** An address that is bound to a port, as plain data. */
export interface SwitchBinding {
  readonly vlan: number;
  readonly mac: string;
  readonly address: string;
  readonly port: number;
  /** What is left of the lease; left out for one without an end. */
  readonly leaseMs?: number;
}

/** How it runs. */
export interface SwitchOfEndsOptions extends PacketSwitchOptions {
  /** Told of what happens. */
  onNote?(note: SwitchNote): void;
}

interface Opened {
  readonly port: SwitchPort;
  readonly end: OpenEnd;
  readonly text: string;
  readonly meter: RateMeter;
}

const SAMPLE_MS = 1000;

/** A switch at work. */
export class SwitchOfEnds implements AsyncDisposable {
  readonly under: PacketSwitch;
  readonly #opened = new Map<number, Opened>();
  readonly #mirrors = new Map<number, readonly MirrorSource[]>();
  readonly #onNote: (note: SwitchNote) => void;
  /** It keeps the process, too: a switch runs until it is stopped. */
  readonly #timer: NodeJS.Timeout;
  #closed = false;

  constructor({ onNote = () => undefined, ...options }: SwitchOfEndsOptions) {
    this.#onNote = onNote;
    this.under = new PacketSwitch(options);
    this.#timer = setInterval(() => this.#sample(), SAMPLE_MS);
    this.under.on('portGone', ({ port, error }) => {
      void this.#closeEnd(port.id);
      this.#onNote({ event: 'port-gone', port: port.id + 1, name: port.name, ...(error && { error }) });
    });
    this.under.on('spanningTree', ({ port, role, state }) =>
      this.#onNote({ event: 'spanning-tree', port: port.id + 1, name: port.name, role, state }),
    );
    this.under.on('flapping', ({ vlan, mac, port, from }) =>
      this.#onNote({ event: 'flapping', vlan, mac: formatMac(mac), port: port + 1, from: from + 1 }),
    );
  }

  /** True when no port is left. */
  get isEmpty(): boolean {
    return this.#opened.size === 0;
  }

  /**
   * Opens an end and makes it a port. Returns its number.
   * @throws what `openEnd` and `PacketSwitch.addPort` throw; then nothing of it is left open
   */
  async add({ end: spec, name, settings, impair: impairment, shape: rates }: SwitchPortSpec): Promise<number> {
    this.#checkVlans(`add ${spec.text} to a switch`, settings);
    const isPlain = impairment === undefined && rates === undefined;
    const end = await openEnd(spec, {
      medium: 'ethernet',
      once: false,
      superPackets: isPlain && carriesSuperPackets(spec),
      onEvent: (event) => this.#onNote(event),
    });
    try {
      if (this.#closed) throw invalidArgument(`add ${spec.text} to a switch`, 'one that runs', 'one that was closed');
      const link = around(end.link, impairment, rates);
      const port = this.under.addPort(link, settings, name ?? end.label);
      this.#opened.set(port.id, { port, end, text: spec.text, meter: new RateMeter(bytesOf(port), performance.now()) });
      this.#onNote({ event: 'port-added', port: port.id + 1, name: port.name });
      return port.id + 1;
    } catch (error) {
      await end.close();
      throw error;
    }
  }

  /** Takes a port out and closes its end. @throws VNIC_INVALID_ARGUMENT when there is none of that number */
  async remove(number: number): Promise<void> {
    const { port } = this.#find(number, 'remove');
    this.under.removePort(port.id);
    await this.#closeEnd(port.id);
    this.#onNote({ event: 'port-removed', port: number, name: port.name });
  }

  /** Changes the settings that are given. @throws VNIC_INVALID_ARGUMENT */
  set(number: number, settings: SwitchPortSettings): void {
    const { port } = this.#find(number, 'set');
    this.#checkVlans(`set ${port.name}`, settings);
    this.under.setPort(port.id, settings);
  }

  /** Has a port show what others carry, numbered from 1; none ends it. @throws VNIC_INVALID_ARGUMENT */
  setMirror(number: number, from: readonly MirrorSource[]): void {
    this.#find(number, 'mirror to');
    this.under.setMirror(
      number - 1,
      from.map(({ port, direction }) => ({ port: port - 1, direction })),
    );
    if (from.length === 0) this.#mirrors.delete(number - 1);
    else this.#mirrors.set(number - 1, from);
  }

  /** As it is now. */
  status(): SwitchStatus {
    const { fdb, flaps, vlanAware } = this.under.core;
    const tree = this.under.spanningTree?.status(performance.now());
    return {
      vlanAware,
      ...(tree && {
        spanningTree: { ...tree, rootPort: tree.rootPort === undefined ? undefined : tree.rootPort + 1 },
      }),
      ports: [...this.#opened.values()].map((one) => this.#portStatus(one)).toSorted((a, b) => a.port - b.port),
      stations: this.stations().length,
      flaps,
      evicted: fdb.evicted,
    };
  }

  /** What it has learned. */
  stations(): readonly SwitchStation[] {
    return this.under
      .stations()
      .map(({ vlan, mac, port, ageMs }) => ({ vlan, mac: formatMac(mac), port: port + 1, ageMs: Math.round(ageMs) }));
  }

  /** What is wanted where; undefined where groups are not looked at. */
  groups(): readonly SwitchGroup[] | undefined {
    return this.under.snooping?.groups(performance.now()).map(({ vlan, mac, ports }) => ({
      vlan,
      mac: formatMac(mac),
      ports: ports.map((port) => port + 1),
    }));
  }

  /** Addresses that are bound; undefined where they are not looked at. */
  bindings(): readonly SwitchBinding[] | undefined {
    const nowMs = performance.now();
    return this.under.inspection?.bindings(nowMs).map(({ vlan, mac, address, port, expiresMs }) => ({
      vlan,
      mac,
      address,
      port: port + 1,
      ...(Number.isFinite(expiresMs) && { leaseMs: Math.round(expiresMs - nowMs) }),
    }));
  }

  /** Forgets what was learned at a port, or everywhere. @throws VNIC_INVALID_ARGUMENT */
  flush(number?: number): void {
    if (number === undefined) this.under.core.fdb.flush();
    else this.under.core.fdb.flush(this.#find(number, 'flush').port.id);
  }

  /** Closes all ends. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    await this.under.close();
    await Promise.all([...this.#opened.keys()].map((id) => this.#closeEnd(id)));
  }

  /** As `close()`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** VLANs would have no effect, unseen. */
  #checkVlans(attempted: string, { pvid, vlans, isTunnel }: SwitchPortSettings = {}): void {
    if (this.under.core.vlanAware || (pvid ?? vlans ?? isTunnel) === undefined) return;
    throw new VnicError('VNIC_INVALID_ARGUMENT', {
      attempted,
      reason: 'this switch does not look at VLAN tags',
      hint: 'Start it with --access, --trunk or --vlan-protocol 802.1Q.',
    });
  }

  #find(number: number, verb: string): Opened {
    const found = this.#opened.get(number - 1);
    if (found !== undefined) return found;
    const numbers = [...this.#opened.keys()].map((id) => id + 1).toSorted((a, b) => a - b);
    throw invalidArgument(`${verb} a port`, `one of ${numbers.join(', ')}`, number);
  }

  async #closeEnd(id: number): Promise<void> {
    const found = this.#opened.get(id);
    this.#opened.delete(id);
    this.#mirrors.delete(id);
    await found?.end.close();
    await found?.port.link.close();
  }

  #sample(): void {
    for (const { meter, port } of this.#opened.values()) meter.sample(bytesOf(port), performance.now());
  }

  #portStatus({ port, text, meter }: Opened): SwitchPortStatus {
    const { dropped, ...counters } = port.counters;
    const [inPerSec = 0, outPerSec = 0] = meter.rates(performance.now());
    const mirrors = this.#mirrors.get(port.id);
    const tree = this.under.spanningTree?.port(port.id);
    return {
      port: port.id + 1,
      name: port.name,
      end: text,
      mtu: port.link.mtu,
      isUp: port.isUp,
      superPackets: port.link.offload,
      settings: port.settings,
      ...counters,
      bitsInPerSec: Math.round(inPerSec * 8),
      bitsOutPerSec: Math.round(outPerSec * 8),
      dropped: Object.fromEntries(Object.entries(dropped).filter(([, count]) => count > 0)),
      ...(tree && { spanningTree: tree }),
      ...(mirrors && { mirrors }),
    };
  }
}

function bytesOf({ counters }: SwitchPort): number[] {
  return [counters.bytesIn, counters.bytesOut];
}

function around(
  inner: PacketLink,
  impairment: ImpairmentSettings | undefined,
  rates: ShapeSettings | undefined,
): PacketLink {
  const impaired = impairment === undefined ? inner : impair(inner, { toLink: impairment, fromLink: impairment });
  return rates === undefined ? impaired : shape(impaired, { toLink: rates, fromLink: rates });
}
