/**
 * A switch of packet links: what comes from one leaves by others, as `SwitchCore` says.
 *
 * Theory of operation
 *
 *   runs      Neighbours in a batch that leave by the same one port are written together, unchanged and uncopied. Frames for
 *             several ports, or whose tag has to go or come, are written one by one; the latter from a copy.
 *   super     Between links that carry super-packets these pass as they are. For a port that carries none they are cut up,
 *             and what comes from such a port is put together.
 *   no waits  A port that takes nothing loses its own frames (`queue-full`) and nobody else's. Nothing is queued here beside what
 *             the links themselves hold.
 *   ports     come, go and change while it runs. One whose link ends is taken out, and what was learned there forgotten, as where
 *             a link is down for a while.
 *   tree      Rapid spanning tree decides which ports forward; its BPDUs neither pass nor are learned from. A port that is new forwards
 *             once it has its role.
 *   mirror    A port shows what others carry, as they carry it, and takes no part in anything else.
 */

import { invalidArgument, isVnicError, Listeners } from '../base/index.ts';
import { type Clock, PacketBatch, type PacketLink, systemClock } from '../link/index.ts';
import { virtioNetHeaderLen } from '../wire/index.ts';
import { AddressInspection, type AddressInspectionOptions } from './address-inspection.ts';
import { CoreTimer } from './core-timer.ts';
import type { ForwardingEntry } from './forwarding-database.ts';
import { forgetMirror, setMirror } from './mirrors.ts';
import { MulticastSnooping, type MulticastSnoopingOptions } from './multicast-snooping.ts';
import { SpanningTree, type SpanningTreeOptions } from './spanning-tree.ts';
import { Coalescer, Splitter } from './super-packets.ts';
import { SwitchCore, TagForm } from './switch-core.ts';
import { type MirrorSource, type OwnPort, type SwitchEvents, type SwitchPort, zeroCounters } from './switch-port.ts';
import { checkPortSettings, type SwitchCoreOptions, type SwitchPortSettings } from './switch-settings.ts';
import { TagWriter } from './tag-writer.ts';

/** How a switch runs. */
export interface PacketSwitchOptions extends SwitchCoreOptions {
  /** Default `systemClock`. */
  readonly clock?: Clock;
  /** Runs rapid spanning tree; left out, BPDUs of others pass. Not with tags of providers, whose trees have another group. */
  readonly spanningTree?: Omit<SpanningTreeOptions, 'output'>;
  /** Frames to groups leave where they are wanted (IGMP and MLD snooping); left out, by all ports. */
  readonly snooping?: Omit<MulticastSnoopingOptions, 'transmit'>;
  /** DHCP snooping, and with `arp` inspection of ARP and neighbour discovery; left out, nothing of it is looked at. */
  readonly inspection?: AddressInspectionOptions;
}

/** Of a frame that leaves by several ports, or with another tag. */
const NO_RUN = -1;
const FLAP_EVENT_MS = 1000;
/** A virtio-net header and the longest frame of the switch's own. */
const CONTROL_LEN = 128;
const MIN_FRAME_LEN = 60;
const MACS_LEN = 12;

/** A switch at work. Closing it leaves the links open. */
export class PacketSwitch implements AsyncDisposable {
  readonly core: SwitchCore;
  /** Undefined where none is run. */
  readonly spanningTree: SpanningTree | undefined;
  readonly #treeTimer: CoreTimer | undefined;
  /** Undefined where groups are not looked at. */
  readonly snooping: MulticastSnooping | undefined;
  readonly #groupTimer: CoreTimer | undefined;
  /** Undefined where addresses are not looked at. */
  readonly inspection: AddressInspection | undefined;
  /** A BPDU on its way out. */
  readonly #control = new PacketBatch({ capacity: 1, bytesLen: CONTROL_LEN });
  readonly #clock: Clock;
  readonly #ports: (OwnPort | undefined)[] = [];
  readonly #events: Listeners<SwitchEvents> = new Listeners();
  readonly #tagged: TagWriter;
  readonly #untagged: TagWriter;
  #splitter: Splitter | undefined;
  #coalescer: Coalescer | undefined;
  #toldFlapMs = Number.NEGATIVE_INFINITY;
  #closed = false;

  /** @throws VNIC_INVALID_ARGUMENT for options of spanning tree out of range */
  constructor({ clock = systemClock, spanningTree, snooping, inspection, ...options }: PacketSwitchOptions = {}) {
    this.#clock = clock;
    this.core = new SwitchCore(options);
    this.spanningTree = spanningTree && this.#treeOf(spanningTree, options);
    this.#treeTimer = this.spanningTree && new CoreTimer(this.spanningTree, clock);
    this.snooping = snooping && this.#snoopingOf(snooping);
    this.#groupTimer = this.snooping && new CoreTimer(this.snooping, clock);
    this.#groupTimer?.schedule();
    this.inspection = inspection && new AddressInspection(inspection);
    if (this.inspection !== undefined) this.core.useAddresses(this.inspection);
    this.#tagged = new TagWriter(this.core.tagProtocol);
    this.#untagged = new TagWriter(this.core.tagProtocol);
  }

  /** In the order of their numbers. */
  get ports(): readonly SwitchPort[] {
    return this.#ports.flatMap((port) => port ?? []);
  }

  /** What it has learned, in no order. */
  stations(): ForwardingEntry[] {
    return [...this.core.fdb.entries(this.#clock.nowMs())];
  }

  /** Adds a handler; the returned function removes it. */
  on<Name extends keyof SwitchEvents>(event: Name, handler: (event: SwitchEvents[Name]) => void): () => void {
    return this.#events.on(event, handler);
  }

  /**
   * Makes a link a port.
   * @throws VNIC_INVALID_ARGUMENT for a link of IP packets, settings out of range, or one port too many; VNIC_READER_BUSY
   */
  addPort(link: PacketLink, settings: SwitchPortSettings = {}, name: string = link.name): SwitchPort {
    const attempted = `make ${name} a port of a switch`;
    if (link.medium !== 'ethernet') throw invalidArgument(attempted, 'a link of Ethernet frames', 'IP packets');
    checkPortSettings(settings, attempted);
    if (link.offload) this.#splitter ??= new Splitter();
    if (link.offload) this.#coalescer ??= new Coalescer();
    const id = this.#closed ? -1 : this.core.addPort(settings);
    if (id < 0)
      throw invalidArgument(attempted, `at most ${this.core.targets.length} ports of an open switch`, 'one more');
    const port = this.#newPort(id, name, link, settings);
    this.#ports[id] = port;
    this.#joinTree(port);
    this.#setGroups(port);
    try {
      this.#listen(port);
    } catch (error) {
      this.#forget(port);
      throw error;
    }
    return port;
  }

  /** Takes a port out; its link stays open. False when there is none of that number. */
  removePort(id: number): boolean {
    const port = this.#ports[id];
    if (port === undefined) return false;
    this.#forget(port);
    port.stop();
    return true;
  }

  /**
   * Changes the settings that are given, and leaves the others. False when there is no port of that number.
   * @throws VNIC_INVALID_ARGUMENT for settings out of range
   */
  setPort(id: number, settings: SwitchPortSettings): boolean {
    const port = this.#ports[id];
    if (port === undefined) return false;
    checkPortSettings(settings, `set ${port.name}`);
    port.settings = { ...port.settings, ...settings };
    this.core.setPort(id, port.settings);
    this.spanningTree?.setPort(id, port.settings, this.#clock.nowMs());
    this.#treeTimer?.schedule();
    this.#setGroups(port);
    return true;
  }

  /**
   * Has a port show what others carry; without any of them it is a port like others again.
   * @throws VNIC_INVALID_ARGUMENT when one of the ports is not there, or is shown by and shows others at once
   */
  setMirror(to: number, from: readonly MirrorSource[]): void {
    setMirror(this.#ports, to, from);
    this.core.setMirror(to, from.length > 0);
  }

  /** Takes all ports out. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#treeTimer?.close();
    this.#groupTimer?.close();
    for (const { id } of this.ports) this.removePort(id);
  }

  /** As `close()`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #newPort(id: number, name: string, link: PacketLink, settings: SwitchPortSettings): OwnPort {
    const port: OwnPort = {
      id,
      name,
      link,
      settings,
      // A link over streams knows whether it has one.
      isUp: !('isUp' in link) || link.isUp !== false,
      counters: zeroCounters(),
      prefixLen: link.offload ? virtioNetHeaderLen : 0,
      mirrorsIn: [],
      mirrorsOut: [],
      sink: (frames) => this.#write(port, frames, 0, frames.count),
      stop: () => undefined,
    };
    return port;
  }

  #listen(port: OwnPort): void {
    const { link } = port;
    const stops = [
      link.on('gone', (error) => this.#onEnd(port, error)),
      link.on('up', () => this.#setUp(port, 'up')),
      link.on('down', () => this.#setUp(port, 'down')),
    ];
    port.stop = (): void => {
      for (const stop of stops) stop();
    };
    const stopReading = link.onBatch(
      (batch) => this.#onBatch(port, batch),
      // Stopping calls this as well.
      (error) => link.closed && this.#onEnd(port, error),
    );
    stops.push(stopReading);
  }

  #onEnd(port: OwnPort, error: unknown): void {
    if (this.#ports[port.id] !== port) return;
    this.#forget(port);
    port.stop();
    this.#events.emit('portGone', { port, error: isVnicError(error) ? error : undefined });
  }

  #setUp(port: OwnPort, state: 'up' | 'down'): void {
    port.isUp = state === 'up';
    if (!port.isUp) {
      this.core.fdb.flush(port.id);
      this.snooping?.flush(port.id);
    }
    this.spanningTree?.setPortUp(port.id, state, this.#clock.nowMs());
    this.#treeTimer?.schedule();
  }

  #treeOf(options: Omit<SpanningTreeOptions, 'output'>, { vlanProtocol }: SwitchCoreOptions): SpanningTree {
    if (vlanProtocol === '802.1ad')
      throw invalidArgument('run spanning tree', 'a switch that looks at tags of 802.1Q', vlanProtocol);
    this.core.takeBpdus();
    return new SpanningTree({
      ...options,
      output: {
        transmit: (id, frame) => this.#transmit(id, frame),
        flush: (id) => {
          this.core.fdb.flush(id);
          this.snooping?.topologyChanged(this.#clock.nowMs());
          this.#groupTimer?.schedule();
        },
        changed: (id) => this.#onTreeChange(id),
      },
    });
  }

  #snoopingOf(options: Omit<MulticastSnoopingOptions, 'transmit'>): MulticastSnooping {
    const transmit: MulticastSnoopingOptions['transmit'] = (vlan, port, frame) => this.#query(vlan, port, frame);
    const snooping = new MulticastSnooping({ ...options, transmit }, this.#clock.nowMs());
    this.core.useGroups(snooping);
    return snooping;
  }

  /** A query by the ports of a VLAN, or by one of them, with the tag that it wants. */
  #query(vlan: number, only: number | 'all', frame: Uint8Array): void {
    for (const { id } of this.ports) {
      if ((only !== 'all' && only !== id) || !this.core.carries(id, vlan)) continue;
      const tci = this.core.leavesTagged(id, vlan) ? tagOf(this.core.tagProtocol, vlan) : [];
      this.#transmit(id, Uint8Array.of(...frame.subarray(0, MACS_LEN), ...tci, ...frame.subarray(MACS_LEN)));
    }
  }

  #setGroups({ id, settings }: OwnPort): void {
    this.snooping?.setRouter(id, settings.isMulticastRouter ? 'router' : 'host');
    this.snooping?.setFastLeave(id, settings.fastLeave ? 'fast' : 'asked');
  }

  #joinTree(port: OwnPort): void {
    if (this.spanningTree === undefined) return;
    this.core.setPortState(port.id, 'discarding');
    this.spanningTree.addPort(port.id, port.settings, this.#clock.nowMs());
    if (!port.isUp) this.spanningTree.setPortUp(port.id, 'down', this.#clock.nowMs());
    this.#treeTimer?.schedule();
  }

  /** A frame of the switch's own, with room for what a port wants before it. */
  #transmit(id: number, frame: Uint8Array): void {
    const port = this.#ports[id];
    if (port === undefined) return;
    const batch = this.#control;
    batch.clear();
    const length = port.prefixLen + Math.max(MIN_FRAME_LEN, frame.length);
    const at = batch.reserve(length);
    batch.bytes.fill(0, at, at + length);
    batch.bytes.set(frame, at + port.prefixLen);
    this.#write(port, batch, 0, 1);
  }

  #onTreeChange(id: number): void {
    const status = this.spanningTree?.port(id);
    const port = this.#ports[id];
    if (status === undefined || port === undefined) return;
    this.core.setPortState(id, status.state);
    const { role, state } = status;
    if (port.treeRole === role && port.treeState === state) return;
    port.treeRole = role;
    port.treeState = state;
    this.#events.emit('spanningTree', { port, role, state });
  }

  #forget(port: OwnPort): void {
    this.#ports[port.id] = undefined;
    this.core.removePort(port.id);
    this.snooping?.removePort(port.id);
    this.inspection?.removePort(port.id);
    this.spanningTree?.removePort(port.id, this.#clock.nowMs());
    this.#treeTimer?.schedule();
    forgetMirror(this.#ports, port);
  }

  /** Hot. */
  #onBatch(port: OwnPort, batch: PacketBatch): void {
    const { core } = this;
    const { counters, prefixLen } = port;
    const flaps = core.flaps;
    const nowMs = this.#clock.nowMs();
    for (const mirror of port.mirrorsIn) this.#send(mirror, prefixLen, batch, 0, batch.count);
    let start = 0;
    let current = NO_RUN;
    for (let i = 0; i < batch.count; i++) {
      if (batch.length(i) === 0) continue;
      const length = batch.length(i) - prefixLen;
      counters.framesIn++;
      counters.bytesIn += length;
      const verdict = core.forward(port.id, batch.bytes, batch.offset(i) + prefixLen, length, nowMs);
      const target = verdict === undefined ? this.#runTarget() : NO_RUN;
      if (target !== current) {
        this.#sendRun(current, prefixLen, batch, start, i);
        start = i;
        current = target;
      }
      if (verdict === undefined) {
        if (target === NO_RUN) this.#sendEach(prefixLen, batch, i);
      } else if (verdict === 'bpdu') this.#onBpdu(port, batch.bytes, batch.offset(i) + prefixLen, length, nowMs);
      else counters.dropped[verdict]++;
    }
    this.#sendRun(current, prefixLen, batch, start, batch.count);
    if (core.flaps !== flaps) this.#tellFlap(port, nowMs);
    this.#groupTimer?.schedule();
  }

  #onBpdu(port: OwnPort, bytes: Uint8Array, at: number, length: number, nowMs: number): void {
    this.spanningTree?.receive(port.id, bytes, at, length, nowMs);
    this.#treeTimer?.schedule();
  }

  /** Hot. The one port that gets the frame as it is, or `NO_RUN`. */
  #runTarget(): number {
    const { core } = this;
    const target = core.targets[0] as number;
    return core.targetCount === 1 && this.#tagOf(target) === 'same' ? target : NO_RUN;
  }

  /** Hot. What becomes of the tag of the frame at a port. */
  #tagOf(target: number): 'same' | 'tagged' | 'untagged' {
    const { core } = this;
    if (core.leavesTagged(target, core.vlan)) return core.tagForm === TagForm.tagged ? 'same' : 'tagged';
    return core.tagForm === TagForm.none ? 'same' : 'untagged';
  }

  /** Hot. */
  #sendRun(target: number, prefixLen: number, batch: PacketBatch, start: number, end: number): void {
    const port = target === NO_RUN ? undefined : this.#ports[target];
    if (port !== undefined && end > start) this.#send(port, prefixLen, batch, start, end);
  }

  /** To each target, with the tag that it wants. */
  #sendEach(prefixLen: number, batch: PacketBatch, index: number): void {
    const { core } = this;
    let tagged: PacketBatch | undefined;
    let untagged: PacketBatch | undefined;
    for (let i = 0; i < core.targetCount; i++) {
      const port = this.#ports[core.targets[i] as number];
      if (port === undefined) continue;
      const tag = this.#tagOf(port.id);
      if (tag === 'same') this.#send(port, prefixLen, batch, index, index + 1);
      else if (tag === 'tagged') {
        tagged ??= this.#copyOf(this.#tagged, batch, index, prefixLen, core.vlan);
        this.#send(port, prefixLen, tagged, 0, tagged.count);
      } else {
        untagged ??= this.#copyOf(this.#untagged, batch, index, prefixLen, 0);
        this.#send(port, prefixLen, untagged, 0, untagged.count);
      }
    }
  }

  /** Empty when the frame is too long for a tag. */
  #copyOf(writer: TagWriter, batch: PacketBatch, index: number, prefixLen: number, vlan: number): PacketBatch {
    writer.write(batch, index, prefixLen, this.core.tagForm, vlan);
    return writer.batch;
  }

  /** Hot. Frames as they came from a port with this header before them. */
  #send(port: OwnPort, prefixLen: number, batch: PacketBatch, start: number, end: number): void {
    if (port.prefixLen === prefixLen) this.#write(port, batch, start, end);
    else if (prefixLen === 0) this.#coalescer?.coalesce(batch, start, end, port.sink);
    else port.counters.dropped.malformed += this.#splitter?.split(batch, start, end, port.sink) ?? 0;
  }

  /** Hot. What is not taken is lost: nobody waits for a port. */
  #write(port: OwnPort, batch: PacketBatch, start: number, end: number): void {
    const { link, counters, prefixLen } = port;
    if (link.closed) return;
    try {
      const taken = start + link.write(batch, start, end);
      for (let i = start; i < end; i++) {
        const length = batch.length(i);
        if (length === 0) continue;
        if (i >= taken) counters.dropped['queue-full']++;
        else {
          counters.framesOut++;
          counters.bytesOut += length - prefixLen;
        }
      }
    } catch (error) {
      // Its reader is told as well.
      if (!isVnicError(error, 'VNIC_DEVICE_GONE') && !isVnicError(error, 'VNIC_LINK_CLOSED')) throw error;
    }
    for (const mirror of port.mirrorsOut) this.#send(mirror, prefixLen, batch, start, end);
  }

  #tellFlap(port: OwnPort, nowMs: number): void {
    if (nowMs - this.#toldFlapMs < FLAP_EVENT_MS) return;
    this.#toldFlapMs = nowMs;
    const { vlan, mac, from } = this.core.fdb.lastMove();
    this.#events.emit('flapping', { vlan, mac, port: port.id, from });
  }
}

function tagOf(protocol: number, vlan: number): number[] {
  return [protocol >> 8, protocol & 0xff, vlan >> 8, vlan & 0xff];
}
