/**
 * Where hardware addresses were seen last: bounded, and forgotten after a while. Pure.
 *
 * The key is the address as a number of 48 bits, which a double holds exactly. When the table is full, the entry that was
 * made first goes: a flood of invented addresses costs the learning of others, which are then reached as unknown ones are.
 */

const MAX_ENTRIES = 8192;
/** IEEE 802.1D, table 7-5. */
const AGEING_MS = 300_000;

interface Entry {
  port: number;
  seenMs: number;
}

/** Ports by hardware address. */
export class MacTable {
  readonly #entries = new Map<number, Entry>();

  get size(): number {
    return this.#entries.size;
  }

  /** Hot. The address at `bytes[at]` was seen at a port. Group addresses are no source. */
  learn(bytes: Uint8Array, at: number, port: number, nowMs: number): void {
    if (((bytes[at] as number) & 1) === 1) return;
    const key = keyOf(bytes, at);
    const known = this.#entries.get(key);
    if (known !== undefined) {
      known.port = port;
      known.seenMs = nowMs;
      return;
    }
    if (this.#entries.size >= MAX_ENTRIES) {
      for (const first of this.#entries.keys()) {
        this.#entries.delete(first);
        break;
      }
    }
    this.#entries.set(key, { port, seenMs: nowMs });
  }

  /** Hot. The port of the address at `bytes[at]`; undefined when it is not known, or was not seen for five minutes. */
  find(bytes: Uint8Array, at: number, nowMs: number): number | undefined {
    const key = keyOf(bytes, at);
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    if (nowMs - entry.seenMs <= AGEING_MS) return entry.port;
    this.#entries.delete(key);
    return undefined;
  }

  /** Forgets everything at a port. */
  forget(port: number): void {
    for (const [key, entry] of this.#entries) if (entry.port === port) this.#entries.delete(key);
  }
}

function keyOf(bytes: Uint8Array, at: number): number {
  const high = ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
  const low =
    ((bytes[at + 2] as number) << 24) |
    ((bytes[at + 3] as number) << 16) |
    ((bytes[at + 4] as number) << 8) |
    (bytes[at + 5] as number);
  return high * 0x1_0000_0000 + (low >>> 0);
}
