/**
 * What a switch does with a frame: learn its source, and say by which ports it leaves (IEEE 802.1D section 7, 802.1Q section 8). Pure;
 * works on bytes and numbers, and allocates nothing.
 *
 *   tags       Without `vlanAware` a frame passes as it is, whatever its tags, as of a kernel bridge without VLAN filtering. With it,
 *              a frame without a tag, or with a priority tag, is of the VLAN of its port (`pvid`), and one with a tag of VLAN
 *              is let in where the port has it; it leaves with a tag, but where it is the port's own VLAN. Only tags of
 *              `vlanProtocol` count, so that those of customers are payload for a provider.
 *   reserved   01:80:c2:00:00:01 to :0f is for the neighbour alone (802.1Q table 8-1; between providers table 8-2). :00 is for spanning tree,
 *              and passes as long as none is run here: others may look for loops with it.
 *   state      Spanning tree lets a port neither learn nor forward, learn alone, or both.
 */

import { ForwardingDatabase, NO_PORT } from './forwarding-database.ts';
import type { SwitchCoreOptions, SwitchDropReason, SwitchPortSettings } from './switch-settings.ts';

/** What spanning tree lets a port do (802.1D-2004 section 17.5). */
export type SwitchPortState = 'discarding' | 'learning' | 'forwarding';

/** What becomes of a frame: undefined when it leaves by `targets`; `bpdu` when it is for spanning tree. */
export type SwitchVerdict = SwitchDropReason | 'bpdu' | undefined;

/** Whether a frame has a tag of its VLAN: none, one that says nothing but its priority, or one. */
export const TagForm = { none: 0, priority: 1, tagged: 2 } as const;

/** Who says where groups are wanted. */
export interface GroupSelector {
  /** Hot. By which ports a frame to a group leaves; undefined for all. `at` is the Ethernet header, `l3At` behind it and its tags. */
  select(
    port: number,
    vlan: number,
    bytes: Uint8Array,
    at: number,
    l3At: number,
    end: number,
    nowMs: number,
  ): ReadonlySet<number> | undefined;
}

/** Who looks at what is said of addresses. */
export interface AddressInspector {
  /** Hot. Why a frame does not pass, or undefined; places as of `GroupSelector`. */
  inspect(
    port: number,
    trust: 'trusted' | 'untrusted',
    vlan: number,
    bytes: Uint8Array,
    at: number,
    l3At: number,
    end: number,
    nowMs: number,
  ): SwitchDropReason | undefined;
}

interface Port {
  settings: SwitchPortSettings;
  pvid: number;
  /** A bit a VLAN. */
  vlans: Uint32Array;
  tokens: number;
  refilledMs: number;
  learns: boolean;
  forwards: boolean;
  isMirror: boolean;
}

const HEADER_LEN = 14;
const TAG_LEN = 4;
const DEFAULT_MAX_PORTS = 256;
const MAX_VLAN = 4094;
const MAX_TAGS = 8;
/** Last octet of the group of MAC control (802.3 annex 31B). */
const PAUSE = 1;
/** Bit n: 01:80:c2:00:00:0n passes between providers. */
const PROVIDER_PASSES = 0xb801;

/** The decisions of one switch. */
export class SwitchCore {
  readonly fdb: ForwardingDatabase;
  readonly vlanAware: boolean;
  /** EtherType of the tags that count. */
  readonly tagProtocol: number;
  /** After `forward`: the ports that the frame leaves by. */
  readonly targets: Int32Array;
  targetCount = 0;
  /** After `forward`: the VLAN of the frame, 0 without `vlanAware`; and a value of `TagForm`. */
  vlan = 0;
  tagForm: number = TagForm.none;
  /** Stations that were seen at two ports in turn. */
  flaps = 0;
  readonly #ports: (Port | undefined)[] = [];
  readonly #isHub: boolean;
  readonly #passes: number;
  #takesBpdus = false;
  #groups: GroupSelector | undefined;
  #addresses: AddressInspector | undefined;

  constructor(options: SwitchCoreOptions = {}) {
    const { maxPorts = DEFAULT_MAX_PORTS, vlanAware = false, vlanProtocol = '802.1Q', isHub = false, ...fdb } = options;
    this.fdb = new ForwardingDatabase(fdb);
    this.targets = new Int32Array(maxPorts);
    this.vlanAware = vlanAware;
    this.tagProtocol = vlanProtocol === '802.1ad' ? 0x88a8 : 0x8100;
    this.#passes = vlanProtocol === '802.1ad' ? PROVIDER_PASSES : 0x0001;
    this.#isHub = isHub;
  }

  /** BPDUs are for a spanning tree here, and do not pass. */
  takeBpdus(): void {
    this.#takesBpdus = true;
  }

  /** Who says where groups are wanted. */
  useGroups(selector: GroupSelector): void {
    this.#groups = selector;
  }

  /** Who looks at what is said of addresses. */
  useAddresses(inspector: AddressInspector): void {
    this.#addresses = inspector;
  }

  /** Adds a port that forwards; returns its number, the least that is free, or -1 when there are `maxPorts`. */
  addPort(settings: SwitchPortSettings = {}): number {
    const free = this.#ports.indexOf(undefined);
    const id = free < 0 ? this.#ports.length : free;
    if (id >= this.targets.length) return -1;
    this.#ports[id] = {
      settings,
      pvid: settings.pvid ?? 1,
      vlans: vlansOf(settings),
      tokens: settings.stormPacketsPerSec ?? 0,
      refilledMs: 0,
      learns: true,
      forwards: true,
      isMirror: false,
    };
    return id;
  }

  /** Gives a port other settings. What was learned there is forgotten when its VLANs change. */
  setPort(id: number, settings: SwitchPortSettings): void {
    const port = this.#ports[id];
    if (port === undefined) return;
    const vlans = vlansOf(settings);
    const pvid = settings.pvid ?? 1;
    const isSame = pvid === port.pvid && vlans.every((word, i) => word === port.vlans[i]);
    if (!isSame) this.fdb.flush(id);
    port.tokens = Math.min(port.tokens, settings.stormPacketsPerSec ?? 0);
    Object.assign(port, { settings, pvid, vlans });
  }

  /** Takes a port out, with the stations that were learned there. */
  removePort(id: number): void {
    this.#ports[id] = undefined;
    this.fdb.flush(id);
  }

  /** What spanning tree lets it do. */
  setPortState(id: number, state: SwitchPortState): void {
    const port = this.#ports[id];
    if (port === undefined) return;
    port.learns = state !== 'discarding';
    port.forwards = state === 'forwarding';
  }

  /** A port that shows what others carry takes no part in anything else. */
  setMirror(id: number, isMirror: boolean): void {
    const port = this.#ports[id];
    if (port === undefined || port.isMirror === isMirror) return;
    port.isMirror = isMirror;
    this.fdb.flush(id);
  }

  /** True when a frame of this VLAN, 0 without VLANs, may leave by a port. */
  carries(port: number, vlan: number): boolean {
    const found = this.#ports[port];
    if (found === undefined || !found.forwards || found.isMirror) return false;
    return !this.vlanAware || hasVlan(found.vlans, vlan);
  }

  /** Hot. True when a frame of this VLAN leaves by a port with a tag. */
  leavesTagged(port: number, vlan: number): boolean {
    return this.vlanAware && this.#ports[port]?.pvid !== vlan;
  }

  /** Hot. Learns from a frame that came by a port and fills `targets`; or says why it does not pass. */
  forward(port: number, bytes: Uint8Array, at: number, length: number, nowMs: number): SwitchVerdict {
    this.targetCount = 0;
    const ingress = this.#ports[port];
    if (ingress === undefined || length < HEADER_LEN) return 'runt';
    if (((bytes[at + 6] as number) & 1) === 1) return 'bad-source';
    if (ingress.isMirror) return 'mirror';
    const own = this.#ownVerdict(bytes, at);
    if (own === 'pause') return 'reserved';
    if (!ingress.learns) return own ?? 'blocked';
    if (!this.#classify(ingress, bytes, at, length)) return own ?? 'vlan';
    const refused = this.#inspect(port, ingress, bytes, at, length, nowMs);
    if (refused !== undefined) return refused;
    if (!this.#isHub && this.fdb.learn(this.vlan, bytes, at + 6, port, nowMs) === 'flapping') this.flaps++;
    if (own !== undefined) return own;
    if (!ingress.forwards) return 'blocked';
    const isGroup = ((bytes[at] as number) & 1) === 1;
    const known = isGroup || this.#isHub ? NO_PORT : this.fdb.find(this.vlan, bytes, at, nowMs);
    if (known === port) return 'same-port';
    if (known !== NO_PORT) {
      if (!this.#reaches(ingress, known)) return 'no-port';
      this.targets[this.targetCount++] = known;
      return undefined;
    }
    return this.#flood(port, ingress, this.#wanted(port, bytes, at, length, nowMs), nowMs);
  }

  /** Hot. What becomes of a frame to a group of bridges, undefined for one that passes. But for pauses its sender is learned all the same. */
  #ownVerdict(bytes: Uint8Array, at: number): 'bpdu' | 'reserved' | 'pause' | undefined {
    if (!isForBridges(bytes, at)) return undefined;
    const last = bytes[at + 5] as number;
    // Of the hardware below, and never seen by a bridge.
    if (last === PAUSE) return 'pause';
    if (last === 0 && this.#takesBpdus) return 'bpdu';
    return ((this.#passes >>> last) & 1) === 0 ? 'reserved' : undefined;
  }

  /** Hot. */
  #flood(
    port: number,
    ingress: Port,
    wanted: ReadonlySet<number> | undefined,
    nowMs: number,
  ): SwitchDropReason | undefined {
    if (!this.#takeToken(ingress, nowMs)) return 'storm';
    for (let id = 0; id < this.#ports.length; id++) {
      if (id === port || (wanted !== undefined && !wanted.has(id)) || !this.#reaches(ingress, id)) continue;
      this.targets[this.targetCount++] = id;
    }
    if (this.targetCount > 0) return undefined;
    return wanted === undefined ? 'no-port' : 'no-member';
  }

  /** Hot. */
  #inspect(
    port: number,
    { settings }: Port,
    bytes: Uint8Array,
    at: number,
    length: number,
    nowMs: number,
  ): SwitchDropReason | undefined {
    const addresses = this.#addresses;
    if (addresses === undefined) return undefined;
    const end = at + length;
    const l3At = behindTags(bytes, at, end);
    const trust = settings.isTrusted ? 'trusted' : 'untrusted';
    return l3At < end ? addresses.inspect(port, trust, this.vlan, bytes, at, l3At, end, nowMs) : undefined;
  }

  /** Hot. */
  #wanted(port: number, bytes: Uint8Array, at: number, length: number, nowMs: number): ReadonlySet<number> | undefined {
    const groups = this.#groups;
    if (groups === undefined || this.#isHub || ((bytes[at] as number) & 1) === 0) return undefined;
    const end = at + length;
    const l3At = behindTags(bytes, at, end);
    return l3At < end ? groups.select(port, this.vlan, bytes, at, l3At, end, nowMs) : undefined;
  }

  /** Hot. */
  #classify({ pvid, vlans, settings }: Port, bytes: Uint8Array, at: number, length: number): boolean {
    this.vlan = 0;
    this.tagForm = TagForm.none;
    if (!this.vlanAware) return true;
    this.vlan = pvid;
    if (this.#hasTag(bytes, at, length) && !settings.isTunnel) {
      const vlan = (((bytes[at + 14] as number) & 0x0f) << 8) | (bytes[at + 15] as number);
      this.tagForm = vlan === 0 ? TagForm.priority : TagForm.tagged;
      if (vlan !== 0) this.vlan = vlan;
    }
    return this.vlan <= MAX_VLAN && hasVlan(vlans, this.vlan);
  }

  /** Hot. */
  #hasTag(bytes: Uint8Array, at: number, length: number): boolean {
    const { tagProtocol } = this;
    return (
      bytes[at + 12] === tagProtocol >> 8 && bytes[at + 13] === (tagProtocol & 0xff) && length >= HEADER_LEN + TAG_LEN
    );
  }

  /** Hot. */
  #reaches(ingress: Port, id: number): boolean {
    const egress = this.#ports[id];
    if (egress === undefined || !egress.forwards || egress.isMirror) return false;
    if (ingress.settings.isIsolated && egress.settings.isIsolated) return false;
    return !this.vlanAware || hasVlan(egress.vlans, this.vlan);
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

/** Hot. Where the Ethernet header and its tags end. */
function behindTags(bytes: Uint8Array, at: number, end: number): number {
  let l3At = at + HEADER_LEN;
  for (let tags = 0; tags < MAX_TAGS && isTag(bytes, l3At - 2) && l3At + TAG_LEN <= end; tags++) l3At += TAG_LEN;
  return l3At;
}

/** 0x8100 or 0x88a8. */
function isTag(bytes: Uint8Array, at: number): boolean {
  return (bytes[at] === 0x81 && bytes[at + 1] === 0) || (bytes[at] === 0x88 && bytes[at + 1] === 0xa8);
}

/** 01:80:c2:00:00:00 to :0f. */
function isForBridges(bytes: Uint8Array, at: number): boolean {
  return (
    bytes[at] === 0x01 &&
    bytes[at + 1] === 0x80 &&
    bytes[at + 2] === 0xc2 &&
    bytes[at + 3] === 0 &&
    bytes[at + 4] === 0 &&
    ((bytes[at + 5] as number) & 0xf0) === 0
  );
}

function vlansOf({ pvid = 1, vlans: list = [] }: SwitchPortSettings): Uint32Array {
  const vlans = new Uint32Array(4096 / 32);
  if (list === 'all') vlans.fill(0xffff_ffff);
  else for (const vlan of list) addVlan(vlans, vlan);
  addVlan(vlans, pvid);
  return vlans;
}

function addVlan(vlans: Uint32Array, vlan: number): void {
  vlans[vlan >>> 5] = ((vlans[vlan >>> 5] as number) | (1 << (vlan & 31))) >>> 0;
}

function hasVlan(vlans: Uint32Array, vlan: number): boolean {
  return (((vlans[vlan >>> 5] as number) >>> (vlan & 31)) & 1) === 1;
}
