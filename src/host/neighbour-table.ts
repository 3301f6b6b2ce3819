/**
 * Who has which hardware address on a segment: the neighbour cache of a host (RFC 826; RFC 4861 section 5.1), with fewer states than
 * neighbour discovery has.
 *
 *     incomplete  asked for; packets wait, a few for each neighbour
 *     reachable   known, and heard of in the last `REACHABLE_MS`
 *     probing     known, and used longer after that: asked at its address, and used meanwhile
 *
 * Unanswered, probing becomes incomplete, and incomplete is forgotten with the packets that wait. A neighbour is forgotten too when
 * the table is full and it was used least recently.
 */

import { equalAt } from './address-set.ts';

/** How long an answer is believed (RFC 4861 section 10, `REACHABLE_TIME`). */
const REACHABLE_MS = 30_000;
/** Between two requests, and how many there are (`RETRANS_TIMER`, `MAX_MULTICAST_SOLICIT`, `MAX_UNICAST_SOLICIT`). */
export const RETRANS_MS = 1000;
const MAX_REQUESTS = 3;
/** Packets that wait for one neighbour; the oldest is lost. */
const MAX_WAITING = 8;
/** Neighbours that are asked for at the same time. */
const MAX_INCOMPLETE = 64;
/** Bytes of all packets that wait. */
const MAX_WAITING_BYTES = 1 << 20;

/** One neighbour. */
export interface Neighbour {
  /** 4 or 16 octets. */
  readonly address: Uint8Array;
  readonly mac: Uint8Array;
  state: 'incomplete' | 'reachable' | 'probing';
  /** When to ask again, or until when it is believed. */
  dueMs: number;
  requests: number;
  /** Whose question it is: an address of the side that asks. */
  source: Uint8Array;
  waiting: Uint8Array[];
  lastUsedMs: number;
  next: Neighbour | undefined;
}

/** What the table has the host do. */
export interface NeighbourActions {
  /** Asks for a neighbour, at its address when `probing`. */
  ask(neighbour: Neighbour): void;
  /** Sends a packet that waited. */
  release(neighbour: Neighbour, packet: Uint8Array): void;
  /** A packet was lost for want of an answer. */
  lose(): void;
}

/** See the head of this file. Times are milliseconds of any clock that does not go back. */
export class NeighbourTable {
  readonly #capacity: number;
  readonly #actions: NeighbourActions;
  readonly #heads = new Map<number, Neighbour>();
  /** Those that wait for an answer. */
  readonly #asked = new Set<Neighbour>();
  #count = 0;
  #incomplete = 0;
  #waitingBytes = 0;
  #nextDueMs: number | undefined;

  constructor(capacity: number, actions: NeighbourActions) {
    this.#capacity = capacity;
    this.#actions = actions;
  }

  get count(): number {
    return this.#count;
  }

  /** When `poll` is due. */
  get nextDueMs(): number | undefined {
    return this.#nextDueMs;
  }

  /** Hot. The neighbour of the address of `length` octets at `bytes[offset]`. */
  find(bytes: Uint8Array, offset: number, length: 4 | 16): Neighbour | undefined {
    let found = this.#heads.get(hashOf(bytes, offset, length));
    while (found !== undefined && (found.address.length !== length || !equalAt(found.address, bytes, offset))) {
      found = found.next;
    }
    return found;
  }

  /** Hot. True when the neighbour can be sent to at once; begins to probe one that was not heard of for long. */
  use(neighbour: Neighbour, nowMs: number): boolean {
    neighbour.lastUsedMs = nowMs;
    if (neighbour.state === 'incomplete') return false;
    if (neighbour.state === 'reachable' && nowMs > neighbour.dueMs) this.#ask(neighbour, 'probing', nowMs);
    return true;
  }

  /** Keeps a packet for a neighbour that is asked for, and asks if nobody has yet. The packet is copied. */
  wait(found: Neighbour | undefined, address: Uint8Array, source: Uint8Array, packet: Uint8Array, nowMs: number): void {
    const neighbour = found ?? this.#begin(address, source, nowMs);
    if (neighbour.waiting.length === MAX_WAITING || this.#waitingBytes + packet.length > MAX_WAITING_BYTES) {
      const lost = neighbour.waiting.shift();
      this.#waitingBytes -= lost?.length ?? 0;
      this.#actions.lose();
      if (lost === undefined) return;
    }
    neighbour.waiting.push(packet.slice());
    this.#waitingBytes += packet.length;
  }

  /** Notes what a neighbour has said of itself. @param create also of one that was not asked for */
  learn(
    bytes: Uint8Array,
    offset: number,
    length: 4 | 16,
    mac: Uint8Array,
    macAt: number,
    nowMs: number,
    create: boolean,
  ): void {
    const found = this.find(bytes, offset, length);
    if (found === undefined && !create) return;
    const neighbour = found ?? this.#add(bytes.slice(offset, offset + length), nowMs);
    for (let i = 0; i < 6; i++) neighbour.mac[i] = mac[macAt + i] as number;
    if (this.#asked.delete(neighbour) && neighbour.state === 'incomplete') this.#incomplete--;
    neighbour.state = 'reachable';
    neighbour.dueMs = nowMs + REACHABLE_MS;
    for (const packet of this.#takeWaiting(neighbour)) this.#actions.release(neighbour, packet);
  }

  /** Asks again, and forgets who did not answer. */
  poll(nowMs: number): void {
    if (this.#nextDueMs === undefined || nowMs < this.#nextDueMs) return;
    this.#nextDueMs = undefined;
    for (const neighbour of [...this.#asked]) {
      if (neighbour.dueMs <= nowMs) this.#onNoAnswer(neighbour, nowMs);
      else this.#noteDue(neighbour.dueMs);
    }
  }

  #begin(address: Uint8Array, source: Uint8Array, nowMs: number): Neighbour {
    const neighbour = this.#add(address.slice(), nowMs);
    neighbour.source = source.slice();
    this.#ask(neighbour, 'incomplete', nowMs);
    return neighbour;
  }

  #onNoAnswer(neighbour: Neighbour, nowMs: number): void {
    if (neighbour.requests < MAX_REQUESTS) this.#request(neighbour, nowMs);
    // It may have another hardware address by now.
    else if (neighbour.state === 'probing') this.#ask(neighbour, 'incomplete', nowMs);
    else this.#forget(neighbour);
  }

  #ask(neighbour: Neighbour, state: 'incomplete' | 'probing', nowMs: number): void {
    if (state === 'incomplete') this.#incomplete++;
    neighbour.state = state;
    neighbour.requests = 0;
    this.#asked.add(neighbour);
    this.#request(neighbour, nowMs);
    if (this.#incomplete > MAX_INCOMPLETE) this.#forgetOldest(neighbour);
  }

  #request(neighbour: Neighbour, nowMs: number): void {
    neighbour.requests++;
    neighbour.dueMs = nowMs + RETRANS_MS;
    this.#noteDue(neighbour.dueMs);
    this.#actions.ask(neighbour);
  }

  /** Of those that are asked for: the one that waits longest. */
  #forgetOldest(except: Neighbour): void {
    for (const neighbour of this.#asked) {
      if (neighbour.state !== 'incomplete' || neighbour === except) continue;
      this.#forget(neighbour);
      return;
    }
  }

  #noteDue(dueMs: number): void {
    if (this.#nextDueMs === undefined || dueMs < this.#nextDueMs) this.#nextDueMs = dueMs;
  }

  #add(address: Uint8Array, nowMs: number): Neighbour {
    if (this.#count === this.#capacity) this.#forgetLeastUsed();
    const key = hashOf(address, 0, address.length as 4 | 16);
    const neighbour: Neighbour = {
      address,
      mac: new Uint8Array(6),
      state: 'reachable',
      dueMs: nowMs,
      requests: 0,
      source: new Uint8Array(address.length),
      waiting: [],
      lastUsedMs: nowMs,
      next: this.#heads.get(key),
    };
    this.#heads.set(key, neighbour);
    this.#count++;
    return neighbour;
  }

  #forgetLeastUsed(): void {
    let oldest: Neighbour | undefined;
    for (const head of this.#heads.values()) {
      for (let neighbour: Neighbour | undefined = head; neighbour !== undefined; neighbour = neighbour.next) {
        if (oldest === undefined || neighbour.lastUsedMs < oldest.lastUsedMs) oldest = neighbour;
      }
    }
    if (oldest !== undefined) this.#forget(oldest);
  }

  #forget(neighbour: Neighbour): void {
    if (this.#asked.delete(neighbour) && neighbour.state === 'incomplete') this.#incomplete--;
    for (const _ of this.#takeWaiting(neighbour)) this.#actions.lose();
    const key = hashOf(neighbour.address, 0, neighbour.address.length as 4 | 16);
    const head = this.#heads.get(key);
    if (head === neighbour) {
      if (neighbour.next === undefined) this.#heads.delete(key);
      else this.#heads.set(key, neighbour.next);
    } else {
      let before = head;
      while (before !== undefined && before.next !== neighbour) before = before.next;
      if (before !== undefined) before.next = neighbour.next;
    }
    this.#count--;
  }

  #takeWaiting(neighbour: Neighbour): Uint8Array[] {
    const { waiting } = neighbour;
    neighbour.waiting = [];
    for (const packet of waiting) this.#waitingBytes -= packet.length;
    return waiting;
  }
}

/** FNV-1a. */
function hashOf(bytes: Uint8Array, offset: number, length: 4 | 16): number {
  let hash = 0x811c_9dc5;
  for (let i = 0; i < length; i++) hash = Math.imul(hash ^ (bytes[offset + i] as number), 0x0100_0193);
  return hash >>> 0;
}
