/**
 * The forwarding database of a switch: at which port a station was seen last, by VLAN and hardware address (IEEE 802.1Q section 8.8).
 * Bounded, and forgotten after a while. Pure.
 *
 *     slot   high u32: VLAN << 16 | first two bytes of the address   low u32: the other four   port u32   seen u32
 *
 * A hash table with linear probing, at most half full, four slots a cache line, so that a frame costs nearly the same whether
 * ten stations are known or a hundred thousand. A slot is never emptied, only used again: a search ends at the first that was never used, or after
 * `PROBES`. Where a new station finds none, the one of these that was seen longest ago goes: a flood of invented addresses costs the
 * learning of others, which are then reached as unknown ones are.
 */

/** What `find` gives for a station that is not known. */
export const NO_PORT = -1;

/** How a database is made. */
export interface ForwardingDatabaseOptions {
  /** Stations at most, 1 to 4,194,304; default 16,384. */
  readonly capacity?: number;
  /** A station that was not seen for so long is forgotten; default 300,000 (IEEE 802.1Q table 8-6). */
  readonly ageingMs?: number;
}

/** What was learned of a frame's source. */
export type Learned = 'known' | 'new' | 'moved' | 'flapping';

/** A station that is known. */
export interface ForwardingEntry {
  /** 0 where the switch does not look at tags. */
  readonly vlan: number;
  /** 6 bytes, a copy. */
  readonly mac: Uint8Array;
  readonly port: number;
  /** How long ago it was seen, in milliseconds. */
  readonly ageMs: number;
}

const DEFAULT_CAPACITY = 16_384;
const MAX_CAPACITY = 4_194_304;
const DEFAULT_AGEING_MS = 300_000;
const PROBES = 16;
/** A station that moves twice in this time has a loop, or a twin. */
const FLAP_MS = 1000;
const NEVER = Number.NEGATIVE_INFINITY;
/** Times are modulo 2^32 ms; what is older than half of that is forgotten before they begin anew. */
const SWEEP_MS = 2 ** 31;
const SLOT_WORDS = 4;
const LOW = 1;
const PORT = 2;
const SEEN = 3;
const FORGOTTEN = 0xffff_ffff;

/** Ports by VLAN and hardware address. Nothing is allocated after construction, save by `entries`. */
export class ForwardingDatabase {
  readonly ageingMs: number;
  readonly #mask: number;
  /** The slots. A port of 0 is one that was never used, `FORGOTTEN` one that may be used again; ports are kept one higher. */
  readonly #words: Uint32Array;
  /** When a station changed its port, by slot. */
  readonly #movedMs: Float64Array;
  /** Stations that had to go before their time. */
  evicted = 0;
  #sweptMs = 0;
  #movedSlot = 0;
  #movedFrom = NO_PORT;

  constructor({ capacity = DEFAULT_CAPACITY, ageingMs = DEFAULT_AGEING_MS }: ForwardingDatabaseOptions = {}) {
    const slots = 2 ** Math.ceil(Math.log2(2 * Math.min(MAX_CAPACITY, Math.max(1, capacity))));
    this.ageingMs = ageingMs;
    this.#mask = slots - 1;
    this.#words = new Uint32Array(slots * SLOT_WORDS);
    this.#movedMs = new Float64Array(slots).fill(NEVER);
  }

  /** Hot. The station at `bytes[at]` was seen at a port, 0 or more. Group addresses are no stations, and are not learned. */
  learn(vlan: number, bytes: Uint8Array, at: number, port: number, nowMs: number): Learned {
    if (((bytes[at] as number) & 1) === 1) return 'known';
    if (nowMs - this.#sweptMs > SWEEP_MS) this.#sweep(nowMs);
    const words = this.#words;
    const high = highOf(vlan, bytes, at);
    const low = lowOf(bytes, at);
    let oldest = -1;
    for (let probe = 0, slot = hashOf(high, low); probe < PROBES; probe++, slot++) {
      slot &= this.#mask;
      const word = slot * SLOT_WORDS;
      if (words[word + PORT] === 0)
        return this.#place(oldest < 0 ? slot : this.#older(oldest, slot, nowMs), high, low, port, nowMs);
      if (words[word] === high && words[word + LOW] === low) return this.#see(slot, port, nowMs);
      if (oldest < 0 || this.#ageMs(slot, nowMs) > this.#ageMs(oldest, nowMs)) oldest = slot;
    }
    if (!this.#isStale(oldest, nowMs)) this.evicted++;
    return this.#place(oldest, high, low, port, nowMs);
  }

  /** Hot. The port of the station at `bytes[at]`, or `NO_PORT`. */
  find(vlan: number, bytes: Uint8Array, at: number, nowMs: number): number {
    const words = this.#words;
    const high = highOf(vlan, bytes, at);
    const low = lowOf(bytes, at);
    for (let probe = 0, slot = hashOf(high, low); probe < PROBES; probe++, slot++) {
      slot &= this.#mask;
      const word = slot * SLOT_WORDS;
      const port = words[word + PORT] as number;
      if (port === 0) return NO_PORT;
      if (words[word] === high && words[word + LOW] === low) return this.#isStale(slot, nowMs) ? NO_PORT : port - 1;
    }
    return NO_PORT;
  }

  /** Forgets what was learned at a port, or everywhere. */
  flush(port?: number): void {
    for (let slot = 0; slot <= this.#mask; slot++) {
      const word = slot * SLOT_WORDS + PORT;
      if (this.#words[word] !== 0 && (port === undefined || this.#words[word] === port + 1))
        this.#words[word] = FORGOTTEN;
    }
  }

  /** The stations that are known, in no order. */
  *entries(nowMs: number): IterableIterator<ForwardingEntry> {
    for (let slot = 0; slot <= this.#mask; slot++) {
      const port = this.#portOf(slot);
      if (port === NO_PORT || this.#isStale(slot, nowMs)) continue;
      yield { ...this.#stationAt(slot), port, ageMs: this.#ageMs(slot, nowMs) };
    }
  }

  /** The station that has changed its port last, and the port where it was. */
  lastMove(): Omit<ForwardingEntry, 'ageMs'> & { readonly from: number } {
    const slot = this.#movedSlot;
    return { ...this.#stationAt(slot), port: this.#portOf(slot), from: this.#movedFrom };
  }

  #sweep(nowMs: number): void {
    // Nobody was seen for the half of it then.
    if (nowMs - this.#sweptMs >= 2 * SWEEP_MS) this.flush();
    this.#sweptMs = nowMs;
    for (let slot = 0; slot <= this.#mask; slot++) {
      const word = slot * SLOT_WORDS + PORT;
      if (this.#words[word] !== 0 && this.#isStale(slot, nowMs)) this.#words[word] = FORGOTTEN;
    }
  }

  #stationAt(slot: number): Pick<ForwardingEntry, 'vlan' | 'mac'> {
    const high = this.#words[slot * SLOT_WORDS] as number;
    const mac = new Uint8Array(6);
    const view = new DataView(mac.buffer);
    view.setUint16(0, high & 0xffff);
    view.setUint32(2, this.#words[slot * SLOT_WORDS + LOW] as number);
    return { vlan: high >>> 16, mac };
  }

  #portOf(slot: number): number {
    return (this.#words[slot * SLOT_WORDS + PORT] as number) - 1;
  }

  /** Hot. */
  #ageMs(slot: number, nowMs: number): number {
    const word = slot * SLOT_WORDS;
    return this.#words[word + PORT] === FORGOTTEN
      ? Number.POSITIVE_INFINITY
      : (wholeMs(nowMs) - (this.#words[word + SEEN] as number)) >>> 0;
  }

  #see(slot: number, port: number, nowMs: number): Learned {
    const word = slot * SLOT_WORDS;
    const isStale = this.#isStale(slot, nowMs);
    const before = this.#portOf(slot);
    this.#words[word + SEEN] = wholeMs(nowMs);
    if (before === port) return isStale ? 'new' : 'known';
    this.#words[word + PORT] = port + 1;
    if (isStale) {
      this.#movedMs[slot] = NEVER;
      return 'new';
    }
    this.#movedSlot = slot;
    this.#movedFrom = before;
    const isFlapping = nowMs - (this.#movedMs[slot] as number) < FLAP_MS;
    this.#movedMs[slot] = nowMs;
    return isFlapping ? 'flapping' : 'moved';
  }

  #place(slot: number, high: number, low: number, port: number, nowMs: number): Learned {
    const word = slot * SLOT_WORDS;
    // What has never moved is not touched: it would be one more line of memory.
    if (this.#words[word + PORT] !== 0) this.#movedMs[slot] = NEVER;
    this.#words[word] = high;
    this.#words[word + LOW] = low;
    this.#words[word + PORT] = port + 1;
    this.#words[word + SEEN] = wholeMs(nowMs);
    return 'new';
  }

  /** A slot of somebody forgotten comes before one that was never used, so that the table does not fill up. */
  #older(used: number, free: number, nowMs: number): number {
    return this.#isStale(used, nowMs) ? used : free;
  }

  #isStale(slot: number, nowMs: number): boolean {
    return this.#ageMs(slot, nowMs) > this.ageingMs;
  }
}

function wholeMs(nowMs: number): number {
  return nowMs >>> 0;
}

function highOf(vlan: number, bytes: Uint8Array, at: number): number {
  return ((vlan << 16) | ((bytes[at] as number) << 8) | (bytes[at + 1] as number)) >>> 0;
}

function lowOf(bytes: Uint8Array, at: number): number {
  return (
    (((bytes[at + 2] as number) << 24) |
      ((bytes[at + 3] as number) << 16) |
      ((bytes[at + 4] as number) << 8) |
      (bytes[at + 5] as number)) >>>
    0
  );
}

/** Mixes well enough for addresses that are counted up (murmur3's finalizer). */
function hashOf(high: number, low: number): number {
  let hash = Math.imul(high ^ (high >>> 15), 0x85eb_ca6b) ^ low;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85eb_ca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2_ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
