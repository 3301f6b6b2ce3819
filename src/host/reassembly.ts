/**
 * Puts datagrams together from fragments (RFC 791 section 3.2, RFC 8200 section 4.5, RFC 5722).
 *
 * Theory of operation
 *
 * A fixed number of slots, each with 64 KiB and one bit for every 8 octets, allocated when first used and kept.
 * A slot belongs to one datagram, told by both addresses, identification and (IPv4) protocol.
 *
 *   free -> collecting   a fragment of a new datagram; with all slots taken, the oldest is given up for it
 *   collecting -> done   all octets up to the end of the last fragment are there; the caller frees the slot
 *   collecting -> bad    fragments overlap or contradict each other. The slot is kept, so that what still comes
 *                        of the datagram is dropped too and does not start it anew.
 *   any -> free          the timeout since the first fragment that came
 *
 * The exact repetition of octets that are there is dropped alone: networks duplicate packets.
 * An attacker who sends first fragments only can make the responder give up other incomplete datagrams, never
 * more memory. No ICMP time exceeded is sent.
 */

import type { HostDropReason } from './drop-reason.ts';

/** Room for the largest datagram without its IP header. */
const DATAGRAM_LEN_MAX = 65_535;

/** Fragments lie on multiples of this. */
const UNIT_LEN = 8;

/** A fragment to be added; reusable. */
export interface Fragment {
  bytes: Uint8Array;
  /** Where source and destination address stand, one after the other. */
  addressesOffset: number;
  /** Octets of both addresses together: 8 for IPv4, 32 for IPv6. */
  addressesLen: 8 | 32;
  identification: number;
  /** Part of the key for IPv4; for IPv6 that of the first fragment counts. */
  protocol: number;
  dataOffset: number;
  dataLen: number;
  /** Place of the data in the datagram, in octets. */
  fragmentOffset: number;
  moreFragments: boolean;
}

/** A datagram being put together. */
export class Datagram {
  /** The payload, behind the IP header; whole when `add` has returned this datagram. */
  readonly bytes: Uint8Array = new Uint8Array(DATAGRAM_LEN_MAX + 1);
  /** Source and destination address. */
  readonly addresses: Uint8Array = new Uint8Array(32);
  addressesLen = 0;
  identification = 0;
  protocol = 0;
  /** Octets of the whole payload; -1 while the last fragment is missing. */
  length = -1;
  state: 'free' | 'collecting' | 'bad' = 'free';
  expiresMs = 0;
  readonly #present = new Uint8Array((DATAGRAM_LEN_MAX + 1) / UNIT_LEN);
  #receivedLen = 0;
  #highestEnd = 0;

  start(fragment: Fragment, expiresMs: number): void {
    const { bytes, addressesOffset, addressesLen } = fragment;
    for (let i = 0; i < addressesLen; i++) this.addresses[i] = bytes[addressesOffset + i] as number;
    this.addressesLen = addressesLen;
    this.identification = fragment.identification;
    this.protocol = fragment.protocol;
    this.length = -1;
    this.state = 'collecting';
    this.expiresMs = expiresMs;
    this.#present.fill(0);
    this.#receivedLen = 0;
    this.#highestEnd = 0;
  }

  isOf(fragment: Fragment): boolean {
    if (this.state === 'free' || this.identification !== fragment.identification) return false;
    if (this.addressesLen !== fragment.addressesLen) return false;
    if (this.addressesLen === 8 && this.protocol !== fragment.protocol) return false;
    const { bytes, addressesOffset, addressesLen } = fragment;
    for (let i = 0; i < addressesLen; i++) if (this.addresses[i] !== bytes[addressesOffset + i]) return false;
    return true;
  }

  get complete(): boolean {
    return this.#receivedLen === this.length;
  }

  /** Takes a fragment in; the reason says why not. */
  take(fragment: Fragment): HostDropReason | undefined {
    const { fragmentOffset, dataLen } = fragment;
    const end = fragmentOffset + dataLen;
    const present = this.#presentUnits(fragmentOffset, end);
    if (present > 0) return this.#isRepetition(fragment, present) ? 'reassembly-duplicate' : this.#spoil();
    if (this.length >= 0 && (end > this.length || !fragment.moreFragments)) return this.#spoil();
    if (!fragment.moreFragments && this.#highestEnd > end) return this.#spoil();
    this.#store(fragment, end);
    return undefined;
  }

  #store(fragment: Fragment, end: number): void {
    const { bytes, dataOffset, dataLen, fragmentOffset } = fragment;
    this.bytes.set(bytes.subarray(dataOffset, dataOffset + dataLen), fragmentOffset);
    this.#present.fill(1, fragmentOffset / UNIT_LEN, Math.ceil(end / UNIT_LEN));
    this.#receivedLen += dataLen;
    this.#highestEnd = Math.max(this.#highestEnd, end);
    if (!fragment.moreFragments) this.length = end;
    if (fragmentOffset === 0) this.protocol = fragment.protocol;
  }

  #presentUnits(from: number, end: number): number {
    let units = 0;
    for (let i = from / UNIT_LEN; i < Math.ceil(end / UNIT_LEN); i++) units += this.#present[i] as number;
    return units;
  }

  #isRepetition(fragment: Fragment, present: number): boolean {
    const { bytes, dataOffset, dataLen, fragmentOffset, moreFragments } = fragment;
    const end = fragmentOffset + dataLen;
    if (present < Math.ceil(dataLen / UNIT_LEN) || moreFragments === (end === this.length)) return false;
    for (let i = 0; i < dataLen; i++) if (this.bytes[fragmentOffset + i] !== bytes[dataOffset + i]) return false;
    return true;
  }

  #spoil(): HostDropReason {
    this.state = 'bad';
    return 'reassembly-overlap';
  }
}

export interface ReassemblerOptions {
  readonly datagrams: number;
  readonly timeoutV4Ms: number;
  readonly timeoutV6Ms: number;
  /** Called for a reason that concerns a whole datagram. */
  readonly onGivenUp: (reason: 'reassembly-overflow' | 'reassembly-timeout') => void;
}

export class Reassembler {
  readonly #options: ReassemblerOptions;
  readonly #slots: Datagram[] = [];

  constructor(options: ReassemblerOptions) {
    this.#options = options;
  }

  /**
   * Adds a fragment.
   * @returns the datagram when it is whole, which the caller gives back with `free`; a reason when the fragment
   *   was dropped; undefined when more fragments are missing
   */
  add(fragment: Fragment, nowMs: number): Datagram | HostDropReason | undefined {
    if (!isWellFormed(fragment)) return 'bad-fragment';
    this.expire(nowMs);
    const slot = this.#slots.find((datagram) => datagram.isOf(fragment)) ?? this.#open(fragment, nowMs);
    if (slot.state === 'bad') return 'reassembly-overlap';
    return slot.take(fragment) ?? (slot.complete ? slot : undefined);
  }

  free(datagram: Datagram): void {
    datagram.state = 'free';
  }

  /** Frees datagrams whose time is over. */
  expire(nowMs: number): void {
    for (const slot of this.#slots) {
      if (slot.state === 'free' || slot.expiresMs > nowMs) continue;
      if (slot.state === 'collecting') this.#options.onGivenUp('reassembly-timeout');
      slot.state = 'free';
    }
  }

  /** When `expire` has something to do; undefined when nothing is incomplete. */
  get nextExpiryMs(): number | undefined {
    let next: number | undefined;
    for (const { state, expiresMs } of this.#slots) {
      if (state !== 'free' && (next === undefined || expiresMs < next)) next = expiresMs;
    }
    return next;
  }

  #open(fragment: Fragment, nowMs: number): Datagram {
    const slot = this.#freeSlot();
    const { timeoutV4Ms, timeoutV6Ms } = this.#options;
    slot.start(fragment, nowMs + (fragment.addressesLen === 8 ? timeoutV4Ms : timeoutV6Ms));
    return slot;
  }

  #freeSlot(): Datagram {
    const free = this.#slots.find(({ state }) => state === 'free');
    if (free !== undefined) return free;
    if (this.#slots.length < this.#options.datagrams) {
      const slot = new Datagram();
      this.#slots.push(slot);
      return slot;
    }
    const oldest = this.#slots.reduce((a, b) => (b.expiresMs < a.expiresMs ? b : a));
    if (oldest.state === 'collecting') this.#options.onGivenUp('reassembly-overflow');
    return oldest;
  }
}

/** Not empty, whole units unless it is the last, and inside the largest datagram ("ping of death"). */
function isWellFormed({ dataLen, fragmentOffset, moreFragments, addressesLen }: Fragment): boolean {
  if (dataLen === 0 || (moreFragments && dataLen % UNIT_LEN !== 0)) return false;
  const longest = addressesLen === 8 ? DATAGRAM_LEN_MAX - 20 : DATAGRAM_LEN_MAX;
  return fragmentOffset + dataLen <= longest;
}
