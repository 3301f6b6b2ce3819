/**
 * A switch of packet links: what comes from one leaves by others, as `SwitchCore` says.
 *
 * Theory of operation
 *
 *   runs      Neighbours in a batch that leave by the same one port are written together, unchanged and uncopied. Frames for
 *             several ports, or whose tag has to go or come, are written one by one; the latter from a copy.
 *   no waits  A port that takes nothing loses its own frames (`queue-full`) and nobody else's. Nothing is queued here beside what
 *             the links themselves hold.
 *   ports     come and go while it runs. One whose link ends is taken out, and what was learned there forgotten.
 */

import { invalidArgument, isVnicError, Listeners, type VnicError } from '../base/index.ts';
import { PacketBatch, type PacketLink } from '../link/index.ts';
import { SwitchCore, type SwitchCoreOptions, type SwitchDropReason, type SwitchPortSettings } from './switch-core.ts';

/** How a switch runs. */
export interface PacketSwitchOptions extends SwitchCoreOptions {
  /** Milliseconds of a clock that does not go back. */
  nowMs(): number;
}

/** Totals of a port. */
export interface SwitchPortCounters {
  /** Frames and bytes that came by it. */
  readonly framesIn: number;
  readonly bytesIn: number;
  /** Frames and bytes that its link has taken. */
  readonly framesOut: number;
  readonly bytesOut: number;
  /** Of those that came by it, the ones that did not pass; `queue-full`, of those that were to leave by it. */
  readonly dropped: Readonly<Record<SwitchDropReason | 'queue-full', number>>;
}

/** A port of a running switch. */
export interface SwitchPort {
  readonly id: number;
  readonly name: string;
  readonly link: PacketLink;
  readonly settings: SwitchPortSettings;
  readonly counters: SwitchPortCounters;
}

/** What happens to a switch. */
export interface SwitchEvents {
  /** A port's link has ended; undefined when it was closed. */
  portGone: { readonly port: SwitchPort; readonly error: VnicError | undefined };
}

type MutablePortCounters = { -readonly [Key in keyof SwitchPortCounters]: SwitchPortCounters[Key] } & {
  dropped: Record<SwitchDropReason | 'queue-full', number>;
};

interface OwnPort extends SwitchPort {
  readonly counters: MutablePortCounters;
  stop(): void;
}

const MACS_LEN = 12;
const TAG_LEN = 4;
const COPY_LEN = 66_000;

/** A switch at work. Closing it leaves the links open. */
export class PacketSwitch implements AsyncDisposable {
  readonly core: SwitchCore;
  readonly #nowMs: () => number;
  readonly #ports: (OwnPort | undefined)[] = [];
  readonly #events: Listeners<SwitchEvents> = new Listeners();
  /** A frame with a tag more or less. */
  readonly #copy = new PacketBatch({ capacity: 1, bytesLen: COPY_LEN });
  #closed = false;

  constructor({ nowMs, ...options }: PacketSwitchOptions) {
    this.#nowMs = nowMs;
    this.core = new SwitchCore(options);
  }

  /** In the order of their numbers. */
  get ports(): readonly SwitchPort[] {
    return this.#ports.flatMap((port) => port ?? []);
  }

  /** Adds a handler; the returned function removes it. */
  on<Name extends keyof SwitchEvents>(event: Name, handler: (event: SwitchEvents[Name]) => void): () => void {
    return this.#events.on(event, handler);
  }

  /**
   * Makes a link a port.
   * @throws VNIC_INVALID_ARGUMENT for a link of IP packets, one that carries super-packets, or one port too many; VNIC_READER_BUSY
   */
  addPort(link: PacketLink, settings: SwitchPortSettings = {}, name: string = link.name): SwitchPort {
    const attempted = `make ${name} a port of a switch`;
    if (link.medium !== 'ethernet') throw invalidArgument(attempted, 'a link of Ethernet frames', 'IP packets');
    if (link.offload) throw invalidArgument(attempted, 'a link without super-packets', 'one with them');
    const id = this.#closed ? -1 : this.core.addPort(settings);
    if (id < 0)
      throw invalidArgument(attempted, `at most ${this.core.targets.length} ports of an open switch`, 'one more');
    const port: OwnPort = { id, name, link, settings, counters: zeroCounters(), stop: () => undefined };
    this.#ports[id] = port;
    try {
      const stopReading = link.onBatch(
        (batch) => this.#onBatch(port, batch),
        // Stopping calls this as well.
        (error) => link.closed && this.#onEnd(port, error),
      );
      const stopListening = link.on('gone', (error) => this.#onEnd(port, error));
      port.stop = (): void => {
        stopListening();
        stopReading();
      };
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

  /** Takes all ports out. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const { id } of this.ports) this.removePort(id);
  }

  /** As `close()`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #onEnd(port: OwnPort, error: unknown): void {
    if (this.#ports[port.id] !== port) return;
    this.#forget(port);
    port.stop();
    this.#events.emit('portGone', { port, error: isVnicError(error) ? error : undefined });
  }

  #forget(port: OwnPort): void {
    this.#ports[port.id] = undefined;
    this.core.removePort(port.id);
  }

  /** Hot. */
  #onBatch(port: OwnPort, batch: PacketBatch): void {
    const { core } = this;
    const nowMs = this.#nowMs();
    let start = 0;
    let current = -1;
    for (let i = 0; i < batch.count; i++) {
      const length = batch.length(i);
      if (length === 0) continue;
      port.counters.framesIn++;
      port.counters.bytesIn += length;
      const reason = core.forward(port.id, batch.bytes, batch.offset(i), length, nowMs);
      const target =
        reason === undefined && core.targetCount === 1 && this.#keepsTag() ? (core.targets[0] as number) : -1;
      if (target !== current) {
        this.#writeRun(current, batch, start, i);
        start = i;
        current = target;
      }
      if (reason !== undefined) port.counters.dropped[reason]++;
      else if (target < 0) this.#writeEach(batch, i);
    }
    this.#writeRun(current, batch, start, batch.count);
  }

  /** Hot. True when the one target gets the frame as it is. */
  #keepsTag(): boolean {
    const { core } = this;
    return core.vlan === 0 || core.leavesUntagged(core.targets[0] as number, core.vlan) !== core.isTagged;
  }

  /** Hot. */
  #writeRun(target: number, batch: PacketBatch, start: number, end: number): void {
    const port = target < 0 ? undefined : this.#ports[target];
    if (port !== undefined && end > start) this.#write(port, batch, start, end);
  }

  /** To each target, with the tag that it wants. */
  #writeEach(batch: PacketBatch, index: number): void {
    const { core } = this;
    for (let i = 0; i < core.targetCount; i++) {
      const port = this.#ports[core.targets[i] as number];
      if (port === undefined) continue;
      const isTagged = core.vlan !== 0 && !core.leavesUntagged(port.id, core.vlan);
      if (core.vlan === 0 || isTagged === core.isTagged) this.#write(port, batch, index, index + 1);
      else if (this.#copyFrame(batch, index, isTagged)) this.#write(port, this.#copy, 0, 1);
    }
  }

  /** A copy with a tag, or without. False for a frame that is too long for it. */
  #copyFrame(batch: PacketBatch, index: number, isTagged: boolean): boolean {
    const at = batch.offset(index);
    const length = batch.length(index);
    const copy = this.#copy;
    copy.clear();
    const to = copy.reserve(isTagged ? length + TAG_LEN : length - TAG_LEN);
    if (to < 0) return false;
    copy.bytes.set(batch.bytes.subarray(at, at + MACS_LEN), to);
    const from = at + MACS_LEN + (isTagged ? 0 : TAG_LEN);
    const body = to + MACS_LEN + (isTagged ? TAG_LEN : 0);
    copy.bytes.set(batch.bytes.subarray(from, at + length), body);
    if (isTagged) {
      copy.bytes[to + MACS_LEN] = 0x81;
      copy.bytes[to + MACS_LEN + 1] = 0x00;
      copy.bytes[to + MACS_LEN + 2] = this.core.vlan >> 8;
      copy.bytes[to + MACS_LEN + 3] = this.core.vlan & 0xff;
    }
    return true;
  }

  /** Hot. What is not taken is lost: nobody waits for a port. */
  #write(port: OwnPort, batch: PacketBatch, start: number, end: number): void {
    if (port.link.closed) return;
    try {
      const taken = port.link.write(batch, start, end);
      for (let i = start; i < start + taken; i++) {
        const length = batch.length(i);
        if (length > 0) port.counters.framesOut++;
        port.counters.bytesOut += length;
      }
      for (let i = start + taken; i < end; i++) if (batch.length(i) > 0) port.counters.dropped['queue-full']++;
    } catch (error) {
      // Its reader is told as well.
      if (!isVnicError(error, 'VNIC_DEVICE_GONE') && !isVnicError(error, 'VNIC_LINK_CLOSED')) throw error;
    }
  }
}

function zeroCounters(): MutablePortCounters {
  return {
    framesIn: 0,
    bytesIn: 0,
    framesOut: 0,
    bytesOut: 0,
    dropped: {
      runt: 0,
      'bad-source': 0,
      reserved: 0,
      vlan: 0,
      storm: 0,
      'same-port': 0,
      'no-port': 0,
      'queue-full': 0,
    },
  };
}
