/**
 * An existing interface as a packet link, through an `AF_PACKET` socket: what passes it in both directions is
 * read, what is written is sent out of it. The interface itself is not changed.
 *
 * Theory of operation
 *
 * The socket is opened for no protocol and then bound to the interface, so that no packet of another interface
 * ever gets in. Interfaces with an Ethernet header use `SOCK_RAW`; those that carry bare IP use `SOCK_DGRAM`,
 * which hands packets over from the IP header on, whatever encapsulation the tunnel puts before it.
 *
 *   down       The kernel reports ENETDOWN once and keeps the socket: it works again when the interface is up.
 *   deleted    The bound index becomes -1. The kernel reports it as ENETDOWN, but not if the interface was down
 *              before; so from the first ENETDOWN on, netlink events are watched too. The reader gets what is
 *              still queued, then the link ends with VNIC_DEVICE_GONE.
 *   drops      A reader that is too slow lets the socket's receive buffer fill: the kernel drops, and counts
 *              it in `statistics()`.
 *   promisc    The membership belongs to the socket and ends with it, also by `kill -9`.
 *   tags       The kernel takes the outer VLAN tag (802.1Q, 802.1ad) out of a frame and keeps it beside it. It is
 *              put back, so that a frame is read as it was on the wire.
 *   splitting  With `split` the kernel says of each packet what is left to the network card (`PACKET_VNET_HDR`), and it is done here.
 *   checksums  What this machine sends often has no checksum of TCP or UDP yet: that is left to the network card,
 *              and on veth, bridge and loopback to nobody. `checksumPending()` tells such packets.
 *
 * Source: `packet(7)`. A kernel without `PACKET_AUXDATA` (before Linux 2.6.21) tells neither tags nor checksums.
 */

import { VnicError } from '../base/index.ts';
import {
  BaseLink,
  DESCRIPTOR_WORDS,
  type LinkEvents,
  MAX_FRAME_LEN,
  PACKET_ALIGNMENT,
  PacketBatch,
} from '../link/index.ts';
import { errno, errnoName, nativeCore, Poll, PollEvent, systemError } from '../native/index.ts';
import { getLinkSync, type LinkInfo, openLinkEvents } from '../netlink/index.ts';
import { namespaceOfFile } from '../netns/index.ts';
import { type InterfaceOptions, openPacketSocket, type PacketSocket } from './open-packet-socket.ts';
import {
  emitSocketAddress,
  interfaceIndexOf,
  PacketSocketOption,
  packetTypeOf,
  SOCKADDR_LL_LEN,
} from './packet-address.ts';
import { packetTypeWord } from './packet-descriptor.ts';
import { ADDRESSES_LEN, PacketMetadata, VLAN_TAG_LEN } from './packet-metadata.ts';
import { PacketSplitter } from './packet-splitter.ts';

/** What the kernel counted for the socket since it was opened. */
export interface InterfaceStatistics {
  /** Packets that passed, those dropped included. */
  readonly packets: number;
  /** Packets dropped because the reader was too slow. */
  readonly dropped: number;
}

const SOL_SOCKET = 1;
const SO_ERROR = 4;
const MSG_TRUNC = 0x20;
const ETH_P_IP = 0x0800;
const ETH_P_IPV6 = 0x86dd;
/** `linux/sockios.h`: a descriptor of the network namespace of a socket. */
const SIOCGSKNS = 0x894c;

/**
 * Opens a link on an existing interface.
 * @throws VNIC_NO_SUCH_INTERFACE, VNIC_INVALID_NAME, VNIC_NAME_TOO_LONG, VNIC_NO_PRIVILEGE (needs CAP_NET_RAW),
 *   VNIC_UNSUPPORTED for an interface that carries neither Ethernet nor IP, VNIC_TOO_MANY_FILES, VNIC_NO_SUCH_NAMESPACE,
 *   VNIC_NAMESPACE_FORBIDDEN
 */
export async function openInterface(options: InterfaceOptions): Promise<InterfaceLink> {
  return InterfaceLink.open(options);
}

/** An existing interface as a packet link; create it with `openInterface`. */
export class InterfaceLink extends BaseLink {
  /** Index of the interface; stays the same when it is renamed. */
  readonly ifindex: number;
  readonly #fd: number;
  readonly #core = nativeCore();
  readonly #poll: Poll;
  readonly #address = new Uint8Array(SOCKADDR_LL_LEN);
  readonly #metadata = new PacketMetadata();
  readonly #splitter: PacketSplitter | undefined;
  readonly #ipv4Address: Uint8Array;
  readonly #ipv6Address: Uint8Array;
  #mtu: number;
  #interest: number = PollEvent.none;
  #writeBlocked = false;
  #gone = false;
  #fdClosed = false;
  #packets = 0;
  #dropped = 0;
  #isUp: boolean;
  #watcher: ReturnType<typeof openLinkEvents> | undefined;

  private constructor(socket: PacketSocket, options: InterfaceOptions) {
    super({ name: options.name, medium: socket.medium, batch: new PacketBatch(options.batch) });
    this.#fd = socket.fd;
    this.ifindex = socket.found.index;
    this.#mtu = socket.found.mtu;
    this.#isUp = socket.found.isUp;
    this.#splitter = socket.hasVnetHeader ? new PacketSplitter(socket.medium) : undefined;
    this.#ipv4Address = emitSocketAddress(ETH_P_IP, this.ifindex);
    this.#ipv6Address = emitSocketAddress(ETH_P_IPV6, this.ifindex);
    this.#poll = new Poll(this.#fd, (error, events) => this.#onReady(error, events));
  }

  /** As `openInterface`. */
  static open(options: InterfaceOptions): InterfaceLink {
    const socket = openPacketSocket(options);
    try {
      return new InterfaceLink(socket, options);
    } catch (error) {
      nativeCore().close(socket.fd);
      throw error;
    }
  }

  /** In bytes, without the Ethernet header; follows the interface while somebody listens to `mtu`, `up` or `down`. */
  get mtu(): number {
    return this.#mtu;
  }

  /** With `split`: packets dropped because they contradict what the kernel says of them, or are longer than 64 KiB. */
  get malformed(): number {
    return this.#splitter?.malformed ?? 0;
  }

  /** What the kernel counted since the link was opened, up to now or to `close()`. */
  statistics(): InterfaceStatistics {
    this.#collectStatistics();
    return { packets: this.#packets, dropped: this.#dropped };
  }

  override on<Name extends keyof LinkEvents>(event: Name, handler: (event: LinkEvents[Name]) => void): () => void {
    if ((event === 'up' || event === 'down' || event === 'mtu') && !this.closed) this.#watch();
    return super.on(event, handler);
  }

  /** Lets the process end although the interface is being read. */
  unref(): void {
    this.#poll.unref();
  }

  protected override readNow(batch: PacketBatch): number {
    if (this.#splitter !== undefined) return this.#readSplit(batch, this.#splitter);
    const { bytes, descriptors, headroom } = batch;
    let count = 0;
    let at = headroom;
    while (count < batch.capacity && at + MAX_FRAME_LEN <= bytes.length) {
      const length = this.#receive(bytes.subarray(at, at + MAX_FRAME_LEN));
      if (length < 0) break;
      const word = count * DESCRIPTOR_WORDS;
      let kept = Math.min(length, MAX_FRAME_LEN);
      const tagged = this.medium === 'ethernet' && kept >= ADDRESSES_LEN && this.#metadata.hasTag;
      if (tagged) kept = this.#metadata.restoreTag(bytes, at, kept, MAX_FRAME_LEN);
      descriptors[word] = at;
      descriptors[word + 1] = kept;
      descriptors[word + 2] = packetTypeWord(packetTypeOf(this.#address), this.#metadata.checksumPending);
      descriptors[word + 3] = tagged ? length + VLAN_TAG_LEN : length;
      this.counters.packetsRead++;
      this.counters.bytesRead += kept;
      count++;
      at = ((at + kept + PACKET_ALIGNMENT - 1) & ~(PACKET_ALIGNMENT - 1)) + headroom;
    }
    return count;
  }

  #readSplit(batch: PacketBatch, splitter: PacketSplitter): number {
    splitter.begin(batch);
    while (!splitter.isFull) {
      const length = this.#receive(splitter.frame);
      if (length < 0) break;
      splitter.split(batch, length, this.#metadata, packetTypeOf(this.#address));
    }
    this.counters.packetsRead += splitter.count;
    this.counters.bytesRead += splitter.bytes;
    return splitter.count;
  }

  protected override writeNow(bytes: Uint8Array, descriptors: Uint32Array, from: number, to: number): number {
    this.#writeBlocked = false;
    for (let i = from; i < to; i++) {
      const at = descriptors[i * DESCRIPTOR_WORDS] as number;
      const length = descriptors[i * DESCRIPTOR_WORDS + 1] as number;
      if (length === 0) continue;
      const result = this.#send(bytes.subarray(at, at + length));
      if (result === errno.EAGAIN) {
        this.#writeBlocked = true;
        return i - from;
      }
      if (result !== 0) {
        this.#countRefusal(result, length);
        continue;
      }
      this.counters.packetsWritten++;
      this.counters.bytesWritten += length;
    }
    return to - from;
  }

  protected override setInterest(readable: boolean, writable: boolean): void {
    this.#interest = (readable ? PollEvent.readable : 0) | (writable ? PollEvent.writable : 0);
    this.#poll.watch(this.#interest);
  }

  protected override closeCarrier(): void {
    this.#collectStatistics();
    this.#poll.close();
    this.#watcher?.closeSync();
    this.#core.close(this.#fd);
    this.#fdClosed = true;
  }

  protected override hasBackPressure(): boolean {
    return this.#writeBlocked;
  }

  /** The length of the next packet, or -1 when there is none for now. */
  #receive(room: Uint8Array): number {
    const { control, received } = this.#metadata;
    for (;;) {
      const length = this.#core.receiveMessage(this.#fd, room, MSG_TRUNC, this.#address, control, received);
      if (length >= 0) return length;
      if (length === -errno.EINTR) continue;
      if (length === -errno.ENETDOWN) {
        // The kernel tells it once; what was queued before can still be read.
        this.#onDown();
        continue;
      }
      if (length !== -errno.EAGAIN) this.fail(systemError(`read from ${this.name}`, 'recvmsg', -length));
      else if (this.#gone) this.fail(this.#goneError());
      return -1;
    }
  }

  /** Sends one packet. @returns 0 or errno */
  #send(packet: Uint8Array): number {
    const bytes = this.#splitter?.withHeader(packet) ?? packet;
    // A second try: the first may only have fetched an ENETDOWN of long ago.
    for (let attempt = 0; ; ) {
      const result = this.#core.send(this.#fd, bytes, 0, this.#destinationOf(packet));
      if (result >= 0) return 0;
      if (result === -errno.EINTR) continue;
      if (result === -errno.ENETDOWN && attempt++ === 0) continue;
      return -result;
    }
  }

  /** A frame has its own addresses; for an IP packet the kernel must be told the protocol. */
  #destinationOf(packet: Uint8Array): Uint8Array | undefined {
    if (this.medium === 'ethernet') return undefined;
    return (packet[0] as number) >> 4 === 6 ? this.#ipv6Address : this.#ipv4Address;
  }

  #onReady(error: number, events: number): void {
    if (error !== 0) {
      this.#onSocketError();
      return;
    }
    if ((events & PollEvent.writable) !== 0) this.wakeWriter();
    if ((events & PollEvent.readable) !== 0 && !this.closed) this.wakeReader();
  }

  /** POLLERR: libuv has stopped watching, and goes on once the error was fetched. */
  #onSocketError(): void {
    const value = new Int32Array(1);
    this.#core.getsockopt(this.#fd, SOL_SOCKET, SO_ERROR, new Uint8Array(value.buffer));
    const error = value[0] as number;
    if (error !== 0 && error !== errno.ENETDOWN) {
      this.fail(systemError(`use ${this.name}`, 'epoll_wait', error));
      return;
    }
    this.#onDown();
    if (this.#gone) this.#drain();
    else this.#poll.watch(this.#interest);
  }

  /** After ENETDOWN: finds out whether the interface is down or deleted, and has itself told when it is later. */
  #onDown(): void {
    // In this order: a deletion in between is seen by the one or the other.
    this.#watch();
    this.#gone ||= this.#isUnbound();
  }

  /** Lets a reader have what is queued; the read that finds nothing more ends the link. */
  #drain(): void {
    if (this.closed) return;
    if ((this.#interest & PollEvent.readable) === 0) {
      this.fail(this.#goneError());
      return;
    }
    this.wakeReader();
    setImmediate(() => this.#drain());
  }

  /** True once the interface was deleted: the kernel then binds the socket to index -1. */
  #isUnbound(): boolean {
    const address = new Uint8Array(SOCKADDR_LL_LEN);
    return this.#core.getsockname(this.#fd, address) >= 0 && interfaceIndexOf(address) < 0;
  }

  #countRefusal(error: number, length: number): void {
    if ((error === errno.ENETDOWN || error === errno.ENXIO) && this.#isUnbound()) {
      const gone = this.#goneError();
      this.fail(gone);
      throw gone;
    }
    const refusal = (reason: string, hint: string): VnicError =>
      new VnicError('VNIC_PACKET_REFUSED', {
        attempted: `send ${length} bytes on ${this.name}`,
        reason,
        hint,
        errno: errnoName(error),
        syscall: 'sendto',
      });
    if (error === errno.ENETDOWN) {
      this.countWriteDrop('link-down', () => this.#linkDownError());
    } else if (error === errno.ENOBUFS || error === errno.ENOMEM) {
      this.countWriteDrop('queue-full', () => systemError(`send on ${this.name}`, 'sendto', error));
    } else if (error === errno.EMSGSIZE) {
      this.countWriteDrop('too-long', () =>
        refusal(`longer than the MTU of ${this.mtu} allows`, 'Fragment it, or raise the MTU.'),
      );
    } else {
      const hint =
        this.medium === 'ethernet'
          ? 'Write whole Ethernet frames.'
          : 'Write whole IPv4 or IPv6 packets without any header before them.';
      this.countWriteDrop('refused', () => refusal('the kernel found it malformed for this interface', hint));
    }
  }

  #collectStatistics(): void {
    if (this.#fdClosed) return;
    // `struct tpacket_stats`: packets, drops. Reading sets both back to 0.
    const value = new Uint32Array(2);
    const { level, statistics } = PacketSocketOption;
    if (this.#core.getsockopt(this.#fd, level, statistics, new Uint8Array(value.buffer)) < 0) return;
    this.#packets += value[0] as number;
    this.#dropped += value[1] as number;
  }

  #watch(): void {
    if (this.#watcher !== undefined) return;
    const netns = namespaceOfFile(this.#fd, SIOCGSKNS);
    const watcher = openLinkEvents(netns === undefined ? {} : { netns });
    netns?.closeSync();
    this.#watcher = watcher;
    // Waiting for events alone keeps no process alive; waiting for packets does.
    watcher.unref();
    watcher.onEvent((event) => {
      if (event.type === 'lost') this.#compare(this.#look());
      else if (event.type === 'link' && event.link.index === this.ifindex) {
        this.#compare(event.action === 'delete' ? undefined : event.link);
      }
    });
  }

  #look(): LinkInfo | undefined {
    const netns = namespaceOfFile(this.#fd, SIOCGSKNS);
    try {
      return getLinkSync(this.ifindex, netns === undefined ? {} : { netns });
    } finally {
      netns?.closeSync();
    }
  }

  /** Tells what has changed since the last look. */
  #compare(link: LinkInfo | undefined): void {
    if (link === undefined) {
      this.#gone = true;
      this.#drain();
      return;
    }
    const mtuChanged = link.mtu !== this.#mtu;
    const upChanged = link.isUp !== this.#isUp;
    this.#mtu = link.mtu;
    this.#isUp = link.isUp;
    if (mtuChanged) this.events.emit('mtu', link.mtu);
    if (upChanged) this.events.emit(link.isUp ? 'up' : 'down', undefined);
  }

  #goneError(): VnicError {
    return new VnicError('VNIC_DEVICE_GONE', {
      attempted: `use ${this.name}`,
      reason: `${this.name} was deleted, or moved to another network namespace`,
      hint: 'Open it again once it is back; `ip monitor link` shows what happens to it.',
      errno: 'ENETDOWN',
      syscall: 'recvmsg',
    });
  }

  #linkDownError(): VnicError {
    return new VnicError('VNIC_LINK_DOWN', {
      attempted: `send on ${this.name}`,
      hint: `Bring it up: \`vnic up ${this.name}\`.`,
      errno: 'ENETDOWN',
      syscall: 'sendto',
    });
  }
}
