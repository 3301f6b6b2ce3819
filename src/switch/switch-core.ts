/**
 * What a switch does with a frame: learn its source, and say by which ports it leaves (IEEE 802.1D section 7, 802.1Q section 8). Pure;
 * works on bytes and numbers, and allocates nothing.
 *
 *   tags       Without `vlanAware` a frame passes as it is, whatever its tags, as of a kernel bridge without VLAN filtering. With it,
 *              a frame without a tag, or with a priority tag, is of the VLAN of its port (`pvid`), and one with a tag of VLAN
 *              is let in where the port has it; it leaves with a tag, but where it is the port's own VLAN.
 *   reserved   01:80:c2:00:00:01 to :0f is for the neighbour alone (802.1Q table 8-1). :00 passes, as long as no spanning tree is
 *              run here: others may look for loops with it.
 */

import { ForwardingDatabase, type ForwardingDatabaseOptions, NO_PORT } from './forwarding-database.ts';

/** How a port is. */
export interface SwitchPortSettings {
  /** VLAN of frames without a tag, 1 to 4094; default 1. With `vlanAware`. */
  readonly pvid?: number;
  /** Further VLANs, whose frames have a tag, or all. Default none. */
  readonly vlans?: readonly number[] | 'all';
  /** Frames do not go from one isolated port to another; default false. */
  readonly isIsolated?: boolean;
  /** Frames for many, or for a station that is not known, that are let in a second; default all. */
  readonly stormPacketsPerSec?: number;
}

/** How a switch is. */
export interface SwitchCoreOptions extends ForwardingDatabaseOptions {
  /** Ports at most, 1 to 4096; default 256. */
  readonly maxPorts?: number;
  /** Default false. */
  readonly vlanAware?: boolean;
  /** Learns nothing: every frame leaves by every other port. Default false. */
  readonly isHub?: boolean;
}

/** Why a frame does not pass. */
export type SwitchDropReason =
  /** Shorter than its header. */
  | 'runt'
  /** A source address of a group. */
  | 'bad-source'
  /** A group address for the neighbour alone. */
  | 'reserved'
  /** Of a VLAN that the port does not have. */
  | 'vlan'
  /** More for many than the port may send. */
  | 'storm'
  /** Its station is at the port that it came by. */
  | 'same-port'
  /** No other port has it, or may have it. */
  | 'no-port';

interface Port {
  readonly settings: SwitchPortSettings;
  readonly pvid: number;
  /** A bit a VLAN. */
  readonly vlans: Uint32Array;
  tokens: number;
  refilledMs: number;
}

const HEADER_LEN = 14;
const TAG_LEN = 4;
const DEFAULT_MAX_PORTS = 256;
const MAX_VLAN = 4094;

/** The decisions of one switch. */
export class SwitchCore {
  readonly fdb: ForwardingDatabase;
  /** After `forward`: the ports that the frame leaves by. */
  readonly targets: Int32Array;
  targetCount = 0;
  /** After `forward`: the VLAN of the frame, 0 without `vlanAware`; and whether it has a tag of it. */
  vlan = 0;
  isTagged = false;
  /** Stations that were seen at two ports in turn. */
  flaps = 0;
  readonly #ports: (Port | undefined)[] = [];
  readonly #vlanAware: boolean;
  readonly #isHub: boolean;

  constructor({ maxPorts = DEFAULT_MAX_PORTS, vlanAware = false, isHub = false, ...fdb }: SwitchCoreOptions = {}) {
    this.fdb = new ForwardingDatabase(fdb);
    this.targets = new Int32Array(maxPorts);
    this.#vlanAware = vlanAware;
    this.#isHub = isHub;
  }

  /** Adds a port; returns its number, the least that is free, or -1 when there are `maxPorts`. */
  addPort(settings: SwitchPortSettings = {}): number {
    const free = this.#ports.indexOf(undefined);
    const id = free < 0 ? this.#ports.length : free;
    if (id >= this.targets.length) return -1;
    const pvid = settings.pvid ?? 1;
    const vlans = new Uint32Array(4096 / 32);
    if (settings.vlans === 'all') vlans.fill(0xffff_ffff);
    else for (const vlan of settings.vlans ?? []) addVlan(vlans, vlan);
    addVlan(vlans, pvid);
    this.#ports[id] = { settings, pvid, vlans, tokens: settings.stormPacketsPerSec ?? 0, refilledMs: 0 };
    return id;
  }

  /** Takes a port out, with the stations that were learned there. */
  removePort(id: number): void {
    this.#ports[id] = undefined;
    this.fdb.flush(id);
  }

  /** True when a frame of this VLAN leaves by a port without a tag. */
  leavesUntagged(port: number, vlan: number): boolean {
    return this.#ports[port]?.pvid === vlan;
  }

  /** Hot. Learns from a frame that came by a port and fills `targets`; or says why it does not pass. */
  forward(port: number, bytes: Uint8Array, at: number, length: number, nowMs: number): SwitchDropReason | undefined {
    this.targetCount = 0;
    const ingress = this.#ports[port];
    if (ingress === undefined || length < HEADER_LEN) return 'runt';
    if (((bytes[at + 6] as number) & 1) === 1) return 'bad-source';
    if (isReserved(bytes, at)) return 'reserved';
    if (!this.#classify(ingress, bytes, at, length)) return 'vlan';
    if (!this.#isHub && this.fdb.learn(this.vlan, bytes, at + 6, port, nowMs) === 'flapping') this.flaps++;
    const isGroup = ((bytes[at] as number) & 1) === 1;
    const known = isGroup || this.#isHub ? NO_PORT : this.fdb.find(this.vlan, bytes, at, nowMs);
    if (known === port) return 'same-port';
    if (known !== NO_PORT) {
      if (!this.#reaches(ingress, known)) return 'no-port';
      this.targets[this.targetCount++] = known;
      return undefined;
    }
    if (!this.#takeToken(ingress, nowMs)) return 'storm';
    for (let id = 0; id < this.#ports.length; id++) {
      if (id !== port && this.#reaches(ingress, id)) this.targets[this.targetCount++] = id;
    }
    return this.targetCount === 0 ? 'no-port' : undefined;
  }

  /** Hot. */
  #classify({ pvid, vlans }: Port, bytes: Uint8Array, at: number, length: number): boolean {
    this.vlan = 0;
    this.isTagged = false;
    if (!this.#vlanAware) return true;
    const hasTag = bytes[at + 12] === 0x81 && bytes[at + 13] === 0x00 && length >= HEADER_LEN + TAG_LEN;
    const vlan = hasTag ? (((bytes[at + 14] as number) & 0x0f) << 8) | (bytes[at + 15] as number) : 0;
    this.isTagged = hasTag;
    this.vlan = vlan === 0 ? pvid : vlan;
    return this.vlan <= MAX_VLAN && hasVlan(vlans, this.vlan);
  }

  /** Hot. */
  #reaches(ingress: Port, id: number): boolean {
    const egress = this.#ports[id];
    if (egress === undefined || (ingress.settings.isIsolated && egress.settings.isIsolated)) return false;
    return !this.#vlanAware || hasVlan(egress.vlans, this.vlan);
  }

  /** Hot. A bucket of a second's worth. */
  #takeToken(port: Port, nowMs: number): boolean {
    const rate = port.settings.stormPacketsPerSec;
    if (rate === undefined) return true;
    port.tokens = Math.min(rate, port.tokens + ((nowMs - port.refilledMs) * rate) / 1000);
    port.refilledMs = nowMs;
    if (port.tokens < 1) return false;
    port.tokens--;
    return true;
  }
}

function isReserved(bytes: Uint8Array, at: number): boolean {
  return (
    bytes[at] === 0x01 &&
    bytes[at + 1] === 0x80 &&
    bytes[at + 2] === 0xc2 &&
    bytes[at + 3] === 0 &&
    bytes[at + 4] === 0 &&
    ((bytes[at + 5] as number) & 0xf0) === 0 &&
    bytes[at + 5] !== 0
  );
}

function addVlan(vlans: Uint32Array, vlan: number): void {
  vlans[vlan >>> 5] = ((vlans[vlan >>> 5] as number) | (1 << (vlan & 31))) >>> 0;
}

function hasVlan(vlans: Uint32Array, vlan: number): boolean {
  return (((vlans[vlan >>> 5] as number) >>> (vlan & 31)) & 1) === 1;
}
