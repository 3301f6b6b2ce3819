/** What the link conformance suite needs to know of a carrier, and that harness for two joined links. */

import { createLinkPair, type LinkPairOptions, type PacketLink } from '../link/index.ts';
import { markPacket, seedOf } from './marked-packet.ts';

/** A link under test with what lies behind it: the kernel of a device, the other end of a cable. */
export interface LinkHarness {
  readonly link: PacketLink;
  /**
   * A packet that the carrier takes in both directions, marked with `markPacket`.
   * @param size whole length in bytes, link header counted; 80 to the MTU (and 14 for Ethernet)
   */
  makePacket(size: number, seed: number): Uint8Array;
  /**
   * Has the far side send packets, in this order, so that `link` reads them. Sends at once as far as it can:
   * cases inject from inside a reader. Up to 8 packets must be taken while nobody reads.
   */
  inject(packets: readonly Uint8Array[]): Promise<void>;
  /** Waits until the far side has got `count` marked packets that `link` wrote; gives copies, in order. */
  collect(count: number): Promise<Uint8Array[]>;
  /** Deletes the carrier underneath the link. Left out where no carrier can vanish. */
  remove?(): Promise<void>;
  /** True when writing without end comes to `write` returning 0 until `collect` makes room. */
  readonly backPressure: boolean;
  /** Closes and deletes everything, in whatever state the case left it. */
  close(): Promise<void>;
}

/** Bytes that the default `makePacket` of `joinedLinksHarness` leaves for headers. */
const HEADER_LEN = 66;

/** A harness for two links of which each reads what the other writes. */
export function joinedLinksHarness(
  link: PacketLink,
  peer: PacketLink,
  options: Partial<Pick<LinkHarness, 'makePacket' | 'backPressure'>> & { readonly removable?: boolean } = {},
): LinkHarness {
  const collected: Uint8Array[] = [];
  const harness: LinkHarness = {
    link,
    makePacket: options.makePacket ?? plainPacket,
    async inject(packets): Promise<void> {
      for (const packet of packets) while (peer.write(packet) === 0) await peer.writable();
    },
    async collect(count): Promise<Uint8Array[]> {
      while (collected.length < count) {
        const batch = await peer.read();
        if (batch === undefined) break;
        for (const packet of batch) if (seedOf(packet) !== undefined) collected.push(packet.slice());
      }
      return collected.splice(0, count);
    },
    backPressure: options.backPressure ?? true,
    async close(): Promise<void> {
      await link.close();
      await peer.close();
    },
  };
  if (options.removable === false) return harness;
  return { ...harness, remove: () => peer.close() };
}

/** A harness for an in-memory pair. */
export function linkPairHarness(options: LinkPairOptions): LinkHarness {
  const [link, peer] = createLinkPair(options);
  return joinedLinksHarness(link, peer);
}

/** Good for carriers that do not look into packets: the version nibble of IPv4, then the mark. */
function plainPacket(size: number, seed: number): Uint8Array {
  const packet = new Uint8Array(size);
  packet[0] = 0x45;
  return markPacket(packet, HEADER_LEN, seed);
}
