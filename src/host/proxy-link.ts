/**
 * An IP link as an Ethernet link, by an Ethernet proxy: what comes from the IP link is read as frames, and frames that are written
 * reach it as packets. Beside them it reads and answers ARP and neighbour discovery.
 *
 * Theory of operation
 *
 *   reading   The IP link is read while somebody reads this one, so that a reader that waits is back-pressure there too. Frames wait in
 *             the proxy's outbox for the length of a call; what it says by itself, for the next turn.
 *   writing   Packets are copied out of their frames into a batch. What the IP link does not take waits there, and then no further
 *             frames are taken.
 *   counters  `packetsWritten` are the frames that the IP link or the proxy has taken; what the IP link drops is in `writeDropped`.
 *   end       The IP link is closed with this one, and when it vanishes this one does.
 */

import { invalidArgument, isVnicError, VnicError } from '../base/index.ts';
import { BaseLink, DESCRIPTOR_WORDS, MAX_FRAME_LEN, PacketBatch, type PacketLink } from '../link/index.ts';
import { ethernetHeaderLen } from '../wire/index.ts';
import type { HostClock } from './attach.ts';
import type { EthernetProxy } from './ethernet-proxy.ts';

/**
 * Puts an IP link on an Ethernet segment, and announces its addresses there once somebody reads.
 * @param link owned by the returned link from now on
 * @throws VNIC_INVALID_ARGUMENT for a link that is Ethernet already, or carries super-packets
 */
export function proxyLink(link: PacketLink, proxy: EthernetProxy, clock: HostClock): PacketLink {
  const attempted = `put ${link.name} on an Ethernet segment`;
  if (link.medium !== 'ip') throw invalidArgument(attempted, 'a link of IP packets', link.medium);
  if (link.offload) throw invalidArgument(attempted, 'a link opened without `superPackets`', 'one with them');
  return new ProxyLink(link, proxy, clock);
}

class ProxyLink extends BaseLink {
  readonly #link: PacketLink;
  readonly #proxy: EthernetProxy;
  readonly #clock: HostClock;
  readonly #aborted = new AbortController();
  /** Packets on their way to the IP link, from `#next` on. */
  readonly #batch: PacketBatch;
  #next = 0;
  #stopReading: (() => void) | undefined;
  #hasAnnounced = false;
  #wantsReadable = false;
  #waitsForRoom = false;
  #turnPending = false;
  #timerDueMs: number | undefined;
  #cancelTimer: () => void = () => undefined;

  constructor(link: PacketLink, proxy: EthernetProxy, clock: HostClock) {
    // As large as the outbox, which is read whole.
    super({ name: link.name, medium: 'ethernet', batch: new PacketBatch({ capacity: proxy.outbox.capacity }) });
    this.#link = link;
    this.#proxy = proxy;
    this.#clock = clock;
    this.#batch = new PacketBatch();
    link.on('gone', (error) => this.#onGone(error));
    link.on('up', () => this.events.emit('up', undefined));
    link.on('down', () => this.events.emit('down', undefined));
    link.on('mtu', (mtu) => this.events.emit('mtu', mtu));
  }

  get mtu(): number {
    return this.#link.mtu;
  }

  protected override readNow(batch: PacketBatch): number {
    const { outbox } = this.#proxy;
    const { count } = outbox;
    if (count === 0) return 0;
    const last = outbox.offset(count - 1) + outbox.length(count - 1);
    batch.bytes.set(outbox.bytes.subarray(0, last));
    batch.descriptors.set(outbox.descriptors.subarray(0, count * DESCRIPTOR_WORDS));
    outbox.clear();
    this.counters.packetsRead += count;
    for (let i = 0; i < count; i++) this.counters.bytesRead += batch.length(i);
    return count;
  }

  protected override writeNow(bytes: Uint8Array, descriptors: Uint32Array, from: number, to: number): number {
    const nowMs = this.#clock.nowMs();
    let i = from;
    while (this.#flush() && i < to) i = this.#unpack(bytes, descriptors, i, to, nowMs);
    // The writer need not come again.
    if (this.hasBackPressure()) void this.#waitForRoom();
    this.#afterUse();
    return i - from;
  }

  protected override setInterest(readable: boolean, writable: boolean): void {
    this.#wantsReadable = readable;
    if (readable) this.#startReading();
    else this.#pause();
    if (writable) void this.#waitForRoom();
  }

  protected override hasBackPressure(): boolean {
    return this.#next < this.#batch.count;
  }

  protected override async closeCarrier(): Promise<void> {
    this.#wantsReadable = false;
    this.#aborted.abort();
    this.#cancelTimer();
    this.#pause();
    await this.#link.close();
  }

  /** Hot. Copies packets out of frames until the batch is full. @returns the index of the first frame that was not looked at */
  #unpack(bytes: Uint8Array, descriptors: Uint32Array, from: number, to: number, nowMs: number): number {
    const batch = this.#batch;
    let i = from;
    // Room is looked for before a frame is taken, which is answered only once.
    for (; i < to && hasRoom(batch, Math.min(MAX_FRAME_LEN, descriptors[i * DESCRIPTOR_WORDS + 1] as number)); i++) {
      const frame = descriptors[i * DESCRIPTOR_WORDS] as number;
      const length = descriptors[i * DESCRIPTOR_WORDS + 1] as number;
      if (length === 0) continue;
      if (length > MAX_FRAME_LEN) {
        this.countWriteDrop('too-long', () => tooLong(this.name, length));
        continue;
      }
      const packetLen = this.#proxy.receive(bytes, frame, length, nowMs);
      if (packetLen === 0) {
        this.counters.packetsWritten++;
        this.counters.bytesWritten += length;
        continue;
      }
      const at = batch.reserve(packetLen);
      const start = frame + ethernetHeaderLen;
      batch.bytes.set(bytes.subarray(start, start + packetLen), at);
    }
    return i;
  }

  /** Writes what waits for the IP link. True when all of it was taken. */
  #flush(): boolean {
    const batch = this.#batch;
    if (batch.count === 0) return true;
    const { packetsWritten, bytesWritten } = this.#link.counters;
    const before = { ...this.#link.counters.writeDropped };
    this.#next += this.#link.write(batch, this.#next);
    const after = this.#link.counters;
    const packets = after.packetsWritten - packetsWritten;
    this.counters.packetsWritten += packets;
    this.counters.bytesWritten += after.bytesWritten - bytesWritten + packets * ethernetHeaderLen;
    for (const reason of dropReasons) this.counters.writeDropped[reason] += after.writeDropped[reason] - before[reason];
    if (this.#next < batch.count) return false;
    batch.clear();
    this.#next = 0;
    return true;
  }

  async #waitForRoom(): Promise<void> {
    if (this.#waitsForRoom) return;
    this.#waitsForRoom = true;
    const { signal } = this.#aborted;
    try {
      while (this.hasBackPressure() && !this.closed) {
        await this.#link.writable({ signal });
        if (!this.closed && !this.#flush()) await this.#nextTurn();
      }
      if (!this.closed) this.wakeWriter();
    } catch (error) {
      // That it is gone is told by itself.
      if (!isVnicError(error)) throw error;
    } finally {
      this.#waitsForRoom = false;
    }
  }

  /** A link that promises room and has none must not keep the event loop from turning. */
  #nextTurn(): Promise<void> {
    return new Promise((resolve) => {
      this.#clock.setTimer(0, resolve);
    });
  }

  #startReading(): void {
    if (this.#stopReading === undefined && !this.#link.closed) {
      this.#stopReading = this.#link.onBatch(
        (batch) => this.#onBatch(batch),
        (error) => this.#onEnd(error),
      );
    }
    if (!this.#hasAnnounced) {
      this.#hasAnnounced = true;
      this.#proxy.announce();
    }
    this.#afterUse();
  }

  #pause(): void {
    const stop = this.#stopReading;
    this.#stopReading = undefined;
    stop?.();
  }

  /** Hot. */
  #onBatch(batch: PacketBatch): void {
    const nowMs = this.#clock.nowMs();
    const { bytes, descriptors, count } = batch;
    for (let i = 0; i < count; i++) {
      const length = descriptors[i * DESCRIPTOR_WORDS + 1] as number;
      if (length > 0) this.#proxy.send(bytes, descriptors[i * DESCRIPTOR_WORDS] as number, length, nowMs);
    }
    if (this.#wantsReadable && this.#proxy.outbox.count > 0) this.wakeReader();
    this.#afterUse();
  }

  /** What the proxy has said by itself is read in the next turn: two proxies that answer each other would recurse without end. */
  #afterUse(): void {
    this.#setTimer();
    if (this.#turnPending || !this.#wantsReadable || this.#proxy.outbox.count === 0) return;
    this.#turnPending = true;
    this.#clock.setTimer(0, () => {
      this.#turnPending = false;
      if (!this.closed && this.#wantsReadable) this.wakeReader();
      this.#afterUse();
    });
  }

  #setTimer(): void {
    const dueMs = this.closed ? undefined : this.#proxy.nextWakeupMs;
    if (dueMs === this.#timerDueMs) return;
    this.#cancelTimer();
    this.#timerDueMs = dueMs;
    if (dueMs === undefined) return;
    this.#cancelTimer = this.#clock.setTimer(Math.max(0, dueMs - this.#clock.nowMs()), () => {
      this.#timerDueMs = undefined;
      if (this.closed) return;
      this.#proxy.poll(this.#clock.nowMs());
      this.#afterUse();
    });
  }

  /** Of the reader of the IP link, which also ends when it is paused. */
  #onEnd(error: unknown): void {
    if (this.closed) return;
    if (isVnicError(error)) this.#onGone(error);
    else if (this.#link.closed) void this.close();
  }

  #onGone(error: VnicError): void {
    if (!this.closed) this.fail(error);
  }
}

const dropReasons = ['link-down', 'refused', 'too-long', 'queue-full'] as const;

function tooLong(name: string, length: number): VnicError {
  return new VnicError('VNIC_PACKET_REFUSED', {
    attempted: `write a frame of ${length} bytes to ${name}`,
    reason: `longer than the ${MAX_FRAME_LEN} bytes that any link carries`,
    hint: 'Send shorter frames.',
  });
}

/** Whether `reserve` of so many bytes finds room. */
function hasRoom(batch: PacketBatch, length: number): boolean {
  const { count, capacity } = batch;
  if (count === capacity) return false;
  const end = count === 0 ? 0 : batch.offset(count - 1) + batch.length(count - 1);
  return end + 8 + length <= batch.bytes.length;
}
